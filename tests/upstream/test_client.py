"""The seam to the backend: open a call, read what arrives, let go."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest

from ollama_openai_proxy.call import Call
from ollama_openai_proxy.deadlines import Timeouts
from ollama_openai_proxy.errors import (
    ModelNotFound,
    ProxyError,
    UpstreamBroken,
    UpstreamError,
    UpstreamRefused,
    UpstreamTimeout,
    UpstreamUnauthorised,
    UpstreamUnreachable,
)
from ollama_openai_proxy.upstream.client import Upstream
from ollama_openai_proxy.upstream.reply import Reply
from support.replies import SSE, body
from support.scripted import Chunk, Close, End, Flood, Hold, Pause, Reset, Send, Status, Step
from support.scripted import Upstream as Backend
from support.waiting import eventually

CALL = Call("/chat/completions", b'{"model":"m"}', "client-name", streamed=True)
WHOLE = CALL._replace(streamed=False)
TIMEOUTS = Timeouts(connect=0.2, first_byte=0.2, idle=0.2, whole=0.4)


@asynccontextmanager
async def opened(steps: Sequence[Step], timeouts: Timeouts = TIMEOUTS) -> AsyncIterator[tuple[Upstream, Backend]]:
    async with Backend() as backend:
        backend.script("m", steps)
        backend.script("/v1/models", steps)
        async with Upstream(backend.url, "key", timeouts, user_agent="agent/1") as upstream:
            yield upstream, backend


async def test_request() -> None:
    """A call with a body is a POST of these bytes to base URL and path, with exactly these headers."""
    async with opened(body({})) as (upstream, backend):
        (await upstream.open(CALL)).close()
        (request,) = backend.requests
        assert (request.method, request.path, request.body) == ("POST", "/v1/chat/completions", CALL.body)
        assert request.headers == {
            "host": backend.url.split("/")[2],
            "authorization": "Bearer key",
            "accept": "text/event-stream",
            "accept-encoding": "identity",
            "content-type": "application/json",
            "content-length": "13",
            "user-agent": "agent/1",
        }


async def test_request_without_key() -> None:
    """Without a key no Authorization is sent, and there is no secret to hide."""
    async with Backend() as backend, Upstream(backend.url, "", TIMEOUTS, user_agent="a") as upstream:
        await upstream.fetch(Call("/models"), 1000, 1.0)
        assert "authorization" not in backend.requests[0].headers
        assert upstream.secrets == ()


async def test_cookies_are_not_kept() -> None:
    """E17: a cookie that the backend sets is not sent back to it: it would be one client's with the next client."""
    steps = body({}, 200, "Set-Cookie: session=1; Path=/")
    async with opened(steps) as (_, backend):
        url = backend.url.replace("127.0.0.1", "localhost")
        async with Upstream(url, "", Timeouts(), user_agent="a") as upstream:
            for _ in range(2):
                await upstream.fetch(Call("/models"), 1000, 5.0)
        assert ["cookie" in request.headers for request in backend.requests] == [False, False]


async def test_get() -> None:
    """A call without a body is a GET, and asks for JSON."""
    async with opened(body({})) as (upstream, backend):
        await upstream.fetch(Call("/models"), 1000, 1.0)
        assert (backend.requests[0].method, backend.requests[0].headers["accept"]) == ("GET", "application/json")


async def test_reads_end_with_nothing() -> None:
    """Reads are the body, without its framing, as they arrive; at the end there is nothing, as often as asked."""
    async with opened((SSE, Chunk(b"a"), Pause(0.05), Chunk(b"b"), End())) as (upstream, _):
        reply = await upstream.open(CALL)
        assert reply.content_type == "text/event-stream"
        assert [await reply.read() for _ in range(4)] == [b"a", b"b", b"", b""]
        reply.close()


