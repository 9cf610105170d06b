"""Heads that are too large, that doubt where the body ends, or that come before the reply's own (reliability 2.E)."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from support.outcomes import Outcomes
from support.proxy import proxied
from support.replies import DONE, HI, SSE, body, completion, finish, text, usage
from support.scripted import Chunk, Close, End, Flood, Hold, Repeat, Send, Status, Step
from support.waiting import eventually

INVALID = "invalid response from upstream"
EVENTS = text("Hi") + finish() + usage() + DONE
BODY = (Chunk(EVENTS), End())
STREAM = ("Content-Type: text/event-stream", "Transfer-Encoding: chunked")


@pytest.fixture
def outcomes(caplog: pytest.LogCaptureFixture) -> Outcomes:
    return Outcomes(caplog)


def long(size: int) -> str:
    return "X-Long: " + "x" * size


LARGE: dict[str, Sequence[Step]] = {
    "a header of 8 KiB": (Status(200, *STREAM, long(8 * 1024)), *BODY),
    "a header of 32 KiB": (Status(200, *STREAM, long(32 * 1024)), *BODY),
    "300 headers": (Status(200, *STREAM, *(f"X-Number-{number}: {number}" for number in range(300))), *BODY),
    "headers of 60 KiB": (Status(200, *STREAM, *(long(6 * 1024) for _ in range(10))), *BODY),
    "a reason of 32 KB": (
        Send(b"HTTP/1.1 200 " + b"x" * 32_000 + b"\r\n"),
        Send(SSE.data.partition(b"\r\n")[2]),
        *BODY,
    ),
}


@pytest.mark.parametrize("steps", LARGE.values(), ids=LARGE.keys())
async def test_e5_large_heads(steps: Sequence[Step]) -> None:
    """E5: a head of up to 64 KiB is read, however it is made up."""
    async with proxied() as proxy:
        proxy.upstream.script("m", steps)
        lines = (await proxy.chat()).lines
        assert [(line["message"]["content"], line["done"]) for line in lines] == [("Hi", False), ("", True)]


TOO_LARGE: dict[str, Sequence[Step]] = {
    "a header of 300 KiB": (Status(200, *STREAM, long(300 * 1024)), *BODY),
    "a header that never ends": (Send(b"HTTP/1.1 200 OK\r\nX-Long: "), Repeat(b"x" * 10_000, 1000)),
    "headers of 80 KiB": (Status(200, *STREAM, *(long(8 * 1024) for _ in range(10))), *BODY),
    "300 headers of 300 KiB": (Status(200, *STREAM, *(long(1024) for _ in range(300))), *BODY),
    "headers that never end": (Send(b"HTTP/1.1 200 OK\r\n"), Repeat(b"X-Many: x\r\n" * 1000, 1000)),
    "a reason of 300 KiB": (Send(b"HTTP/1.1 200 " + b"x" * 300_000 + b"\r\n"), Hold()),
}


@pytest.mark.parametrize("steps", TOO_LARGE.values(), ids=TOO_LARGE.keys())
async def test_e5_too_large_heads(steps: Sequence[Step], outcomes: Outcomes) -> None:
    """E5: a head of more than 64 KiB is 502, and its connection is closed."""
    await check_refused((*steps, Hold()), outcomes)


async def check_refused(steps: Sequence[Step], outcomes: Outcomes) -> None:
    async with proxied() as proxy:
        proxy.upstream.script("m", steps)
        response = await proxy.chat()
        assert (response.status, response.json) == (502, {"error": INVALID})
        await proxy.upstream.peer_left(within=1.0)
        proxy.upstream.script("m", HI)
        assert (await proxy.chat()).lines[-1]["done"] is True
        await outcomes.expect("up_protocol", "ok")


def framed(*headers: str) -> Sequence[Step]:
    return (Status(200, "Content-Type: text/event-stream", *headers), Chunk(EVENTS), End(), Hold())


DOUBTFUL: dict[str, Sequence[Step]] = {
    "two lengths": framed("Content-Length: 5", "Content-Length: 6"),
    "the same length twice": framed("Content-Length: 5", "Content-Length: 5"),
    "a list of lengths": framed("Content-Length: 5, 5"),
    "a length that is no number": framed("Content-Length: ten"),
    "a negative length": framed("Content-Length: -1"),
    "a length with a sign": framed("Content-Length: +5"),
    "a length and chunks": framed("Content-Length: 5", "Transfer-Encoding: chunked"),
    "chunks and a length": framed("Transfer-Encoding: chunked", "Content-Length: 5"),
    "chunks twice": framed("Transfer-Encoding: chunked", "Transfer-Encoding: chunked"),
    "an unknown coding": framed("Transfer-Encoding: gzip"),
    "an unknown coding, then chunks": framed("Transfer-Encoding: gzip, chunked"),
    "chunks, then an unknown coding": framed("Transfer-Encoding: chunked, gzip"),
    "almost chunks": framed("Transfer-Encoding: xchunked"),
    "the identity": framed("Transfer-Encoding: identity"),
}


@pytest.mark.parametrize("steps", DOUBTFUL.values(), ids=DOUBTFUL.keys())
async def test_e6_where_the_body_ends_is_in_doubt(steps: Sequence[Step], outcomes: Outcomes) -> None:
    """E6: framing that can be read in two ways is 502, and its connection is closed."""
    await check_refused(steps, outcomes)


INTERIM = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"


@pytest.mark.parametrize("interim", [b"HTTP/1.1 100 Continue\r\n\r\n", INTERIM, INTERIM * 10], ids=["100", "103", "10"])
async def test_e8_interim_heads(interim: bytes) -> None:
    """E8: up to ten interim heads are skipped, each time; the reply is what comes after them."""
    async with proxied() as proxy:
        proxy.upstream.script("m", (Send(interim), *HI))
        for _ in range(2):
            assert [line["message"]["content"] for line in (await proxy.chat()).lines] == ["Hi", ""]
        assert len({request.connection for request in proxy.upstream.posts}) == 1


@pytest.mark.parametrize(
    "steps", [(Send(INTERIM * 11), *HI), (Repeat(INTERIM, 100_000),)], ids=["eleven", "without end"]
)
async def test_e8_a_flood_of_interim_heads(steps: Sequence[Step], outcomes: Outcomes) -> None:
    """E8: more than ten interim heads are 502, and the connection is closed."""
    await check_refused((*steps, Hold()), outcomes)


EXTRA: dict[str, bytes] = {
    "a reply": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
    "a reply in doubt": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
    "no HTTP": b"evil",
    "a line end": b"\r\n",
}


@pytest.mark.parametrize("extra", EXTRA.values(), ids=EXTRA.keys())
@pytest.mark.parametrize("framing", ["length", "chunks"])
async def test_e7_t11_f4_extra_bytes(framing: str, extra: bytes) -> None:
    """E7, T11, F4: what follows a body is part of no answer: neither of that one nor of the next."""
    steps = (*body(completion("Hi")), Send(extra)) if framing == "length" else (*HI[:-1], Send(b"0\r\n\r\n" + extra))
    async with proxied() as proxy:
        proxy.upstream.script("m", steps, body(completion("second")))
        first = (await proxy.chat()).lines
        assert [(line["message"]["content"], line["done"]) for line in first] == [("Hi", False), ("", True)]
        assert (await proxy.chat(stream=False)).json["message"]["content"] == "second"


async def test_f5_the_reader_is_told_at_once() -> None:
    """F5: broken framing ends the stream when it comes, not at a deadline; what came before it is told."""
    async with proxied(idle_timeout=30) as proxy:
        proxy.upstream.script("m", (SSE, Chunk(text("Hi")), Flood(text("x"), 3), Send(b"zz\r\n"), Hold()))
        lines = (await proxy.chat()).lines
        assert [line["message"]["content"] for line in lines[:-1]] == ["Hi", "x", "x", "x"]
        assert lines[-1] == {"error": INVALID}
        await eventually(lambda: not proxy.upstream.busy, within=1.0)


async def test_e12_a_close_is_the_end_of_a_body_without_length() -> None:
    """E12: a body of HTTP/1.1 without length or chunks ends with the connection; a whole answer in it is whole."""
    async with proxied() as proxy:
        proxy.upstream.script("m", (Status(200, "Content-Type: text/event-stream"), Send(EVENTS), Close()))
        assert (await proxy.chat()).lines[-1]["done"] is True
