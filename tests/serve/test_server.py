"""The server: where it listens, what it tells, how it ends."""

from __future__ import annotations

import asyncio
import logging
import os
import re
import signal
from contextlib import suppress

import pytest
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from ollama_openai_proxy.observe.metrics import Metrics
from ollama_openai_proxy.serve.lifecycle import Lifecycle
from ollama_openai_proxy.serve.server import Drain, Server, serving
from ollama_openai_proxy.serve.sockets import address, listen
from support.proxy import proxied
from support.rawclient import RawClient
from support.waiting import SECONDS, eventually

LIFECYCLE = "ollama_openai_proxy.lifecycle"


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """An application that answers everything; it lives and ends in order."""
    if scope["type"] == "lifespan":
        for stage in ("startup", "shutdown"):
            await receive()
            await send({"type": f"lifespan.{stage}.complete"})
        return
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


async def test_serving() -> None:
    """An application is served at the URL while the block lasts, and nobody listens after it."""
    async with serving(app) as url:
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+", url)
        async with RawClient(url) as client:
            await client.ask("GET", "/")
            assert (await client.response()).body == b"ok"
    with pytest.raises(ConnectionRefusedError):
        async with RawClient(url):
            pass


async def test_headers() -> None:
    """1.3: the server does not name itself, and sends a date."""
    async with serving(app) as url, RawClient(url) as client:
        await client.ask("GET", "/")
        response = await client.response()
        assert response.all("server") == []
        assert len(response.all("date")) == 1


async def test_connections_are_kept() -> None:
    """A connection serves one request after another, streams included."""
    async with proxied() as proxy, proxy.client() as client:
        for path in ("/", "/api/version", "/nowhere", "/api/tags"):
            await client.ask("GET", path)
            assert (await client.response()).all("connection") == []


async def test_forwarding_headers_are_not_believed() -> None:
    """A20: what a client says of where it comes from changes nothing."""
    seen: list[tuple[object, object]] = []

    async def spy(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            seen.append((scope["client"][0], scope["scheme"]))
        await app(scope, receive, send)

    async with serving(spy) as url, RawClient(url) as client:
        await client.ask("GET", "/", None, "X-Forwarded-For: 10.9.9.9", "X-Forwarded-Proto: https")
        await client.response()
    assert seen == [("127.0.0.1", "http")]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_k1_t8_signals(number: signal.Signals, caplog: pytest.LogCaptureFixture) -> None:
    """K1, T8: a signal ends an idle server within a second, in order: it is not raised again after the end."""
    caplog.set_level(logging.INFO, LIFECYCLE)
    listener = listen("127.0.0.1", 0)
    server = Server(app, Lifecycle(Metrics(version="0")), Drain(0, 1))
    serving_task = asyncio.create_task(server.serve(sockets=[listener]))
    await server.listening.wait()
    async with RawClient(f"http://127.0.0.1:{listener.getsockname()[1]}") as client:
        await client.ask("GET", "/")
        await client.response()
        os.kill(os.getpid(), number)
        async with asyncio.timeout(1.5):
            await serving_task
            assert await client.read_to_end() == b""
    assert server.started
    assert [record.__dict__["state"] for record in caplog.records] == ["ready", "draining", "stopped"]


async def test_tells_where_it_listens(caplog: pytest.LogCaptureFixture) -> None:
    """2.K: a start tells the address, an IPv6 one in brackets."""
    caplog.set_level(logging.INFO, LIFECYCLE)
    for host, shown in (("127.0.0.1", "127.0.0.1:{}"), ("::1", "[::1]:{}")):
        with listen(host, 0) as listener:
            port = listener.getsockname()[1]
            async with serving(app, Lifecycle(Metrics(version="0")), listener):
                facts = caplog.records[-1].__dict__
                assert (facts["state"], facts["address"]) == ("ready", shown.format(port))


async def test_failed_start() -> None:
    """An application whose start fails never counts as listening."""

    async def broken(_scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "no"})

    with listen("127.0.0.1", 0) as listener:
        server = Server(broken, handle_signals=False)
        with suppress(SystemExit):  # how newer uvicorns end
            await server.serve(sockets=[listener])
        assert not server.started
        assert not server.listening.is_set()


async def test_k1_connection_that_comes_last() -> None:
    """K1: a connection that was taken just as the listener was closed, and says nothing, does not hold up the end."""
    barrier = asyncio.Event()

    async def held(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await barrier.wait()
        await app(scope, receive, send)

    server = Server(held, Lifecycle(Metrics(version="0")), Drain(0, 3600), handle_signals=False)
    task = asyncio.create_task(server.serve(sockets=[listen("127.0.0.1", 0)]))
    await server.listening.wait()

    def late() -> asyncio.Protocol:
        return HttpToolsProtocol(server.config, server.server_state, server.lifespan.state)

    # What makes connections for the server, and is not closed with its listener.
    other = await asyncio.get_running_loop().create_server(late, "127.0.0.1", 0)
    async with other, RawClient(f"http://{address(other.sockets[0])}") as running:
        await running.ask("GET", "/")
        server.stop()
        await eventually(lambda: not any(each.is_serving() for each in server.servers))
        async with RawClient(f"http://{address(other.sockets[0])}") as silent, asyncio.timeout(SECONDS):
            await eventually(lambda: len(server.server_state.connections) == 2)
            barrier.set()
            await task
            assert await silent.read_to_end() == b""
