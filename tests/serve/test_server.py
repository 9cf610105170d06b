"""The server: where it listens, what it tells, how it ends."""

from __future__ import annotations

import asyncio
import logging
import os
import re
import signal
import socket
from contextlib import suppress

import pytest
from starlette.types import Receive, Scope, Send

from ollama_openai_proxy.serve.server import Server, listen, serving
from support.proxy import proxied
from support.rawclient import RawClient


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
async def test_signals(number: signal.Signals, caplog: pytest.LogCaptureFixture) -> None:
    """K1, T8: a signal ends an idle server within a second, in order: it is not raised again after the end."""
    caplog.set_level(logging.INFO, "ollama_openai_proxy.serve.server")
    listener = listen("127.0.0.1", 0)
    server = Server(app, shutdown_seconds=1)
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
    assert [record.message for record in caplog.records][-1] == "stopping"


async def test_tells_where_it_listens(caplog: pytest.LogCaptureFixture) -> None:
    """A start tells the address, an IPv6 one in brackets."""
    caplog.set_level(logging.INFO, "ollama_openai_proxy.serve.server")
    for host, shown in (("127.0.0.1", "127.0.0.1:{}"), ("::1", "[::1]:{}")):
        listener = listen(host, 0)
        server = Server(app, shutdown_seconds=1, handle_signals=False)
        task = asyncio.create_task(server.serve(sockets=[listener]))
        await server.listening.wait()
        assert caplog.records[-1].message == "listening on " + shown.format(listener.getsockname()[1])
        server.should_exit = True
        await task


async def test_failed_start() -> None:
    """An application whose start fails never counts as listening."""

    async def broken(_scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "no"})

    with listen("127.0.0.1", 0) as listener:
        server = Server(broken, shutdown_seconds=1, handle_signals=False)
        with suppress(SystemExit):  # how newer uvicorns end
            await server.serve(sockets=[listener])
        assert not server.started
        assert not server.listening.is_set()


@pytest.mark.parametrize(("host", "family"), [("127.0.0.1", socket.AF_INET), ("::1", socket.AF_INET6)])
async def test_listen(host: str, family: socket.AddressFamily) -> None:
    """A host is listened on by its own family, on a free port for 0."""
    with listen(host, 0) as listener:
        assert listener.family == family
        assert listener.getsockname()[0] == host
        assert listener.getsockname()[1] > 0


async def test_listen_on_all() -> None:
    """L14: `::` takes IPv4 connections, too."""
    with listen("::", 0) as listener, socket.create_connection(("127.0.0.1", listener.getsockname()[1]), 5):
        connection, _ = listener.accept()
        connection.close()


async def test_port_in_use() -> None:
    """K9: a port that another listens on is an OSError at once."""
    with listen("127.0.0.1", 0) as first, pytest.raises(OSError, match="in use"):
        listen("127.0.0.1", first.getsockname()[1])


async def test_port_is_free_again() -> None:
    """K7: a port whose last connections have just been closed can be listened on at once."""
    listener = listen("127.0.0.1", 0)
    port = listener.getsockname()[1]
    client = socket.create_connection(("127.0.0.1", port))
    server, _ = listener.accept()
    server.close()  # the side that closes first keeps the port in TIME_WAIT
    client.close()
    listener.close()
    listen("127.0.0.1", port).close()


async def test_many_connections_wait() -> None:
    """P2: hundreds of clients that connect in one moment are all answered."""
    async with serving(app) as url:
        clients = [RawClient(url) for _ in range(300)]
        await asyncio.gather(*(client.__aenter__() for client in clients))
        for client in clients:
            await client.ask("GET", "/")
        for client in clients:
            assert (await client.response()).body == b"ok"
            client.close()
