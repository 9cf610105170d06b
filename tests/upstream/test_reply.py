"""A reply is read as it arrives, to its end or to what breaks it off, and let go."""

from __future__ import annotations

import asyncio
import gzip
import socket
import time
from collections.abc import Sequence

import pytest

from ollama_openai_proxy.deadlines import Timeouts
from ollama_openai_proxy.errors import UpstreamBroken, UpstreamError
from ollama_openai_proxy.limits import ReplyLimits, UpstreamLimits
from ollama_openai_proxy.upstream.reply import MAX_READ, Reply
from support.dialling import Run, on_asyncio, on_uvloop
from support.opening import CALL, WHOLE, opened
from support.replies import SSE, body
from support.scripted import Chunk, Close, End, Flood, Hold, Pause, Reset, Send, Status, Step, Wait
from support.waiting import eventually


@pytest.fixture(params=[on_asyncio, on_uvloop], ids=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Run:
    """What runs a coroutine, on one loop or on the other."""
    runner: Run = request.param
    return runner


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


async def test_released_before_its_end() -> None:
    """What trails an answer is dropped, and then the connection is used again: also when it is closed meanwhile."""
    tail = asyncio.Event()
    async with opened((SSE, Chunk(b"a"), Wait(tail), Chunk(b"x" * 100_000), End()), Timeouts()) as (upstream, backend):
        reply = await upstream.open(CALL)
        assert await reply.read() == b"a"
        reply.release()
        reply.close()
        tail.set()
        await backend.posts[0].answered.wait()
        await eventually(lambda: reply.whole)
        assert reply.pieces == []
        (await upstream.open(CALL)).close()
        assert [request.connection for request in backend.posts] == [1, 1]


async def test_release_is_brief() -> None:
    """What trails is waited for about half a second, then the connection is closed."""
    async with opened((SSE, Chunk(b"a"), Hold()), Timeouts()) as (upstream, backend):
        reply = await upstream.open(CALL)
        await reply.read()
        began = time.monotonic()
        reply.release()
        await backend.peer_left(within=1.5)
        assert time.monotonic() - began > 0.4


async def test_release_of_what_has_ended() -> None:
    """A reply that is whole has nothing to wait for: its connection is free, and stays."""
    async with opened(body({}), Timeouts()) as (upstream, backend):
        reply = await upstream.open(CALL)
        await read_on(reply)
        reply.release()
        await asyncio.sleep(0.6)
        (await upstream.open(CALL)).close()
        assert [request.connection for request in backend.posts] == [1, 1]


async def test_a_released_reply_that_breaks() -> None:
    """What breaks while it trails is nobody's concern any more."""
    tail = asyncio.Event()
    async with opened((SSE, Chunk(b"a"), Wait(tail), Reset()), Timeouts()) as (upstream, backend):
        reply = await upstream.open(CALL)
        await reply.read()
        reply.release()
        tail.set()
        await eventually(lambda: reply.failure)
        reply.close()
        assert not backend.connections


@pytest.mark.parametrize("way", ["nobody reads", "held"])
def test_f12_not_read_ahead(run: Run, way: str) -> None:
    """F12: what is not taken is not read from the backend, and when it is taken again all of it comes."""
    begin, size = asyncio.Event(), 20_000_000

    async def taken() -> None:
        steps = (SSE, Wait(begin), Flood(b"x" * 50_000, size // 50_000), End())
        async with opened(steps, Timeouts()) as (upstream, backend):
            reply, came = await upstream.open(CALL), 0
            (connection,) = backend.connections
            connection.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
            begin.set()
            if way == "held":
                came = len(await reply.read())
                reply.hold()
            await eventually(lambda: not connection.writable)
            await asyncio.sleep(0.2)  # for more, if more went
            assert not connection.writable
            assert connection.written < came + 1_000_000
            if way == "held":
                reply.go_on()
            while read := await reply.read():
                came += len(read)
                assert len(read) <= MAX_READ
            reply.close()
            assert came == size

    run(taken())


async def test_listening() -> None:
    """Whoever listens is called when something has come, and at the end; it takes what there is."""
    barrier = asyncio.Event()
    async with opened((SSE, Chunk(b"a"), Wait(barrier), Chunk(b"b"), End()), Timeouts()) as (upstream, _):
        reply, came = await upstream.open(CALL), list[bytes]()
        await eventually(lambda: reply.pieces)
        reply.listen(lambda: came.append(reply.take()))
        assert (reply.take(), came) == (b"a", [])
        barrier.set()
        await eventually(lambda: reply.whole)
        assert b"".join(came) == b"b"
        assert (reply.take(), reply.failure) == (b"", None)
        reply.close()


async def test_f6_listening_to_silence() -> None:
    """F6: whoever listens is called when a deadline has passed, too, and finds the error."""
    async with opened((SSE, Chunk(b"a"), Hold()), Timeouts(idle=0.2)) as (upstream, backend):
        reply, called = await upstream.open(CALL), asyncio.Event()
        assert await reply.read() == b"a"
        reply.begin()
        reply.listen(called.set)
        await asyncio.wait_for(called.wait(), 3)
        with pytest.raises(UpstreamError) as caught:
            reply.take()
        assert caught.value.outcome == "up_idle_timeout"
        await backend.peer_left(within=0.5)


async def test_c10_a_hold_is_the_clients_time() -> None:
    """C10: while a reply is held no silence counts; it does again afterwards."""
    async with opened((SSE, Chunk(b"a"), Hold()), Timeouts(idle=0.15)) as (upstream, _):
        reply, called = await upstream.open(CALL), asyncio.Event()
        assert await reply.read() == b"a"
        reply.begin()
        reply.listen(called.set)
        reply.hold()
        await asyncio.sleep(0.5)
        assert not called.is_set()
        reply.go_on()
        await asyncio.wait_for(called.wait(), 3)
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


async def test_e16_packed() -> None:
    """E16: a packed body is read unpacked, and half of one is none."""
    packed = gzip.compress(b"abc" * 1000)
    async with opened(body(packed, 200, "Content-Encoding: gzip")) as (upstream, backend):
        reply = await upstream.open(CALL)
        assert await reply.read() == b"abc" * 1000
        assert await reply.read() == b""
        reply.close()
        backend.script("m", body(packed[:-1], 200, "Content-Encoding: gzip"))
        reply = await upstream.open(CALL)
        with pytest.raises(UpstreamBroken) as caught:
            await read_on(reply)
        reply.close()
        assert caught.value.outcome == "up_truncated"
