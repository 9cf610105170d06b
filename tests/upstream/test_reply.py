"""A reply is read as it arrives, to its end or to what breaks it off, and let go."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Sequence

import pytest

from ollama_openai_proxy.deadlines import Timeouts
from ollama_openai_proxy.errors import UpstreamBroken, UpstreamError
from ollama_openai_proxy.limits import ReplyLimits, UpstreamLimits
from ollama_openai_proxy.upstream.reply import Reply
from support.opening import CALL, WHOLE, opened
from support.replies import SSE, body
from support.scripted import Chunk, Close, End, Flood, Hold, Pause, Reset, Send, Status, Step
from support.waiting import eventually


async def test_reads_end_with_nothing() -> None:
    """Reads are the body, without its framing, as they arrive; at the end there is nothing, as often as asked."""
    async with opened((SSE, Chunk(b"a"), Pause(0.05), Chunk(b"b"), End())) as (upstream, _):
        reply = await upstream.open(CALL)
        assert reply.content_type == "text/event-stream"
        assert [await reply.read() for _ in range(4)] == [b"a", b"b", b"", b""]
        reply.close()


BROKEN: dict[str, tuple[Sequence[Step], str]] = {
    "F2 FIN": ((SSE, Chunk(b"a"), Pause(0.02), Close()), "up_truncated"),
    "F4 short": ((Status(200, "Content-Length: 5"), Send(b"a"), Pause(0.02), Close()), "up_truncated"),
    "F2 RST": ((SSE, Chunk(b"a"), Pause(0.02), Reset()), "up_truncated"),
    "F6 silence": ((SSE, Chunk(b"a"), Hold()), "up_idle_timeout"),
    "F9 total": ((SSE, *(Chunk(b"a"), Pause(0.1)) * 10), "up_total_timeout"),
}


@pytest.mark.parametrize(("steps", "outcome"), BROKEN.values(), ids=BROKEN.keys())
async def test_breaks_off(steps: Sequence[Step], outcome: str) -> None:
    """2.F: what goes wrong within the reply is one of our errors, after all that had come before it."""
    async with opened(steps) as (upstream, backend):
        reply = await upstream.open(WHOLE)
        assert await reply.read() == b"a"
        with pytest.raises(UpstreamError) as caught:
            await read_on(reply)
        reply.close()
        assert caught.value.outcome == outcome
        await eventually(lambda: not backend.busy, within=1.0)


async def read_on(reply: Reply) -> None:
    while await reply.read():
        pass


async def test_close_lets_go() -> None:
    """A reply that is closed in mid-stream closes its connection at once."""
    async with opened((SSE, Chunk(b"a"), Hold())) as (upstream, backend):
        reply = await upstream.open(CALL)
        await reply.read()
        reply.close()
        await backend.peer_left(within=0.5)


async def test_t12_cancelled_read_lets_go() -> None:
    """T12: reads and opens that are cancelled, twice even, leave no connection and no use of the pool behind."""
    async with opened((SSE, Chunk(b"a"), Hold()), Timeouts()) as (upstream, backend):

        async def relay() -> None:
            reply = await upstream.open(CALL)
            try:
                await read_on(reply)
            finally:
                reply.close()

        for number in range(30):
            task = asyncio.create_task(relay())
            if number % 3:
                await backend.request_received(len(backend.posts) + 1)
            await asyncio.sleep(0)
            task.cancel()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        await eventually(lambda: not backend.connections, within=2.0)
        backend.script("m", body({}))
        assert await (await upstream.open(CALL)).read() == b"{}"


async def test_drain_is_brief() -> None:
    """What trails is read for about half a second, then the connection is closed."""
    async with opened((SSE, Chunk(b"a"), Hold()), Timeouts()) as (upstream, backend):
        reply = await upstream.open(CALL)
        await reply.read()
        async with asyncio.timeout(1.5):
            await reply.drain()
        await backend.peer_left(within=0.5)


async def test_flood_is_not_read_ahead() -> None:
    """F12: what is not read is not taken from the backend."""
    async with opened((SSE, Flood(b"x" * 60_000, 800), End()), Timeouts()) as (upstream, backend):
        reply = await upstream.open(CALL)
        (connection,) = backend.connections
        await eventually(lambda: not connection.writable)
        assert connection.written < 24_000_000
        reply.close()


@pytest.mark.parametrize("way", [Close(), Reset()], ids=["FIN", "RST"])
async def test_f2_what_had_come_is_read_first(way: Step) -> None:
    """F2: bytes that came before the connection broke are read, though nobody read while it did."""
    async with opened((SSE, Chunk(b"a"), Chunk(b"b"), Pause(0.05), way), Timeouts()) as (upstream, backend):
        reply = await upstream.open(CALL)
        await eventually(lambda: not backend.connections)
        await asyncio.sleep(0.05)
        assert await reply.read() == b"ab"
        with pytest.raises(UpstreamError):
            await reply.read()
        reply.close()


async def test_f6_what_had_come_is_read_before_the_deadline_counts() -> None:
    """F6: a deadline that passes while nobody reads takes nothing of what is there."""
    async with opened((SSE, Chunk(b"a"), Hold()), Timeouts(stream=0.2)) as (upstream, _):
        reply = await upstream.open(CALL)
        await asyncio.sleep(0.4)
        assert await reply.read() == b"a"
        with pytest.raises(UpstreamError) as caught:
            await reply.read()
        reply.close()
        assert caught.value.outcome == "up_total_timeout"


async def test_f10_limit() -> None:
    """F10: a reply may have so many bytes; a call may ask for more."""
    limits = UpstreamLimits(ReplyLimits(whole=3))
    async with opened(body(b"1234"), limits=limits) as (upstream, _):
        reply = await upstream.open(CALL)
        with pytest.raises(UpstreamBroken) as caught:
            await reply.read()
        reply.close()
        assert caught.value.outcome == "too_large"
        reply = await upstream.open(CALL._replace(max_reply=4))
        assert await reply.read() == b"1234"
        reply.close()


async def test_f10_limit_of_what_is_unpacked() -> None:
    """F10, E16: it is the unpacked bytes that count."""
    packed = body(gzip.compress(b"x" * 100), 200, "Content-Encoding: gzip")
    async with opened(packed, limits=UpstreamLimits(ReplyLimits(whole=99))) as (upstream, _):
        reply = await upstream.open(CALL)
        with pytest.raises(UpstreamBroken):
            await reply.read()
        reply.close()
