"""Replies that are too much, too fast, or go on after their end (reliability F10 to F15)."""

from __future__ import annotations

import asyncio
import json
import socket
import time
import tracemalloc
from collections.abc import Sequence

import pytest

from support.outcomes import Outcomes
from support.proxy import Proxy, chat, proxied
from support.replies import DONE, HI, SSE, body, completion, finish, text, usage
from support.scripted import Chunk, Connection, End, Flood, HalfClose, Hold, Repeat, Send, Status, Step, Wait
from support.waiting import eventually

MIB = 1024 * 1024
TOO_LARGE = "the upstream's response is too large"
JSON = "Content-Type: application/json"


@pytest.fixture
def outcomes(caplog: pytest.LogCaptureFixture) -> Outcomes:
    return Outcomes(caplog)


async def test_f10_endless_stream(outcomes: Outcomes) -> None:
    """F10: a stream that never ends is broken off at MAX_RESPONSE_SIZE; what came before was told."""
    piece = text("x" * 1000)
    async with proxied(max_response_size=MIB) as proxy:
        proxy.upstream.script("m", (SSE, Flood(piece, 100_000)))
        *lines, last = (await proxy.chat()).lines
        assert last == {"error": TOO_LARGE}
        assert not any(line["done"] for line in lines)
        told = sum(len(line["message"]["content"]) for line in lines)
        assert 0.5 * MIB < told <= MIB
        await proxy.upstream.peer_left(within=1.0)
        await outcomes.expect("too_large")


@pytest.mark.parametrize("kind", ["text/event-stream", "application/json"])
async def test_f10_f11_endless_reply_that_is_waited_for(kind: str, outcomes: Outcomes) -> None:
    """F10, F11: a reply that never ends is 502 where the whole of it is waited for, and takes no memory beyond."""
    head = Status(200, f"Content-Type: {kind}", "Transfer-Encoding: chunked")
    filler = Flood(text("x" * 10_000), 20_000) if "event" in kind else Flood(b" " * 10_000, 20_000)  # 200 MB
    async with proxied(max_response_size=4 * MIB) as proxy:
        proxy.upstream.script("m", (head, filler))
        tracemalloc.start()
        try:
            response = await proxy.chat(stream=False)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert (response.status, response.json) == (502, {"error": TOO_LARGE})
        assert peak < 32 * MIB
        await proxy.upstream.peer_left(within=1.0)
        await outcomes.expect("too_large")


async def test_f11_the_default_limit() -> None:
    """F11: a JSON body of more than 64 MiB is 502 by default, long before it is whole."""
    async with proxied() as proxy:
        proxy.upstream.script("m", (Status(200, JSON, f"Content-Length: {200 * MIB}"), Repeat(b" " * MIB, 200)))
        response = await proxy.chat(stream=False)
        assert (response.status, response.json) == (502, {"error": TOO_LARGE})
        (connection,) = proxy.upstream.connections or (None,)
        assert connection is None or connection.written < 90 * MIB
        await proxy.upstream.peer_left(within=1.0)


async def test_f11_exactly_the_limit() -> None:
    """F11: a reply may have exactly MAX_RESPONSE_SIZE bytes, and not one more."""
    data = json.dumps(completion("Hi")).encode()
    async with proxied(max_response_size=MIB) as proxy:
        proxy.upstream.script("m", body(data.ljust(MIB)), body(data.ljust(MIB + 1)))
        assert (await proxy.chat(stream=False)).json["message"]["content"] == "Hi"
        assert (await proxy.chat(stream=False)).status == 502


async def test_f11_more_than_by_default() -> None:
    """F11: where MAX_RESPONSE_SIZE is raised, a body of more than 64 MiB is an answer, and so is what it says."""
    data = json.dumps(completion("Hi")).encode().removesuffix(b"}")
    async with proxied(max_response_size=80 * MIB) as proxy:
        head = Status(200, JSON, f"Content-Length: {70 * MIB + len(data) + 1}")
        proxy.upstream.script("m", (head, Send(data), Repeat(b" " * MIB, 70), Send(b"}")))
        assert (await proxy.chat(stream=False)).json["message"]["content"] == "Hi"


async def test_f11_vectors_may_be_more() -> None:
    """F11: vectors, which are large by nature, may be larger than MAX_RESPONSE_SIZE."""
    vectors = {"data": [{"index": 0, "embedding": [1.0] * 400_000}], "usage": {"prompt_tokens": 1}}
    async with proxied(max_response_size=MIB) as proxy:
        assert len(json.dumps(vectors)) > MIB
        proxy.upstream.script("m", body(vectors))
        answer = await proxy.ask("POST", "/api/embed", {"model": "m", "input": "a"})
        assert len(answer.json["embeddings"][0]) == 400_000


