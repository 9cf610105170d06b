"""Each phase of a call has its own deadline (reliability 2.D, 2.E, 2.F, 1 "Timeouts")."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import pytest

from support.proxy import Proxy, chat, proxied, running_proxy
from support.rawclient import RawClient
from support.replies import DONE, HI, SSE, body, completion, finish, text, usage
from support.scripted import Chunk, End, Hold, Pause, Send, Status, Upstream

FIRST_BYTE = "the upstream did not answer in time"
IDLE = "the upstream stopped sending"
TOTAL = "the request exceeded its maximum duration"
JSON_HEAD = Status(200, "Content-Type: application/json", "Transfer-Encoding: chunked")


@contextmanager
def blackhole() -> Iterator[str]:
    """A listener whose backlog is full: connections to it are neither taken nor refused."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        address = listener.getsockname()
        fillers = [socket.socket() for _ in range(3)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(address)
        try:
            yield f"http://127.0.0.1:{address[1]}/v1"
        finally:
            for filler in fillers:
                filler.close()


@asynccontextmanager
async def timed(least: float, most: float) -> AsyncIterator[None]:
    """Check how long the block takes."""
    started = time.monotonic()
    yield
    assert least <= time.monotonic() - started < most


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
async def test_d5_connecting(stream: bool) -> None:
    """D5: an upstream that swallows connections is 504 at the connect deadline, long before the others."""
    with blackhole() as base_url:
        async with running_proxy(base_url, connect_timeout=0.2) as url, RawClient(url) as client:
            await client.ask("GET", "/api/tags")
            await client.response()  # the first list was waited for
            async with timed(0.15, 2.0):
                await client.ask("POST", "/api/chat", chat(stream=stream))
                response = await client.response()
            assert response.status == 504
            assert response.json == {"error": "timed out connecting to the upstream"}


async def test_d7_tls_handshake() -> None:
    """D7: a TLS handshake that stalls is covered by the connect deadline."""
    async with Upstream() as upstream:
        upstream.greeting = (Hold(),)
        base_url = upstream.url.replace("http:", "https:")
        async with running_proxy(base_url, connect_timeout=0.2) as url, RawClient(url) as client:
            await client.ask("GET", "/api/tags")
            await client.response()
            async with timed(0.15, 2.0):
                await client.ask("POST", "/api/chat", chat())
                assert (await client.response()).status == 504


@pytest.mark.parametrize(
    "steps",
    [(Hold(),), (Send(b"HTTP/1.1 200 OK\r\n"), Hold()), (SSE, Hold())],
    ids=["E1 no head", "E1 half a head", "E2 no body"],
)
async def test_e1_e2_first_byte_of_a_stream(steps: tuple[Send | Hold, ...]) -> None:
    """E1, E2: a streamed answer that does not begin is 504 at the first-byte deadline, and the upstream is let go."""
    async with proxied(first_byte_timeout=0.2) as proxy:
        proxy.upstream.script("m", steps)
        async with timed(0.15, 1.5):
            response = await proxy.chat()
        assert (response.status, response.json) == (504, {"error": FIRST_BYTE})
        await proxy.upstream.peer_left(within=1.0)


async def test_e2_first_byte_counts_from_the_call() -> None:
    """E2: head and body share one deadline: a late head does not buy the body more time."""
    async with proxied(first_byte_timeout=0.4) as proxy:
        proxy.upstream.script("m", (Pause(0.25), SSE, Hold()))
        async with timed(0.35, 0.62):
            assert (await proxy.chat()).status == 504


async def test_whole_reply_may_take_longer_than_a_first_byte() -> None:
    """A reply that comes whole begins when all is generated: the first-byte deadline is not for it."""
    async with proxied(first_byte_timeout=0.15, idle_timeout=0.15) as proxy:
        proxy.upstream.script("m", (Pause(0.4), *body(completion("Hi"))))
        assert (await proxy.chat(stream=False)).status == 200


async def test_whole_reply_without_limit() -> None:
    """REQUEST_TIMEOUT=0 is no limit, that of the first byte not either."""
    async with proxied(first_byte_timeout=0.15, idle_timeout=0.15, request_timeout=0) as proxy:
        proxy.upstream.script("m", (Pause(0.4), *body(completion("Hi"))))
        assert (await proxy.chat(stream=False)).status == 200


@pytest.mark.parametrize("first_byte", [0.3, 300], ids=["first byte 0.3 s", "first byte 300 s"])
async def test_f6_idle(first_byte: float) -> None:
    """F6: silence between events is an error line at the idle deadline, whatever the first byte might have taken."""
    async with proxied(first_byte_timeout=first_byte, idle_timeout=0.2) as proxy:
        proxy.upstream.script("m", (SSE, Chunk(text("Hi")), Hold()))
        async with timed(0.15, 1.5):
            lines = (await proxy.chat()).lines
        assert lines[0]["message"]["content"] == "Hi"
        assert lines[1:] == [{"error": IDLE}]
        await proxy.upstream.peer_left(within=1.0)


async def test_f6_idle_within_a_whole_reply() -> None:
    """F6: silence within a JSON body is 504."""
    async with proxied(idle_timeout=0.2) as proxy:
        proxy.upstream.script("m", (JSON_HEAD, Chunk(b'{"choices"'), Hold()))
        async with timed(0.15, 1.5):
            response = await proxy.chat(stream=False)
        assert (response.status, response.json) == (504, {"error": IDLE})


@pytest.mark.parametrize("piece", [text("a"), b": ping\n\n"], ids=["events", "G6 comments"])
async def test_f6_g6_bytes_keep_a_stream_alive(piece: bytes) -> None:
    """F6, G6: an upstream that keeps sending, comments too, may take longer than the idle deadline."""
    async with proxied(idle_timeout=0.3) as proxy:
        alive = (Chunk(piece), Pause(0.1)) * 6
        proxy.upstream.script("m", (SSE, Chunk(text("a")), *alive, Chunk(finish()), Chunk(DONE), End()))
        assert (await proxy.chat()).lines[-1]["done"] is True


async def test_c10_slow_client_is_no_idle_upstream() -> None:
    """C10: while the client takes its time the upstream is not waited for, and not blamed."""
    async with proxied(idle_timeout=0.15) as proxy, proxy.client(receive_buffer=4096) as client:
        pieces = [Chunk(text("x" * 60_000)) for _ in range(300)]
        proxy.upstream.script("m", (SSE, *pieces, Chunk(finish() + usage() + DONE), End()))
        await client.ask("POST", "/api/chat", chat())
        await client.head()
        await asyncio.sleep(0.6)  # four times the idle deadline
        lines = [line for line in (await read_body(client)).split(b"\n") if line]
        assert len(lines) == 301
        assert b'"done":true' in lines[-1]


async def read_body(client: RawClient) -> bytes:
    chunks = []
    while chunk := await client.chunk():
        chunks.append(chunk)
    return b"".join(chunks)


async def test_total_of_a_whole_reply() -> None:
    """REQUEST_TIMEOUT ends a reply that is not streamed, however long its first byte might take."""
    async with proxied(request_timeout=0.2) as proxy:
        proxy.upstream.script("m", (Hold(),))
        async with timed(0.15, 1.5):
            response = await proxy.chat(stream=False)
        assert (response.status, response.json) == (504, {"error": TOTAL})
        await proxy.upstream.peer_left(within=1.0)


async def test_total_of_a_whole_reply_that_drips() -> None:
    """REQUEST_TIMEOUT holds although bytes keep coming."""
    async with proxied(request_timeout=0.3) as proxy:
        proxy.upstream.script("m", (JSON_HEAD, *(Chunk(b" "), Pause(0.05)) * 40))
        async with timed(0.25, 1.5):
            response = await proxy.chat(stream=False)
        assert (response.status, response.json) == (504, {"error": TOTAL})


async def test_f9_total_of_a_stream() -> None:
    """F9: STREAM_TIMEOUT ends a stream with an error line although events keep coming."""
    async with proxied(stream_timeout=0.3) as proxy:
        proxy.upstream.script("m", (SSE, *(Chunk(text("a")), Pause(0.05)) * 40))
        async with timed(0.25, 1.5):
            lines = (await proxy.chat()).lines
        assert lines[-1] == {"error": TOTAL}
        assert not any(line["done"] for line in lines[:-1])
        await proxy.upstream.peer_left(within=1.0)


async def test_streams_have_no_total_by_default() -> None:
    """Streams may outlast REQUEST_TIMEOUT: it is for replies that are not streamed."""
    async with proxied(request_timeout=0.15) as proxy:
        proxy.upstream.script("m", (SSE, *(Chunk(text("a")), Pause(0.05)) * 6, Chunk(finish()), Chunk(DONE), End()))
        assert (await proxy.chat()).lines[-1]["done"] is True


async def test_error_body_that_never_ends() -> None:
    """I: an error body is read for at most 5 s; then its status is told without its words."""
    async with proxied() as proxy:
        head = Status(503, "Content-Type: application/json", "Transfer-Encoding: chunked")
        proxy.upstream.script("m", (head, Chunk(b'{"error"'), Hold()))
        async with timed(4.5, 7.0):
            response = await proxy.chat()
        assert (response.status, response.json) == (503, {"error": "the upstream answered with status 503"})


async def answered(proxy: Proxy) -> bool:
    proxy.upstream.script("m", HI)
    return (await proxy.chat()).lines[-1]["done"] is True


async def test_next_request_after_each_timeout() -> None:
    """A deadline that passed harms no later request."""
    async with proxied(first_byte_timeout=0.15, idle_timeout=0.15) as proxy:
        for steps in ((Hold(),), (SSE, Hold()), (SSE, Chunk(text("a")), Hold())):
            proxy.upstream.script("m", steps)
            await proxy.chat()
            assert await answered(proxy)