OUTCOMES: dict[str, tuple[Sequence[Step], type[ProxyError], int, str]] = {
    "D8 FIN": ((Close(),), UpstreamUnreachable, 502, "up_reset"),
    "D8 RST": ((Pause(0.02), Reset()), UpstreamUnreachable, 502, "up_reset"),
    "E1": ((Hold(),), UpstreamTimeout, 504, "up_ttft_timeout"),
    "E3": ((Send(b"HTTP/1.1 200 OK\r\nA"), Close()), UpstreamBroken, 502, "up_protocol"),
    "E4": ((Send(b"SSH-2.0\r\n"), Close()), UpstreamBroken, 502, "up_protocol"),
    "E9": ((Status(101, "Connection: upgrade", "Upgrade: h2c"), Hold()), UpstreamBroken, 502, "up_protocol"),
    "E11": (body(b"", 302, "Location: /"), UpstreamBroken, 502, "up_protocol"),
    "E16": (body(b"", 200, "Content-Encoding: br"), UpstreamBroken, 502, "up_protocol"),
    "I1": (body({"error": {"message": "no"}}, 400), UpstreamRefused, 400, "up_4xx"),
    "I2": (body(b"", 401), UpstreamUnauthorised, 502, "up_4xx"),
    "I3": (body({"error": {"message": "no", "code": "model_not_found"}}, 404), ModelNotFound, 404, "not_found"),
    "J1": (body(b"", 429, "Retry-After: 3"), UpstreamRefused, 429, "up_429"),
    "I12": (body(b"", 502), UpstreamRefused, 502, "up_5xx"),
}


@pytest.mark.parametrize(("steps", "kind", "status", "outcome"), OUTCOMES.values(), ids=OUTCOMES.keys())
async def test_refused_to_open(steps: Sequence[Step], kind: type[ProxyError], status: int, outcome: str) -> None:
    """2.0: what goes wrong before the reply is one of our errors, with its status and its word for the log."""
    async with opened(steps) as (upstream, backend):
        with pytest.raises(ProxyError) as caught:
            await upstream.open(CALL)
        assert type(caught.value) is kind
        assert (caught.value.status, caught.value.outcome) == (status, outcome)
        await eventually(lambda: not backend.busy, within=1.0)


async def test_client_name_in_errors() -> None:
    """A model that the backend does not have is told under the client's name."""
    async with opened(body({"error": {"message": "model m not found"}}, 404)) as (upstream, _):
        with pytest.raises(ModelNotFound) as caught:
            await upstream.open(CALL)
        assert caught.value.model == "client-name"


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


async def test_cancelled_read_lets_go() -> None:
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


async def test_fetch_has_a_limit() -> None:
    """A fetched body may have exactly so many bytes, and not one more."""
    async with opened(body(b"x" * 100)) as (upstream, _):
        assert await upstream.fetch(Call("/models"), 100, 1.0) == b"x" * 100
        with pytest.raises(UpstreamBroken):
            await upstream.fetch(Call("/models"), 99, 1.0)


async def test_fetch_ends_in_time() -> None:
    """A fetch that drips is over when its seconds are over, and lets go."""
    steps = (SSE, *(Chunk(b"x"), Pause(0.05)) * 40)
    async with opened(steps, Timeouts()) as (upstream, backend):
        async with asyncio.timeout(1.0):
            with pytest.raises(UpstreamTimeout):
                await upstream.fetch(Call("/models"), 1000, 0.2)
        await eventually(lambda: not backend.busy, within=1.0)


async def test_pool_has_no_limit() -> None:
    """Hundreds of calls run at once: none waits for another."""
    async with opened((SSE, Chunk(b"a"), Hold()), Timeouts(connect=5)) as (upstream, backend):
        replies = await asyncio.gather(*(upstream.open(CALL) for _ in range(200)))
        assert backend.busy == 200
        for reply in replies:
            reply.close()
        await eventually(lambda: not backend.busy)


async def test_flood_is_not_read_ahead() -> None:
    """F12: what is not read is not taken from the backend."""
    async with opened((SSE, Flood(b"x" * 60_000, 800), End()), Timeouts()) as (upstream, backend):
        reply = await upstream.open(CALL)
        (connection,) = backend.connections
        await eventually(lambda: not connection.writable)
        assert connection.written < 24_000_000
        reply.close()
