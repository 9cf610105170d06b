"""Listening sockets."""

from __future__ import annotations

import asyncio
import socket

import pytest

from ollama_openai_proxy.serve.server import serving
from ollama_openai_proxy.serve.sockets import listen
from serve.test_server import app
from support.rawclient import RawClient


@pytest.mark.parametrize(("host", "family"), [("127.0.0.1", socket.AF_INET), ("::1", socket.AF_INET6)])
async def test_listen(host: str, family: socket.AddressFamily) -> None:
    """A host is listened on by its own family, on a free port for 0."""
    with listen(host, 0) as listener:
        assert listener.family == family
        assert listener.getsockname()[0] == host
        assert listener.getsockname()[1] > 0


async def test_l14_listen_on_all() -> None:
    """L14: `::` takes IPv4 connections, too."""
    with listen("::", 0) as listener, socket.create_connection(("127.0.0.1", listener.getsockname()[1]), 5):
        connection, _ = listener.accept()
        connection.close()


async def test_k9_port_in_use() -> None:
    """K9: a port that another listens on is an OSError at once."""
    with listen("127.0.0.1", 0) as first, pytest.raises(OSError, match="in use"):
        listen("127.0.0.1", first.getsockname()[1])


async def test_k7_port_is_free_again() -> None:
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
