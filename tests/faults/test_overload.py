"""More requests than places (reliability 2.J, C1): who waits, who is refused, in which words, and who is served."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager

import pytest

from support.proxy import Proxy, chat, proxied
from support.rawclient import RawClient
from support.replies import DONE, SSE, finish, text, usage
from support.scripted import Chunk, End, Hold, Wait
from support.waiting import SECONDS, eventually

FULL = {"error": "server busy, please try again.  maximum pending requests exceeded"}
EXCHANGES = "ollama_openai_proxy.exchange"
ANSWER = (Chunk(text("a") + finish() + usage() + DONE), End())


def limited(**settings: float) -> AbstractAsyncContextManager[Proxy]:
    return proxied(forward_unknown_models=True, **settings)


async def figure(proxy: Proxy, name: str) -> float:
    page = (await proxy.ask("GET", "/metrics")).body.decode().splitlines()
    return float(next(line for line in page if line.startswith(f"ollama_proxy_{name} ")).split()[1])


async def waiting(proxy: Proxy, count: int) -> None:
    """Wait until so many requests wait."""
    async with asyncio.timeout(SECONDS):
        while await figure(proxy, "exchanges_queued") != count:
            pass


@asynccontextmanager
async def asking(proxy: Proxy, model: str = "m", *headers: str) -> AsyncIterator[RawClient]:
    async with proxy.client() as client:
        await client.ask("POST", "/api/chat", chat(model), *headers)
        yield client


@asynccontextmanager
async def busy(proxy: Proxy, barrier: asyncio.Event) -> AsyncIterator[RawClient]:
    """Let a request for `held` take a place until the barrier is set."""
    proxy.upstream.script("held", (SSE, Wait(barrier), *ANSWER))
    count = len(proxy.upstream.posts)
    async with asking(proxy, "held") as client:
        await proxy.upstream.request_received(count + 1)
        yield client


async def test_j9_first_come_first_served() -> None:
    """J9: never more than the limit are asked of the backend at a time; the others follow in their order."""
    barrier = asyncio.Event()
    names = [f"q{number}" for number in range(8)]
    async with limited(max_active_requests=1) as proxy:
        for name in names:
            proxy.upstream.script(name, (SSE, *ANSWER))
        async with AsyncExitStack() as clients, busy(proxy, barrier) as first:
            queued = []
            for number, name in enumerate(names):
                queued.append(await clients.enter_async_context(asking(proxy, name)))
                await waiting(proxy, number + 1)
            assert len(proxy.upstream.posts) == 1
            assert await figure(proxy, "exchanges_in_flight") == 9
            barrier.set()
            for client in (first, *queued):
                assert (await client.response()).lines[-1]["done"] is True
        assert [post.json["model"] for post in proxy.upstream.posts] == ["held", *names]
        assert {post.answered.is_set() for post in proxy.upstream.posts} == {True}
        await waiting(proxy, 0)
        assert await figure(proxy, "queue_wait_seconds_count") == 8


async def test_j9_at_most_so_many_at_a_time() -> None:
    """J9: of ten times as many as there are places, each is answered, and none is asked beside a full house."""
    most = 0

    async with limited(max_active_requests=3, ollama_max_queue=30) as proxy:
        proxy.upstream.script("m", (SSE, *ANSWER))

        async def one() -> None:
            nonlocal most
            response = await proxy.chat()
            most = max(most, proxy.upstream.busy)
            assert response.lines[-1]["done"] is True

        await asyncio.gather(*(one() for _ in range(30)))
        assert most <= 3
        assert len(proxy.upstream.posts) == 30


@pytest.mark.parametrize("stream", [True, False])
async def test_j10_queue_full(stream: bool, caplog: pytest.LogCaptureFixture) -> None:
    """J10: a full queue is a 503 at once, in Ollama's words, to be tried again in 1 to 5 seconds; no reset."""
    caplog.set_level(logging.INFO, EXCHANGES)
    barrier = asyncio.Event()
    async with limited(max_active_requests=1, ollama_max_queue=2) as proxy:
        proxy.upstream.script("m", (SSE, *ANSWER))
        async with busy(proxy, barrier) as first, asking(proxy) as second, asking(proxy) as third:
            await waiting(proxy, 2)
            pauses = set()
            for _ in range(40):
                response = await proxy.chat(stream=stream)
                assert (response.status, response.json) == (503, FULL)
                assert response.header("content-type") == "application/json; charset=utf-8"
                pauses.add(response.header("retry-after"))
            assert {*pauses} <= {"1", "2", "3", "4", "5"}
            assert len(pauses) > 1  # whoever was refused together does not come back together
            assert len(proxy.upstream.posts) == 1
            barrier.set()
            for client in (first, second, third):
                assert (await client.response()).lines[-1]["done"] is True
    shed = [line.__dict__ for line in caplog.records if line.__dict__.get("outcome") == "shed_full"]
    assert [(facts["status"], facts["err_class"]) for facts in shed] == [(503, "Busy")] * 40


