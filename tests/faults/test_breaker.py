"""A backend that is down is left in peace, and found again at once (reliability 2.D, 2.J: D10, J7, J8, J16)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from support.proxy import KEY, Proxy, chat, proxied, running_proxy
from support.rawclient import RawClient, Response
from support.replies import HI, SSE, body, text
from support.scripted import Chunk, Close, Hold, Pause, Reset, Send, Upstream, Wait
from support.waiting import eventually

UNAVAILABLE = {"error": "upstream unavailable"}


@asynccontextmanager
async def before(upstream: Upstream, **settings: object) -> AsyncIterator[Proxy]:
    """A proxy that has seen its backend's list. What a breaker does goes on to the end: no check of what is left."""
    async with running_proxy(upstream.url, **settings) as url:
        proxy = Proxy(url, upstream)
        await proxy.ask("GET", "/api/tags")
        yield proxy


async def figure(proxy: Proxy, name: str) -> float:
    page = (await proxy.ask("GET", "/metrics")).body.decode()
    lines = [line for line in page.splitlines() if line.startswith(f"ollama_proxy_{name}")]
    return float(lines[0].rpartition(" ")[2]) if lines else 0.0


async def asked(proxy: Proxy, times: int) -> list[int]:
    return [(await proxy.chat(stream=False)).status for _ in range(times)]


async def answered(proxy: Proxy, within: float) -> None:
    """Ask again and again until there is an answer."""
    async with asyncio.timeout(within):
        while (await proxy.chat()).status != 200:  # noqa: ASYNC110  # a client can only ask
            await asyncio.sleep(0.05)


async def test_j7_resets_open_it() -> None:
    """J7: after five resets in a row requests are 503 with the seconds to wait, and reach the backend no more."""
    async with Upstream() as upstream, before(upstream) as proxy:
        upstream.script("m", (Reset(),))
        assert await asked(proxy, 5) == [502] * 5
        refused = await proxy.chat()
        assert (refused.status, refused.json) == (503, UNAVAILABLE)
        assert 1 <= int(refused.header("retry-after") or 0) <= 15
        assert len(upstream.posts) == 5
        assert await figure(proxy, "upstream_breaker_state") == 2
        assert await figure(proxy, 'exchanges_total{front="ollama",model="m",outcome="breaker_open"') == 1


async def test_j7_refused_connections_open_it() -> None:
    """J7: so do connections that are refused; a request with its repeats counts once."""
    async with Upstream() as upstream, before(upstream) as proxy:
        await upstream.stop()
        assert await asked(proxy, 6) == [502] * 5 + [503]


@pytest.mark.parametrize("status", [400, 429, 500, 502, 503])
async def test_j7_answers_do_not(status: int) -> None:
    """J7: whatever the backend answers, it is there."""
    async with proxied() as proxy:
        proxy.upstream.script("m", body({"error": {"message": "no"}}, status))
        assert await asked(proxy, 8) == [status] * 8


async def test_j7_clients_who_leave_do_not() -> None:
    """J7: clients who leave before the answer say nothing of the backend."""
    async with proxied() as proxy:
        proxy.upstream.script("m", (Hold(),))
        for count in range(1, 9):
            async with proxy.client() as client:
                await client.ask("POST", "/api/chat", chat())
                await proxy.upstream.request_received(count)
            await proxy.upstream.peer_left(count)
        proxy.upstream.script("m", HI)
        assert (await proxy.chat()).status == 200


async def test_j7_slow_answers_do_not() -> None:
    """J7: an answer that does not come in time is no matter of connections."""
    async with proxied(first_byte_timeout=0.05) as proxy:
        proxy.upstream.script("m", (Hold(),))
        assert [(await proxy.chat()).status for _ in range(7)] == [504] * 7


async def test_j7_stale_connections_do_not() -> None:
    """J7: a burst of kept connections that died costs repeats, and the breaker stays closed."""
    async with proxied() as proxy:
        proxy.upstream.script("m", *[HI, (Close(),), HI] * 8)
        assert await asked(proxy, 16) == [200] * 16


async def test_j7_never() -> None:
    """J7: with BREAKER_FAILURES=0 each request is tried."""
    async with Upstream() as upstream, before(upstream, breaker_failures=0) as proxy:
        upstream.script("m", (Reset(),))
        assert await asked(proxy, 12) == [502] * 12


