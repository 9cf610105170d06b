"""Replies that are cut: in each way, at each point, of each framing (reliability F2 to F5).

An answer is whole when the backend has said how it finished. Before that half of it is never success.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest

from support.outcomes import Outcomes
from support.proxy import Proxy, proxied
from support.rawclient import Response
from support.replies import HI, completion, delta, finish, text, usage
from support.scripted import Chunk, Close, End, HalfClose, Hold, Pause, Reset, Send, Status, Step
from support.waiting import eventually

CUT = "the upstream closed the stream before finishing"
INVALID = "invalid response from upstream"
ROLE = delta(role="assistant", content="")
HALF_CALL = delta(tool_calls=[{"index": 0, "id": "c1", "function": {"name": "f", "arguments": '{"ci'}}])

# What had come, the text of it, and whether that is a whole answer.
POINTS: dict[str, tuple[tuple[bytes, ...], str, bool]] = {
    "role only": ((ROLE,), "", False),
    "content": ((ROLE, text("Hi"), text(" you")), "Hi you", False),
    "half of a tool call": ((ROLE, text("Hi"), HALF_CALL), "Hi", False),
    "half an event": ((ROLE, text("Hi"), text(" you")[:-9]), "Hi", False),
    "half a finish reason": ((ROLE, text("Hi"), finish()[:-12]), "Hi", False),
    "after the finish reason": ((ROLE, text("Hi"), finish()), "Hi", True),
    "after the usage": ((ROLE, text("Hi"), finish(), usage()), "Hi", True),
}

CHUNKED = Status(200, "Content-Type: text/event-stream", "Transfer-Encoding: chunked")
LONGER = Status(200, "Content-Type: text/event-stream", "Content-Length: 100000")
OPEN = Status(200, "Content-Type: text/event-stream")
OLD = Send(b"HTTP/1.0 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")


def chunks(parts: tuple[bytes, ...], *end: Step) -> Sequence[Step]:
    return (CHUNKED, *map(Chunk, parts), *end)


def once(head: Send, parts: tuple[bytes, ...], *end: Step) -> Sequence[Step]:
    return (Send(head.data + b"".join(parts)), *end)


def ways(parts: tuple[bytes, ...]) -> dict[str, tuple[Sequence[Step], str]]:
    """Return each way of cutting a stream after these parts, and what it is called."""
    packed = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts)
    return {
        "FIN": (chunks(parts, Close()), CUT),
        "FIN, all at once": ((Send(CHUNKED.data + packed), Close()), CUT),
        "half-close": (chunks(parts, HalfClose(), Hold()), CUT),
        "RST": (chunks(parts, Pause(0.05), Reset()), CUT),
        "FIN within a chunk": (chunks(parts, Send(b"40\r\ndata: "), Close()), CUT),
        "FIN within a size": (chunks(parts, Send(b"4"), Close()), CUT),
        "FIN before the last line end": (chunks(parts, Send(b"0\r\n"), Close()), CUT),
        "the body ends": (chunks(parts, End()), CUT),
        "short of its length, FIN": (once(LONGER, parts, Close()), CUT),
        "short of its length, RST": (once(LONGER, parts, Pause(0.05), Reset()), CUT),
        "no length, FIN": (once(OPEN, parts, Close()), CUT),
        "no length, RST": (once(OPEN, parts, Pause(0.05), Reset()), CUT),
        "HTTP/1.0, FIN": (once(OLD, parts, Close()), CUT),
        "a bad chunk size": (chunks(parts, Send(b"zz\r\n"), Hold()), INVALID),
        "a bad chunk size, all at once": ((Send(CHUNKED.data + packed + b"zz\r\n"), Hold()), INVALID),
        "no line end after a chunk": (chunks(parts, Send(b"1\r\n\nabc"), Hold()), INVALID),
        "a chunk size beyond all numbers": (chunks(parts, Send(b"f" * 20 + b"\r\n"), Hold()), INVALID),
    }


@pytest.fixture
def outcomes(caplog: pytest.LogCaptureFixture) -> Outcomes:
    return Outcomes(caplog)


@pytest.mark.parametrize("way", ways(()).keys())
@pytest.mark.parametrize(("parts", "said", "whole"), POINTS.values(), ids=POINTS.keys())
async def test_f2_f3_f4_f5_e12_cuts(
    way: str, parts: tuple[bytes, ...], said: str, whole: bool, outcomes: Outcomes
) -> None:
    """F2, F3, F4, F5, E12: what came before the cut is told; it is done if its finish reason came, else an error."""
    steps, message = ways(parts)[way]
    async with proxied() as proxy:
        proxy.upstream.script("m", steps)
        response = await proxy.chat()
        if said:
            check_stream(response, said, message, whole=whole)
        else:
            assert response.status == 502
        response = await proxy.chat(stream=False)
        if whole:
            assert response.json["message"]["content"] == said
            assert response.json["done"] is True
        else:
            assert response.status == 502
            assert set(response.json) == {"error"}
        await eventually(lambda: len(outcomes.all) == 2)  # after what trails, which is read for a moment
        check_outcomes(outcomes, message, whole=whole)
        await check_harmless(proxy)


def check_stream(response: Response, said: str, message: str, *, whole: bool) -> None:
    assert response.status == 200
    *lines, last = response.lines
    assert "".join(line["message"]["content"] for line in lines) == said
    assert not any(line["done"] for line in lines)
    if whole:
        assert last["done"] is True
        assert last["done_reason"] == "stop"
    else:
        assert last == {"error": message}


def check_outcomes(outcomes: Outcomes, message: str, *, whole: bool) -> None:
    if whole:
        assert set(outcomes.all) == {"ok"}
    elif message == CUT:
        assert set(outcomes.all) <= {"up_truncated", "up_reset", "up_empty"}
    else:
        assert set(outcomes.all) == {"up_protocol"}


async def check_harmless(proxy: Proxy) -> None:
    proxy.upstream.script("m", HI)
    assert (await proxy.chat()).lines[-1]["done"] is True


JSON = json.dumps(completion()).encode()
JSON_CUTS: dict[str, Sequence[Step]] = {
    "short of its length, FIN": (Status(200, f"Content-Length: {len(JSON) + 1}"), Send(JSON), Close()),
    "short of its length, RST": (Status(200, f"Content-Length: {len(JSON) + 1}"), Send(JSON), Pause(0.05), Reset()),
    "no last chunk, FIN": (CHUNKED, Chunk(JSON), Close()),
    "no last chunk, RST": (CHUNKED, Chunk(JSON), Pause(0.05), Reset()),
    "a bad chunk size": (CHUNKED, Chunk(JSON), Send(b"zz\r\n"), Hold()),
    "half an object, in order": (CHUNKED, Chunk(JSON[:-10]), End()),
    "no length, half an object": (Status(200, "Content-Type: application/json"), Send(JSON[:-10]), Close()),
}


@pytest.mark.parametrize("steps", JSON_CUTS.values(), ids=JSON_CUTS.keys())
async def test_f4_f5_cut_json(steps: Sequence[Step]) -> None:
    """F4, F5: a JSON body is whole by its framing, or 502, whether a stream was asked for or not."""
    async with proxied() as proxy:
        proxy.upstream.script("m", steps)
        for stream in (True, False):
            response = await proxy.chat(stream=stream)
            assert response.status == 502
            assert set(response.json) == {"error"}
        await check_harmless(proxy)


@pytest.mark.parametrize("end", [Close(), Reset()], ids=["FIN", "RST"])
async def test_f1_broken_before_any_event(end: Step, outcomes: Outcomes) -> None:
    """F1: a body that breaks off before any event is 502: the client was told nothing yet."""
    async with proxied() as proxy:
        for parts in ((), (b": waiting\n\n",), (ROLE,)):
            proxy.upstream.script("m", chunks(parts, Pause(0.05), end))
            response = await proxy.chat()
            assert response.status == 502
            assert set(response.json) == {"error"}
        await eventually(lambda: len(outcomes.all) == 3)
        assert set(outcomes.all) <= {"up_reset", "up_truncated", "up_empty"}
