"""The end of a proxy that is busy (reliability 2.K, T8): who is still served, who is told what, what is left."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest
from fastapi import FastAPI

from ollama_openai_proxy.main import create_app
from ollama_openai_proxy.serve.server import Drain, Server
from ollama_openai_proxy.serve.sockets import address, listen
from support.proxy import KEY, Proxy, chat, sealed
from support.replies import DONE, HI, SSE, finish, text, usage
from support.scripted import Chunk, End, Flood, Hold, Step, Upstream, Wait
from support.waiting import SECONDS, eventually, no_errors

LONG = 3600.0
EXCHANGES = "ollama_openai_proxy.exchange"


class Ending:
    """A proxy that is to end, and when it has."""

    def __init__(self, proxy: Proxy, app: FastAPI, serving: asyncio.Task[None]) -> None:
        self.proxy = proxy
        self.serving = serving
        self._state = app.state

    async def signalled(self, number: signal.Signals = signal.SIGTERM) -> None:
        """Send the signal, and wait until it was taken."""
        os.kill(os.getpid(), number)
        await eventually(lambda: self._state.lifecycle.draining)

    async def ended(self) -> None:
        async with asyncio.timeout(SECONDS):
            await self.serving

    def figure(self, name: str) -> float:
        """Return the value of the figure with this name and labels."""
        page, _ = self._state.metrics.render("")
        return float(next(line for line in page.decode().splitlines() if line.startswith(f"{name} ")).split()[-1])


@asynccontextmanager
async def ending(drain: Drain, **settings: int) -> AsyncIterator[Ending]:
    """Serve the proxy, with signals, and check that its end leaves nothing behind."""
    async with Upstream() as upstream:
        with no_errors():
            app = create_app(sealed(openai_api_base_url=upstream.url, openai_api_key=KEY, **settings))
            listener = listen("127.0.0.1", 0)
            server = Server(app, app.state.lifecycle, drain)
            before = asyncio.all_tasks()
            task = asyncio.create_task(server.serve(sockets=[listener]))
            await server.listening.wait()
            yield Ending(Proxy(f"http://{address(listener)}", upstream), app, task)
            if not task.done():
                server.stop()
                server.stop()
            async with asyncio.timeout(SECONDS):
                await task
            await eventually(lambda: not asyncio.all_tasks() - before - upstream.tasks - {asyncio.current_task()})
        await eventually(lambda: not upstream.connections)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
async def test_k2_delay(number: signal.Signals) -> None:
    """K2, G12: for the delay readiness says 503, while new requests are served and told `Connection: close`."""
    async with ending(Drain(LONG, LONG)) as end:
        end.proxy.upstream.script("m", HI)
        ready = await end.proxy.ask("GET", "/ready")
        assert (ready.status, ready.body) == (200, b"ready")
        await end.signalled(number)
        ready = await end.proxy.ask("GET", "/ready")
        assert (ready.status, ready.body) == (503, b"draining")
        assert (await end.proxy.ask("GET", "/live")).status == 200
        served = await end.proxy.chat()
        assert served.lines[-1]["done"] is True
        assert served.all("connection") == ["close"]
        health = await end.proxy.ask("GET", "/health")
        assert (health.status, health.json["state"], health.json["status"]) == (503, "draining", "unhealthy")
        assert end.figure("ollama_proxy_draining") == 1


async def test_k4_kept_connection() -> None:
    """K4: a request on a connection that was kept is served, and is the last one on it."""
    async with ending(Drain(LONG, LONG)) as end, end.proxy.client() as client:
        await client.ask("GET", "/api/version")
        assert (await client.response()).all("connection") == []
        await end.signalled()
        await client.ask("GET", "/api/version")
        response = await client.response()
        assert (response.status, response.all("connection")) == (200, ["close"])
        assert await client.read_to_end() == b""


async def test_k2_t9_running_stream_ends_whole() -> None:
    """K2, T9: what runs when the listener closes may finish; a new connection is refused meanwhile."""
    barrier = asyncio.Event()
    rest = (Wait(barrier), Chunk(text("b") + finish() + usage() + DONE), End())
    async with ending(Drain(0, LONG)) as end, end.proxy.client() as client:
        end.proxy.upstream.script("m", (SSE, Chunk(text("a")), *rest))
        await client.ask("POST", "/api/chat", chat())
        await client.read_until(b'"content":"a"')
        await end.signalled()
        await refused(end.proxy)
        assert not end.serving.done()
        barrier.set()
        tail = await client.read_to_end()
        assert b'"content":"b"' in tail
        assert b'"done":true' in tail
        assert tail.endswith(b"\r\n0\r\n\r\n")
        await end.ended()


async def refused(proxy: Proxy) -> None:
    """Wait until nobody listens."""
    async with asyncio.timeout(SECONDS):
        while True:
            try:
                async with proxy.client():
                    await asyncio.sleep(0.005)
            except (ConnectionRefusedError, ConnectionResetError):
                return


async def test_k3_stream_that_takes_too_long(caplog: pytest.LogCaptureFixture) -> None:
    """K3: it ends with an error record and in order, never with `done`; the upstream is let go."""
    caplog.set_level(logging.INFO, EXCHANGES)
    async with ending(Drain(0, 0.3)) as end, end.proxy.client() as client:
        end.proxy.upstream.script("m", (SSE, Chunk(text("a")), Hold()))
        await client.ask("POST", "/api/chat", chat())
        await client.read_until(b'"content":"a"')
        await end.signalled()
        tail = await client.read_to_end()
        assert tail.endswith(b'{"error":"server is shutting down"}\n\r\n0\r\n\r\n')
        assert b'"done":true' not in tail
        await end.ended()
        await eventually(end.proxy.upstream.posts[0].peer_left.is_set)
    facts = caplog.records[-1].__dict__
    assert (facts["status"], facts["outcome"], facts["err_class"]) == (200, "draining", "Draining")


@pytest.mark.parametrize("stream", [True, False])
async def test_k5_request_that_waits_too_long(caplog: pytest.LogCaptureFixture, stream: bool) -> None:
    """K5: without a byte of an answer at the deadline it is a 503 with Retry-After, in the API's own shape."""
    caplog.set_level(logging.INFO, EXCHANGES)
    async with ending(Drain(0, 0.3)) as end, end.proxy.client() as client:
        end.proxy.upstream.script("m", (Hold(),))
        await client.ask("POST", "/api/chat", chat(stream=stream))
        await eventually(lambda: end.proxy.upstream.posts)
        await end.signalled()
        response = await client.response()
        assert (response.status, response.json) == (503, {"error": "server is shutting down"})
        assert response.header("retry-after") == "1"
        assert response.header("x-request-id")
        await end.ended()
        await eventually(end.proxy.upstream.posts[0].peer_left.is_set)
    assert caplog.records[-1].__dict__["outcome"] == "draining"