@asynccontextmanager
async def half_open(upstream: Upstream) -> AsyncIterator[Proxy]:
    """A proxy whose breaker was opened by resets, and whose pause is over."""
    async with before(upstream, breaker_failures=2, breaker_pause=0.3) as proxy:
        upstream.script("m", (Reset(),))
        assert await asked(proxy, 3) == [502, 502, 503]
        await asyncio.sleep(0.35)
        yield proxy


async def test_j8_one_probe_that_succeeds() -> None:
    """J8: after the pause one request goes through while others are refused; its answer lets all through."""
    async with Upstream() as upstream, half_open(upstream) as proxy, proxy.client() as client:
        barrier = asyncio.Event()
        upstream.script("m", (Wait(barrier), *HI), HI)
        await client.ask("POST", "/api/chat", chat())
        await upstream.request_received(3)
        assert (await proxy.chat()).status == 503
        barrier.set()
        assert (await client.response()).status == 200
        assert await asked(proxy, 2) == [200, 200]
        assert await figure(proxy, "upstream_breaker_state") == 0


async def test_j8_probe_that_fails() -> None:
    """J8: when that request fails there is another pause."""
    async with Upstream() as upstream, half_open(upstream) as proxy:
        assert await asked(proxy, 2) == [502, 503]
        assert len(upstream.posts) == 3


async def test_j8_probe_whose_client_leaves() -> None:
    """J8: when its client leaves that is no verdict, and the next request is the probe."""
    async with Upstream() as upstream, half_open(upstream) as proxy:
        upstream.script("m", (Hold(),), HI)
        async with proxy.client() as client:
            await client.ask("POST", "/api/chat", chat())
            await upstream.request_received(3)
        await upstream.peer_left(3)
        assert (await proxy.chat()).status == 200


async def test_d10_restart_under_load() -> None:
    """D10: a hundred streams each end in one error line; new requests fail at once, and are answered within a second
    after the backend is back, whatever the pause."""
    async with Upstream() as upstream, before(upstream, breaker_pause=60) as proxy:
        upstream.script("m", (SSE, Chunk(text("Hi")), Hold()))
        streams = [asyncio.create_task(proxy.chat()) for _ in range(100)]
        await eventually(lambda: upstream.busy == 100)
        await upstream.stop()
        ended: list[Response] = await asyncio.gather(*streams)
        assert all(set(response.lines[-1]) == {"error"} for response in ended)
        down = await asked(proxy, 20)
        assert set(down[:5]) == {502}
        assert set(down[5:]) == {503}
        upstream.script("m", HI)
        await upstream.start()
        await answered(proxy, within=3)  # one second, on a machine with nothing else to do
        await eventually(lambda: upstream.busy == 0)


async def test_j16_probes_cost_nothing() -> None:
    """J16: a backend that is down is looked for by its list, about twice a second and one at a time."""
    async with Upstream() as upstream, before(upstream, breaker_failures=2, breaker_pause=60) as proxy:
        upstream.greeting = (Pause(0.1), Reset())
        assert await asked(proxy, 3) == [502, 502, 503]
        accepted, most = upstream.accepted, 0
        end = asyncio.get_running_loop().time() + 1.5
        while asyncio.get_running_loop().time() < end:
            await asyncio.sleep(0.02)
            most = max(most, len(upstream.connections))
        assert 1 <= upstream.accepted - accepted <= 3
        assert most == 1


async def test_d10_what_is_accepted_and_dropped_is_found_again() -> None:
    """D10: a port that takes connections and drops them, as that of a container that restarts, is no backend; when
    one is there again it is found before the pause is over."""
    async with Upstream() as upstream, before(upstream, breaker_pause=60) as proxy:
        upstream.greeting = (Reset(),)
        assert await asked(proxy, 6) == [502] * 5 + [503]
        accepted = upstream.accepted
        await eventually(lambda: upstream.accepted > accepted + 1)  # its list was dropped, and asked for again
        upstream.greeting = ()
        upstream.script("m", HI)
        await answered(proxy, within=5)
        assert all(request.method == "GET" for request in upstream.requests[:-1])


async def test_j7_others_are_told_too() -> None:
    """J7: a client that comes while it is open learns it whichever route it asks, and lists are served as ever."""
    async with Upstream() as upstream, before(upstream, breaker_failures=1) as proxy:
        upstream.script("m", (Send(b""), Reset()))
        assert (await proxy.chat()).status == 502
        async with RawClient(proxy.url) as client:
            await client.ask("POST", "/api/embed", {"model": "m", "input": "x"})
            assert (await client.response()).status == 503
        listed = await proxy.ask("GET", "/api/tags")
        assert [model["name"] for model in listed.json["models"]] == ["m:latest"]
        assert KEY not in listed.body.decode()
