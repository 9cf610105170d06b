"""The seam to the backend: open a call, fetch its reply. What a reply is read by is in test_reply.py."""

from __future__ import annotations

import asyncio

import pytest

from ollama_openai_proxy.call import Call
from ollama_openai_proxy.deadlines import Timeouts
from ollama_openai_proxy.errors import ProxyError, UpstreamBroken, UpstreamTimeout
from ollama_openai_proxy.upstream.client import Upstream
from support.opening import CALL, TIMEOUTS, opened
from support.processes import free_port
from support.replies import SSE, body
from support.scripted import Chunk, Hold, Pause
from support.scripted import Upstream as Backend
from support.waiting import eventually


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


async def test_an_answer_before_the_body_has_gone() -> None:
    """A backend that refuses a body before it has read it is heard, and the next call has a fresh connection."""
    large = CALL._replace(body=b'{"model":"m","input":"' + b"x" * 20_000_000 + b'"}')
    async with opened(body({}), Timeouts()) as (upstream, backend):
        backend.greeting = (*body({"error": {"message": "too large"}}, 413), Pause(0.2), Hold())
        with pytest.raises(ProxyError, match="too large"):
            await upstream.open(large)
        backend.greeting = ()
        (await upstream.open(CALL)).close()
        assert backend.accepted == 2


@pytest.mark.parametrize("kept", [False, True])
async def test_t12_cancelled_in_any_turn(kept: bool) -> None:
    """T12: a call that is cancelled leaves no connection in use behind, in whichever turn of the loop that is: while it
    connects, sends, or waits, and as the head has just come."""
    async with opened((SSE, Hold()), Timeouts()) as (upstream, backend):
        for turns in range(40):
            if kept:
                backend.script("m", body({}), (SSE, Hold()))
                reply = await upstream.open(CALL)
                assert [await reply.read(), await reply.read()] == [b"{}", b""]
            task = asyncio.create_task(upstream.open(CALL))
            for _ in range(turns):
                await asyncio.sleep(0)
            if task.done():
                (await task).close()
                assert turns > 5
            task.cancel()
            await asyncio.wait((task,))
            await eventually(lambda: not backend.busy, within=2.0)


def test_deadlines_in_another_loop() -> None:
    """A deadline holds in each loop that an upstream is entered in, also if the one before ended soon after a call."""
    port, timeouts = free_port(), Timeouts(connect=5, first_byte=0.3, idle=0.1)
    upstream = Upstream(f"http://127.0.0.1:{port}/v1", "", timeouts, user_agent="a")

    async def ask(seconds: float) -> None:
        silent = await asyncio.get_running_loop().create_server(asyncio.Protocol, "127.0.0.1", port)
        try:
            async with upstream, asyncio.timeout(seconds):
                await upstream.open(CALL)
        finally:
            silent.close()

    with pytest.raises(TimeoutError):
        asyncio.run(ask(0.05))
    with pytest.raises(UpstreamTimeout):
        asyncio.run(ask(3.0))
