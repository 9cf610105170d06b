"""How connections are made: what the system is told of them, and what they trust."""

from __future__ import annotations

import socket
import ssl

import aiohttp
import pytest

from ollama_openai_proxy.upstream.connections import connect_within, connector, session, trusted
from ollama_openai_proxy.upstream.resolver import Resolver
from support.replies import body
from support.scripted import Hold, Status
from support.scripted import Upstream as Backend


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_k15_dead_peers_are_noticed(host: str) -> None:
    """K15: the system asks a silent peer after 60 s, every 15 s, four times: two minutes until it is known dead."""
    async with Backend() as backend:
        backend.script("/v1/models", (Status(200, "Content-Length: 5"), Hold()))
        pool = connector(Resolver(), None, 2.0)
        async with session(pool, {}, aiohttp.TraceConfig()) as http:
            response = await http.get(backend.url.replace("127.0.0.1", host) + "/models")
            assert response.connection is not None
            assert response.connection.transport is not None
            opened = response.connection.transport.get_extra_info("socket")
            assert opened.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
            options = (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT)
            assert [opened.getsockopt(socket.IPPROTO_TCP, option) for option in options] == [60, 15, 4]
            response.close()


@pytest.mark.parametrize(("keep_alive", "connections"), [(2.0, 1), (0.0, 2)])
async def test_kept_or_not(keep_alive: float, connections: int) -> None:
    """T17: connections are kept for a while, or with 0 seconds not at all."""
    async with Backend() as backend:
        backend.script("/v1/models", body({}))
        async with session(connector(Resolver(), None, keep_alive), {}, aiohttp.TraceConfig()) as http:
            for _ in range(2):
                async with http.get(backend.url + "/models") as response:
                    await response.read()
        assert backend.accepted == connections


def test_limit() -> None:
    """D5: the limit is on connecting alone; how long a reply may take is nobody's business here."""
    limit = connect_within(5.0)
    assert (limit.connect, limit.total, limit.sock_read, limit.sock_connect) == (5.0, None, None, None)


def test_d6_trust() -> None:
    """D6: certificates and host names are checked, and nothing older than TLS 1.2 is spoken."""
    context = trusted("HTTPS://backend.example/v1")
    assert context is not None
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2
    assert trusted("http://backend.example/v1") is None