async def test_k5_queued_request(caplog: pytest.LogCaptureFixture) -> None:
    """K5: who waits for a place when the end begins is refused at once, as is who comes then; what runs goes on."""
    caplog.set_level(logging.INFO, EXCHANGES)
    barrier = asyncio.Event()
    async with ending(Drain(LONG, LONG), max_active_requests=1) as end:
        end.proxy.upstream.script("m", (SSE, Wait(barrier), Chunk(text("a") + finish() + usage() + DONE), End()))
        async with end.proxy.client() as client, end.proxy.client() as queued:
            await client.ask("POST", "/api/chat", chat())
            await end.proxy.upstream.request_received()
            await queued.ask("POST", "/api/chat", chat())
            await eventually(lambda: end.figure("ollama_proxy_exchanges_queued") == 1)
            await end.signalled()
            for response in (await queued.response(), await end.proxy.chat()):
                assert (response.status, response.json) == (503, {"error": "server is shutting down"})
                assert response.header("retry-after") == "1"
            barrier.set()
            assert (await client.response()).lines[-1]["done"] is True
        assert len(end.proxy.upstream.posts) == 1
        assert end.figure("ollama_proxy_drain_cut_total") == 0
    assert [line.__dict__["outcome"] for line in caplog.records if line.name == EXCHANGES] == ["draining"] * 2 + ["ok"]


