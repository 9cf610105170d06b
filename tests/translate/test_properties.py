"""What holds for any reply: no cut of the bytes shows, nothing is lost, and there is one end."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.decoding import DONE, Replayed, delta, replay, sse, tools

SEPARATORS = "\u0085\u2028\u2029"
TEXT = st.text(alphabet=st.sampled_from(f'a ",\\/{{}}\n\té日\U0001f600{SEPARATORS}'), min_size=1, max_size=6)
ARGUMENTS = st.dictionaries(st.sampled_from(["x", "y", "é"]), TEXT | st.integers(-5, 5) | st.none(), max_size=2)
NOTHING: list[dict[str, Any]] = [{}, {"choices": []}, {"type": "ping"}, delta(""), delta(None), delta(role="assistant")]


@dataclass
class Expected:
    """What a client must be told, added up while the reply is made."""

    text: str = ""
    thinking: str = ""
    calls: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    counts: tuple[int, int] | None = None
    ending: str = "cut"  # or "error", or the reason


def openai(number: int, name: str, pieces: list[str]) -> list[dict[str, Any]]:
    first = {"index": number, "id": f"id{number}", "type": "function", "function": {"name": name, "arguments": ""}}
    return [first, *({"index": number, "function": {"arguments": piece}} for piece in pieces)]


def without_ids(number: int, name: str, pieces: list[str]) -> list[dict[str, Any]]:
    first = {"index": number, "id": None, "function": {"name": name}}
    return [first, *({"index": number, "id": "", "function": {"arguments": piece}} for piece in pieces)]


def by_id(number: int, name: str, pieces: list[str]) -> list[dict[str, Any]]:
    first = {"id": f"id{number}", "function": {"name": name, "arguments": ""}}
    return [first, *({"id": f"id{number}", "function": {"arguments": piece}} for piece in pieces)]


def repeating(number: int, name: str, pieces: list[str]) -> list[dict[str, Any]]:
    return [{"index": number, "id": f"id{number}", "function": {"name": name, "arguments": piece}} for piece in pieces]


def always_zero(number: int, name: str, pieces: list[str]) -> list[dict[str, Any]]:
    return [{**fragment, "index": 0} for fragment in openai(number, name, pieces)]


def without_index(number: int, name: str, pieces: list[str]) -> list[dict[str, Any]]:
    first = {"id": f"id{number}", "function": {"name": name, "arguments": ""}}
    return [first, *({"function": {"arguments": piece}} for piece in pieces)]


def at_once(_number: int, name: str, pieces: list[str]) -> list[dict[str, Any]]:
    return [{"function": {"name": name, "arguments": "".join(pieces)}}]


def as_object(number: int, name: str, pieces: list[str]) -> list[dict[str, Any]]:
    return [{"id": f"id{number}", "function": {"name": name, "arguments": json.loads("".join(pieces))}}]


# Where every fragment says whose it is, those of several calls may be mixed.
MIXED = [openai, without_ids, by_id, repeating]
IN_ORDER: list[Callable[[int, str, list[str]], list[dict[str, Any]]]] = [always_zero, without_index, at_once, as_object]


@st.composite
def merged(draw: st.DrawFn, queues: list[list[Any]]) -> list[Any]:
    """The items of all queues, each queue in its order."""
    turns = draw(st.permutations([number for number, queue in enumerate(queues) for _ in queue]))
    rest = [iter(queue) for queue in queues]
    return [next(rest[turn]) for turn in turns]


@st.composite
def fragments(draw: st.DrawFn, expected: Expected) -> list[dict[str, Any]]:
    """Fragments of some calls, in the way of one kind of backend."""
    dialect = draw(st.sampled_from([*MIXED, *IN_ORDER]))
    queues = []
    for number in range(draw(st.integers(0, 3))):
        name, arguments = draw(st.sampled_from(["f", "g"])), draw(ARGUMENTS)
        written = json.dumps(arguments, ensure_ascii=False)
        at = sorted(draw(st.lists(st.integers(0, len(written)), max_size=3)))
        pieces = [written[start:end] for start, end in zip([0, *at], [*at, len(written)], strict=True)]
        queues.append(dialect(number, name, pieces))
        expected.calls.append((name, arguments))
    if dialect not in MIXED:
        return [fragment for queue in queues for fragment in queue]
    # The calls are numbered in the order in which they begin.
    return [queue[0] for queue in queues] + draw(merged([queue[1:] for queue in queues]))


@st.composite
def endings(draw: st.DrawFn, expected: Expected) -> list[object]:
    """The last chunks: a good end in all its forms, a failure, or none."""
    usage = draw(st.none() | st.tuples(st.integers(1, 99), st.integers(1, 99)))
    counts = [{"choices": [], "usage": {"prompt_tokens": usage[0], "completion_tokens": usage[1]}}] if usage else []
    late = draw(st.lists(st.sampled_from([DONE, delta("late"), {"error": "late"}, "garbage"]), max_size=2))
    match draw(st.sampled_from(["reason", "done", "error", "garbage", "cut"])):
        case "reason":
            expected.ending = draw(st.sampled_from(["stop", "length", "tool_calls"]))
            expected.counts = usage
            done: list[object] = [DONE] if draw(st.booleans()) or (late and not usage) else []
            return [delta(finish=expected.ending), *counts, *done, *(late if usage or done else [])]
        case "done":
            expected.ending, expected.counts = "stop", usage
            return [*counts, delta(""), DONE, *late]
        case "error":
            expected.ending = "error"
            return [{"error": {"message": "it broke"}}, *late]
        case "garbage":
            expected.ending = "error"
            return ["{not json", *late]
        case _:
            return [delta("")]


@st.composite
def replies(draw: st.DrawFn) -> tuple[bytes, Expected]:
    """A reply, and what it means."""
    expected = Expected()
    said: list[object] = []
    for kind, text in draw(st.lists(st.tuples(st.sampled_from(["text", "thinking", "nothing"]), TEXT), max_size=6)):
        if kind == "text":
            expected.text += text
            said.append(delta(text))
        elif kind == "thinking":
            expected.thinking += text
            said.append(delta(**{draw(st.sampled_from(["reasoning", "reasoning_content", "thinking"])): text}))
        else:
            said.append(draw(st.sampled_from(NOTHING)))
    calls = [tools(fragment) for fragment in draw(fragments(expected))]
    chunks = [*draw(merged([said, calls])), *draw(endings(expected))]
    framing = draw(st.sampled_from([b"\n", b"\r\n", b"\r"]))
    comment = draw(st.sampled_from([b"", b": ping\n\n"]))
    return b"".join(comment + sse(chunk) for chunk in chunks).replace(b"\n", framing), expected


@st.composite
def cuts(draw: st.DrawFn, stream: bytes) -> list[bytes]:
    at = sorted(draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    return [stream[start:end] for start, end in zip([0, *at], [*at, len(stream)], strict=True)]


def check_lines(output: bytes) -> None:
    """R4, T14: valid JSON, one object a line for every reader of lines, none blank, all of them short."""
    assert output.endswith(b"\n")
    for line in output[:-1].split(b"\n"):
        assert len(line) < 2**20
        assert line.decode().splitlines() == [line.decode()]
        assert isinstance(json.loads(line, parse_constant=pytest.fail), dict)


def check_end(replayed: Replayed, records: list[dict[str, Any]]) -> None:
    """2.0: exactly one `done` or error, and nothing after it."""
    terminal = ["error" in record or record["done"] for record in records]
    assert terminal == [False] * (len(records) - 1) + [True]
    assert replayed.done == ("error" not in records[-1]) == (replayed.failure is None)


@settings(max_examples=120, deadline=None)
@given(st.data())
def test_h9_h21_t14_a_client_is_told_everything_once_and_the_end_last(data: st.DataObject) -> None:
    """Text, thinking, calls and counts are what the reply holds, whoever sends it how, and cut wherever."""
    stream, expected = data.draw(replies())
    replayed = replay(data.draw(cuts(stream)))
    check_lines(replayed.output)
    records = replayed.lines
    check_end(replayed, records)
    messages = [record["message"] for record in records if "message" in record]
    # White space that may stand before a tag is held back, and of no use to an answer that failed.
    text = expected.text if replayed.done or expected.text.strip() else ""
    assert "".join(message["content"] for message in messages) == text
    assert "".join(message.get("thinking", "") for message in messages) == expected.thinking
    last = records[-1]
    assert replayed.done == (expected.ending not in ("cut", "error"))
    if replayed.done:
        calls = [call["function"] for message in messages for call in message.get("tool_calls", [])]
        assert [(call["name"], call["arguments"]) for call in calls] == expected.calls
        assert [call["index"] for call in calls] == list(range(len(calls)))
        assert last["done_reason"] == ("length" if expected.ending == "length" else "stop")
        told = (last.get("prompt_eval_count"), last.get("eval_count"))
        assert told == (expected.counts or (None, None))


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_g1_any_cut_of_the_bytes_gives_the_same_output(data: st.DataObject) -> None:
    """G1: byte for byte, as lines and as one object."""
    stream, _ = data.draw(replies())
    reads, streamed = data.draw(cuts(stream)), data.draw(st.booleans())
    assert replay(reads, streamed=streamed).output == replay([stream], streamed=streamed).output


@settings(max_examples=50, deadline=None)
@given(st.data())
def test_a_whole_answer_says_what_the_lines_say(data: st.DataObject) -> None:
    """E13: one object, or nothing but the error; never both, never a part."""
    stream, expected = data.draw(replies())
    replayed = replay([stream], streamed=False)
    body = json.loads(replayed.output)
    if expected.ending in ("cut", "error"):
        assert body.keys() == {"error"}
    else:
        message = body["message"]
        assert (body["done"], message["content"], message.get("thinking", "")) == (
            True,
            expected.text,
            expected.thinking,
        )
        assert len(message.get("tool_calls", [])) == len(expected.calls)


@pytest.mark.parametrize("character", ["a", "\x01", "\u2028", "\U0001f600"], ids=ascii)
@pytest.mark.parametrize("key", ["content", "reasoning"])
def test_t15_no_line_of_text_reaches_a_megabyte(character: str, key: str) -> None:
    """G13, T15: half a million characters leave in pieces, each of them far below the 8 MB of Go's client."""
    text = character * 500_000
    replayed = replay([sse(delta(**{key: text}), delta(finish="stop"))])
    check_lines(replayed.output)
    field_name = "content" if key == "content" else "thinking"
    assert "".join(record["message"].get(field_name, "") for record in replayed.lines) == text