async def busy_connection(proxy: Proxy) -> Connection:
    await proxy.upstream.request_received()
    (connection,) = (one for one in proxy.upstream.connections if one.busy)
    return connection


async def test_f12_between_a_stalled_client_and_the_backend_is_less_than_1_mib() -> None:
    """F12: of what the client does not take, at most 1 MiB is taken from the backend; in the end all of it is there."""
    piece, pieces, barrier = text("x" * 30_000), 400, asyncio.Event()
    async with proxied() as proxy, proxy.client(receive_buffer=4096) as client:
        proxy.upstream.script("m", (SSE, Wait(barrier), Flood(piece, pieces), Chunk(finish() + usage() + DONE), End()))
        await client.ask("POST", "/api/chat", chat())
        backend = await busy_connection(proxy)
        sock: socket.socket = backend.transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 32 * 1024)  # what its own system holds is not the proxy's
        barrier.set()
        await eventually(lambda: not backend.writable)
        sent = -1
        while sent != backend.written:
            sent = backend.written
            await asyncio.sleep(0.3)
        own = backend.transport.get_write_buffer_size() + sock.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF)
        assert sent - own < MIB
        await client.head()
        told = 0
        while chunk := await client.chunk():
            told += chunk.count(b"x")
        assert told == 30_000 * pieces


ENDS: dict[str, Sequence[Step]] = {
    "with a length": (*body(completion("Hi")), HalfClose(), Hold()),
    "with chunks": (*HI, HalfClose(), Hold()),
    "by the end of what it sends": (
        Status(200, "Content-Type: text/event-stream"), Send(text("Hi") + finish() + DONE), HalfClose(), Hold(),
    ),
}  # fmt: skip


@pytest.mark.parametrize("steps", ENDS.values(), ids=ENDS.keys())
async def test_f13_half_close(steps: Sequence[Step]) -> None:
    """F13: an upstream that says it sends no more, after a whole answer, is answered with our close, and no error."""
    async with proxied() as proxy:
        proxy.upstream.script("m", steps, HI)
        assert (await proxy.chat()).lines[-1]["done"] is True
        await proxy.upstream.peer_left(within=1.0)
        assert (await proxy.chat()).lines[-1]["done"] is True


@pytest.mark.parametrize("trail", [Hold(), Flood(text("late"), 1_000_000)], ids=["holds", "goes on"])
async def test_f14_upstream_that_ignores_the_end(trail: Step) -> None:
    """F14: after the answer the client waits for nothing, and the connection is closed within a second."""
    async with proxied() as proxy:
        proxy.upstream.script("m", (SSE, Chunk(text("Hi") + finish() + usage() + DONE), trail))
        started = time.monotonic()
        assert (await proxy.chat()).lines[-1]["done"] is True
        await proxy.upstream.peer_left(within=2.0)
        assert time.monotonic() - started < 2.0


async def test_f14_t10_upstream_that_ignores_our_close() -> None:
    """F14, T10: when the client leaves, the proxy lets go of an upstream that goes on, and waits for nothing."""
    async with proxied() as proxy:
        for _ in range(10):
            async with proxy.client() as client:
                proxy.upstream.script("m", (SSE, Flood(text("Hi"), 10_000_000)))
                await client.ask("POST", "/api/chat", chat())
                await client.read_until(b'"content":"Hi"')
        await eventually(lambda: not proxy.upstream.busy, within=2.0)
        proxy.upstream.script("m", HI)
        assert (await proxy.chat()).lines[-1]["done"] is True


TRAILERS = {
    "a checksum": (b"X-Checksum: abc\r\n", 1),
    "framing, which is doubtful enough to close": (b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", 3),
}


@pytest.mark.parametrize(("trailers", "connections"), TRAILERS.values(), ids=TRAILERS.keys())
async def test_f15_trailers(trailers: bytes, connections: int) -> None:
    """F15: trailers are part of no body and change no framing; after harmless ones the connection is used again."""
    async with proxied() as proxy:
        proxy.upstream.script("m", (*HI[:-1], Send(b"0\r\n" + trailers + b"\r\n")))
        for _ in range(3):
            assert [line["message"]["content"] for line in (await proxy.chat()).lines] == ["Hi", ""]
        assert len({request.connection for request in proxy.upstream.posts}) == connections