async def test_j10_no_queue() -> None:
    """J10: with a queue of none nobody waits, and a place that is free again is used."""
    barrier = asyncio.Event()
    async with limited(max_active_requests=1, ollama_max_queue=0) as proxy:
        proxy.upstream.script("m", (SSE, *ANSWER))
        async with busy(proxy, barrier) as first:
            assert (await proxy.chat()).status == 503
            barrier.set()
            await first.response()
        assert (await proxy.chat()).status == 200


@pytest.mark.parametrize("path", ["/api/embed", "/api/embeddings", "/api/generate"])
async def test_j10_every_route_that_asks_the_backend(path: str) -> None:
    """J10: embeddings and generations take places, too, and are refused in the same words."""
    async with limited(max_active_requests=1, ollama_max_queue=0) as proxy:
        async with busy(proxy, asyncio.Event()):
            response = await proxy.ask("POST", path, {"model": "m", "input": "x", "prompt": "x"})
            assert (response.status, response.json) == (503, FULL)
        await eventually(lambda: not proxy.upstream.busy)
        assert len(proxy.upstream.posts) == 1


async def test_j11_queue_deadline(caplog: pytest.LogCaptureFixture) -> None:
    """J11: who has waited as long as one may is a 503, to be tried again, and the backend never hears of it."""
    caplog.set_level(logging.INFO, EXCHANGES)
    barrier = asyncio.Event()
    async with limited(max_active_requests=1, queue_timeout=0.2) as proxy:
        async with busy(proxy, barrier) as first:
            response = await proxy.chat()
            assert response.status == 503
            assert "busy" in response.json["error"]
            assert response.header("retry-after") in ("1", "2", "3", "4", "5")
            await waiting(proxy, 0)
            barrier.set()
            assert (await first.response()).status == 200
        assert len(proxy.upstream.posts) == 1
        proxy.upstream.script("m", (SSE, *ANSWER))
        assert (await proxy.chat()).status == 200
    assert "shed_timeout" in [line.__dict__.get("outcome") for line in caplog.records]


async def test_j12_what_needs_no_place() -> None:
    """J12: while all places are taken and the queue is full, what does not ask the backend is answered as ever."""
    barrier = asyncio.Event()
    async with limited(max_active_requests=1, ollama_max_queue=1) as proxy:
        proxy.upstream.script("m", (SSE, *ANSWER))
        async with busy(proxy, barrier) as first, asking(proxy) as second:
            await waiting(proxy, 1)
            for path in ("/live", "/ready", "/health", "/metrics", "/", "/api/version", "/api/tags", "/api/ps"):
                assert (await proxy.ask("GET", path)).status == 200
            for body in ({"model": "m"}, {"model": "m", "messages": []}):
                path = "/api/chat" if "messages" in body else "/api/show"
                assert (await proxy.ask("POST", path, body)).status == 200
            assert len(proxy.upstream.posts) == 1
            barrier.set()
            for client in (first, second):
                assert (await client.response()).status == 200


@pytest.mark.parametrize("reset", [True, False])
async def test_c1_client_leaves_the_queue(reset: bool, caplog: pytest.LogCaptureFixture) -> None:
    """C1: who leaves while queued frees its place in the queue at once, and never gets one with the backend."""
    caplog.set_level(logging.INFO, EXCHANGES)
    barrier = asyncio.Event()
    async with limited(max_active_requests=1, ollama_max_queue=1) as proxy:
        proxy.upstream.script("m", (SSE, *ANSWER))
        async with busy(proxy, barrier) as first:
            async with asking(proxy) as leaver:
                await waiting(proxy, 1)
                assert (await proxy.chat()).status == 503
                if reset:
                    leaver.reset()
            await waiting(proxy, 0)
            async with asking(proxy) as second:
                await waiting(proxy, 1)
                barrier.set()
                for client in (first, second):
                    assert (await client.response()).lines[-1]["done"] is True
        assert len(proxy.upstream.posts) == 2
    left = [line.__dict__ for line in caplog.records if line.__dict__.get("client_gone")]
    assert [(facts["outcome"], facts["status"], facts["attempts"]) for facts in left] == [("client_abort", 499, 0)]


async def test_c1_everybody_leaves() -> None:
    """C1: however many leave, in whatever order, no place is lost: the next ones find all of them."""
    async with limited(max_active_requests=2) as proxy:
        proxy.upstream.script("m", (Hold(),))
        clients = [proxy.client() for _ in range(20)]
        for client in clients:
            await client.__aenter__()
            await client.ask("POST", "/api/chat", chat())
        await waiting(proxy, 18)
        for client in (*clients[1::2], *clients[::2]):
            client.reset()
        await waiting(proxy, 0)
        await eventually(lambda: not proxy.upstream.busy)
        barrier = asyncio.Event()
        count = len(proxy.upstream.posts)
        proxy.upstream.script("m", (SSE, Wait(barrier), *ANSWER))
        async with asking(proxy) as one, asking(proxy) as other:
            await proxy.upstream.request_received(count + 2)
            barrier.set()
            for client in (one, other):
                assert (await client.response()).status == 200