async def test_k5_body_that_takes_too_long() -> None:
    """K5: a request whose body is still on its way is a 503, too."""
    async with ending(Drain(0, 0.3)) as end, end.proxy.client() as client:
        await client.send(b"POST /api/chat HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{")
        await running(end.proxy)
        await end.signalled()
        response = await client.response()
        assert (response.status, response.json) == (503, {"error": "server is shutting down"})
        await end.ended()


async def running(proxy: Proxy) -> None:
    """Wait until a request runs."""
    async with asyncio.timeout(SECONDS):
        while not (await proxy.ask("GET", "/health")).json["in_flight"]:
            pass


async def test_t5_t8_client_that_does_not_read() -> None:
    """T5, T8: who takes nothing does not hold up the end; the upstream is let go."""
    flood: Sequence[Step] = (SSE, Flood(text("x" * 60_000), 2_000))
    async with ending(Drain(0, 0.3)) as end, end.proxy.client(receive_buffer=4096) as client:
        end.proxy.upstream.script("m", flood)
        await client.ask("POST", "/api/chat", chat())
        await client.read_until(b'"content"')
        await end.signalled()
        await end.ended()
        await eventually(end.proxy.upstream.posts[0].peer_left.is_set)


@pytest.mark.parametrize("running_stream", [False, True])
async def test_k6_second_signal(running_stream: bool) -> None:
    """K6: a second signal ends at once what a first one would have waited for; a stream still gets its error."""
    async with ending(Drain(LONG, LONG)) as end, end.proxy.client() as client:
        if running_stream:
            end.proxy.upstream.script("m", (SSE, Chunk(text("a")), Hold()))
            await client.ask("POST", "/api/chat", chat())
            await client.read_until(b'"content":"a"')
        await end.signalled()
        assert (await end.proxy.ask("GET", "/ready")).status == 503
        await end.signalled(signal.SIGINT)
        if running_stream:
            assert (await client.read_to_end()).endswith(b'{"error":"server is shutting down"}\n\r\n0\r\n\r\n')
        await end.ended()


async def test_k1_idle() -> None:
    """K1, G11: where nobody asks, nobody is waited for, however long the default delay is."""
    async with ending(Drain()) as end:
        await end.signalled()
        await end.ended()


async def test_figures() -> None:
    """2.K: what a drain has cut is counted, and so is the stream that broke by it."""
    async with ending(Drain(0, 0.3)) as end, end.proxy.client() as client:
        end.proxy.upstream.script("m", (SSE, Chunk(text("a")), Hold()))
        await client.ask("POST", "/api/chat", chat())
        await client.read_until(b'"content":"a"')
        assert end.figure("ollama_proxy_drain_cut_total") == 0
        assert end.figure("ollama_proxy_exchanges_in_flight") == 1
        await end.signalled()
        await end.ended()
        assert end.figure("ollama_proxy_drain_cut_total") == 1
        assert end.figure('ollama_proxy_streams_broken_total{outcome="draining"}') == 1
        assert end.figure("ollama_proxy_exchanges_in_flight") == 0


async def test_k3_timeout_shorter_than_the_default_delay() -> None:
    """K3: a deadline that was set is kept, also where the delay that was not set would be longer."""
    async with ending(Drain(None, 0.3)) as end, end.proxy.client() as client:
        end.proxy.upstream.script("m", (SSE, Chunk(text("a")), Hold()))
        await client.ask("POST", "/api/chat", chat())
        await client.read_until(b'"content":"a"')
        started = time.monotonic()
        await end.signalled()
        await end.ended()
        assert time.monotonic() - started < 4


async def test_k2_whole_answer_is_not_cut(caplog: pytest.LogCaptureFixture) -> None:
    """K2: an answer that the client has is whole, though the backend keeps its own open: it is not counted as cut."""
    caplog.set_level(logging.INFO, EXCHANGES)
    async with ending(Drain(LONG, LONG)) as end, end.proxy.client() as client:
        end.proxy.upstream.script("m", (SSE, Chunk(text("a") + finish() + usage() + DONE), Hold()))
        await client.ask("POST", "/api/chat", chat())
        await client.read_until(b'"done":true')
        await end.signalled()
        await end.signalled()
        await end.ended()
        assert end.figure("ollama_proxy_drain_cut_total") == 0
    assert [line.__dict__["outcome"] for line in caplog.records if line.name == EXCHANGES] == ["ok"]
