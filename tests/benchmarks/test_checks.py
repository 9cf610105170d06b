"""benchmarks/bench/checks.py and replies.py: no peer gets numbers for answers that are not right."""

from __future__ import annotations

import json

import pytest
from benchmarks.bench import answers, checks
from benchmarks.bench.loads import LOADS, Front, Load, Plan
from benchmarks.bench.replies import Head, Stamps, dechunked

LOAD = {load.name: load for load in LOADS}
OK = Head(200, chunked=False, size=None, close=False)


def stream(load: Load) -> bytes:
    """What the scripted upstream streams for a load."""
    events = answers.stream(load.plan)
    made = [event % (at, 1) for at, event in enumerate(events)] if load.plan.pause else events
    return b"".join(made) + answers.stream_end(load.plan)


@pytest.mark.parametrize("name", ["b2b", "paced", "tools"])
def test_stream_as_it_is_made(name: str) -> None:
    """What the upstream streams is right as it is."""
    assert checks.problem(LOAD[name], "openai", OK, stream(LOAD[name])) == ""


@pytest.mark.parametrize("name", ["b2b", "paced", "tools"])
def test_event_lost(name: str) -> None:
    """A stream that lacks one event is told as such."""
    body = stream(LOAD[name]).split(b"\n\n")
    assert checks.problem(LOAD[name], "openai", OK, b"\n\n".join(body[:3] + body[4:])) != ""


@pytest.mark.parametrize("front", ["openai", "ollama"])
def test_cut_stream(front: Front) -> None:
    """A stream without its last record is wrong, however many events it has."""
    lines = b'{"message":{"content":" token"},"done":false}\n' * 100
    body = stream(LOAD["b2b"]).replace(b"data: [DONE]\n\n", b"") if front == "openai" else lines
    assert checks.problem(LOAD["b2b"], front, OK, body).startswith("no last record")


@pytest.mark.parametrize(
    "last", ['{"message":{"content":""},"done":true}', '{"message": {"content": ""}, "done": true}']
)
def test_lines(last: str) -> None:
    """Lines of Ollama's API are right with as many tokens as were made, with spaces after colons and without."""
    body = ('{"message":{"content":" token"},"done":false}\n' * 100 + last + "\n").encode()
    assert checks.problem(LOAD["b2b"], "ollama", OK, body) == ""
    assert checks.problem(LOAD["b2b"], "ollama", OK, body.split(b"\n", 1)[1]) == "99 events of 100"


@pytest.mark.parametrize("name", ["whole", "long", "one", "embed-1", "embed-16"])
def test_whole_as_it_is_made(name: str) -> None:
    """What the upstream answers whole is right as it is, and with another status it is not."""
    body = answers.whole(LOAD[name].plan)
    assert checks.problem(LOAD[name], "openai", OK, body) == ""
    assert checks.problem(LOAD[name], "openai", OK._replace(status=502), body).startswith("status 502")


def test_fewer_vectors() -> None:
    """A batch that comes back smaller, or with shorter vectors, is wrong."""
    assert checks.problem(LOAD["embed-16"], "openai", OK, answers.whole(Plan(batch=15))) == "15 vectors of 16"
    short = json.dumps({"embeddings": [[0.5] * 768]}).encode()
    assert checks.problem(LOAD["embed-1"], "ollama", OK, short) == "vectors of [768] numbers"


def test_models() -> None:
    """A list of models is right when it has them all."""
    assert checks.problem(LOAD["models"], "openai", OK, answers.models()) == ""
    assert checks.problem(LOAD["models"], "ollama", OK, b'{"models":[{"name":"bench"}]}') == "1 models of 500"


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"message":{"content":"Something else"}}'])
def test_something_else(body: bytes) -> None:
    """Whatever is no answer to what was asked is told as such, and raises nothing."""
    assert checks.problem(LOAD["whole"], "ollama", OK, body).startswith("another answer")


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        ("HTTP/1.1 200 OK\r\nContent-Length: 5", (200, False, 43, False)),
        ("HTTP/1.1 503 No\r\ntransfer-encoding: chunked\r\nconnection: close", (503, True, None, True)),
        ("HTTP/1.0 200 OK\r\nX: 1", (200, False, None, True)),
    ],
)
def test_heads(head: str, expected: tuple[int, bool, int | None, bool]) -> None:
    """A head says how the body ends, and whether the connection ends with it."""
    assert Head.of(f"{head}\r\n\r\n".encode(), len(head)) == expected


def test_no_head() -> None:
    """What is no HTTP is an error, not an answer."""
    with pytest.raises(ValueError, match="no HTTP"):
        Head.of(b"SSH-2.0\r\n\r\n", 7)


def test_dechunked() -> None:
    """A body is what its chunks carry, wherever they were cut and whatever their extensions say."""
    assert dechunked(b"3\r\nabc\r\nA;x=y\r\n0123456789\r\n0\r\n\r\n") == b"abc0123456789"
    with pytest.raises(ValueError, match="not found"):
        dechunked(b"3\r\nabc\r\n")


@pytest.mark.parametrize("size", [1, 7, 30, 1000])
def test_stamps_in_pieces(size: int) -> None:
    """Tokens are found in pieces of any size, with the time that each took."""
    stamps, text = Stamps(), "".join(answers.STAMP % (place, place * 10) + "..." for place in range(20)).encode()
    for at in range(0, len(text), size):
        stamps.take(text[at : at + size], 1000)
    assert (stamps.places, stamps.wrong) == (20, 0)
    assert stamps.late == [1000 - place * 10 for place in range(20)]


def test_stamps_out_of_place() -> None:
    """A token that is lost and one that comes twice are both seen."""
    stamps = Stamps()
    stamps.take(b"".join((answers.STAMP % (place, 0)).encode() for place in (0, 1, 3, 3)), 0)
    assert stamps.wrong == 1
    stamps.take((answers.STAMP % (3, 0)).encode(), 0)
    assert (stamps.places, stamps.wrong) == (5, 2)
