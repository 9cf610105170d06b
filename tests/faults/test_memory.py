"""A container that runs out of memory (reliability J14): who is refused, and who is not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from ollama_openai_proxy.main import Process, create_app
from ollama_openai_proxy.serve.server import serving
from support.proxy import KEY, Proxy, chat, sealed
from support.replies import DONE, HI, SSE, finish, text
from support.scripted import Chunk, End, Upstream, Wait
from support.waiting import SECONDS


class Kernel:
    """What is told of memory."""

    used = 0.5

    def share(self) -> float:
        return self.used


@asynccontextmanager
async def limited(kernel: Kernel, **settings: Any) -> AsyncIterator[Proxy]:
    async with Upstream() as upstream:
        loaded = sealed(openai_api_base_url=upstream.url, openai_api_key=KEY, **settings)
        app = create_app(loaded, Process(memory_used=kernel.share))
        async with serving(app, app.state.lifecycle) as url:
            yield Proxy(url, upstream)


async def reached(proxy: Proxy, share: float) -> None:
    """Wait until the proxy has looked."""
    async with asyncio.timeout(SECONDS):
        while f"ollama_proxy_memory_limit_used_ratio {share}".encode() not in (await proxy.ask("GET", "/metrics")).body:
            pass


async def test_j14_memory_pressure() -> None:
    """J14: above the limit new requests are a 503 and connections end; what runs goes on; below it all is as ever."""
    kernel, barrier = Kernel(), asyncio.Event()
    async with limited(kernel) as proxy, proxy.client() as running, proxy.client() as kept:
        held = (SSE, Chunk(text("a")), Wait(barrier), Chunk(text("b") + finish() + DONE), End())
        proxy.upstream.script("m", held, HI)
        await kept.ask("GET", "/api/version")
        assert (await kept.response()).header("connection") is None
        await running.ask("POST", "/api/chat", chat())
        await running.read_until(b'"content":"a"')
        kernel.used = 0.93
        await reached(proxy, 0.93)
        for path, body in (("/api/chat", chat()), ("/api/embed", {"model": "m", "input": "x"}), ("/api/generate", {})):
            response = await proxy.ask("POST", path, body)
            assert response.status == 503
            assert "busy" in response.json["error"]
            assert response.header("retry-after") in ("1", "2", "3", "4", "5")
            assert "close" in response.all("connection")
        await kept.ask("GET", "/api/version")
        response = await kept.response()
        assert (response.status, response.header("connection")) == (200, "close")
        assert await kept.read_to_end() == b""
        for path in ("/live", "/ready", "/api/tags", "/api/version"):
            assert (await proxy.ask("GET", path)).status == 200
        barrier.set()
        assert b'"done":true' in await running.read_until(b"\r\n0\r\n\r\n")
        assert len(proxy.upstream.posts) == 1
        kernel.used = 0.5
        await reached(proxy, 0.5)
        assert (await proxy.chat()).status == 200


async def test_j14_large_body_is_not_read() -> None:
    """J14: what is refused for want of memory is refused before its body, which would take more of it."""
    kernel = Kernel()
    kernel.used = 0.99
    async with limited(kernel) as proxy, proxy.client() as client:
        await reached(proxy, 0.99)
        await client.send(b"POST /api/chat HTTP/1.1\r\nHost: localhost\r\nContent-Length: 30000000\r\n\r\n{")
        assert (await client.response()).status == 503


async def test_j14_off_and_another_limit() -> None:
    """J14: MEMORY_LIMIT_PERCENT moves the limit, and 0 turns it off."""
    kernel = Kernel()
    kernel.used = 0.99
    async with limited(kernel, memory_limit_percent=0) as proxy:
        await reached(proxy, 0.99)
        proxy.upstream.script("m", HI)
        assert (await proxy.chat()).status == 200
    kernel.used = 0.5
    async with limited(kernel, memory_limit_percent=40) as proxy:
        await reached(proxy, 0.5)
        assert (await proxy.chat()).status == 503
