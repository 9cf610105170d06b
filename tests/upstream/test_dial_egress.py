"""Connections through an outgoing proxy: what it is told, what passes, and what is told when it refuses."""

from __future__ import annotations

import asyncio
import itertools
import socket
import ssl
from collections.abc import Sequence

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ollama_openai_proxy.errors import UpstreamTimeout, UpstreamUnreachable
from ollama_openai_proxy.upstream.dial import Dialer, Unconnected
from ollama_openai_proxy.upstream.egress import MAX_HEAD, Egress
from ollama_openai_proxy.upstream.resolver import Lookup, ask_system
from support.dialling import (
    Failure,
    Line,
    Run,
    failure,
)
from support.forward_proxy import GRANTS, ForwardProxy
from support.listeners import Authority, BlackHole, closed_port, tls_listener
from support.replies import body
from support.scripted import Upstream
from support.waiting import eventually, no_descriptors_left

AUTHORIZATION = b"Basic dXNlcjpjYW5hcnk="
REFUSED = "the outgoing proxy refused the connection"


def port_of(url: str) -> int:
    return int(url.rpartition(":")[2].removesuffix("/v1"))


async def spoken(dialer: Dialer, seconds: float = 5.0) -> bytes:
    """Return what is answered to a ping."""
    line = await dialer.connect(Line, seconds)
    line.transport.write(b"ping\r\n\r\n")
    await eventually(lambda: line.heard)
    line.transport.abort()
    return bytes(line.heard)


async def failing_by(
    egress: Egress, url: str = "https://backend.test/v1", lookup: Lookup = ask_system, seconds: float = 5.0
) -> Failure:
    """Return why there is no connection."""
    return await failure(url, lookup, seconds, egress)


def test_d11_tunnel(run: Run, authority: Authority) -> None:
    """D11: TLS to the backend goes through a tunnel: the proxy is told where it leads, what it wants to know of who
    asks, and nothing else; what the backend is, is checked within."""

    async def connected() -> None:
        async with (
            no_descriptors_left(),
            tls_listener(authority.issue("backend.test"), b"pong") as told,
            ForwardProxy(to=port_of(told.url)) as proxy,
        ):
            dialer = Dialer("https://backend.test/v1", egress=Egress("127.0.0.1", proxy.port, AUTHORIZATION))
            assert await spoken(dialer) == b"pong"
            assert (dialer.host, dialer.prefix, dialer.headers) == (b"backend.test", b"", ())
            assert proxy.heads == [
                b"CONNECT backend.test:443 HTTP/1.1\r\nHost: backend.test:443\r\n"
                b"Proxy-Authorization: " + AUTHORIZATION + b"\r\n\r\n"
            ]
            assert bytes(told.heard) == b"ping\r\n\r\n"

    run(connected())


@pytest.mark.parametrize(
    ("url", "authority"),
    [
        ("https://Backend.test./v1", b"backend.test:443"),
        ("https://backend.test:8443/v1", b"backend.test:8443"),
        ("https://[::1]/v1", b"[::1]:443"),
        ("https://bücher.test/v1", b"xn--bcher-kva.test:443"),
    ],
)
async def test_where_tunnels_lead(url: str, authority: bytes) -> None:
    """A tunnel is asked for by host and port, always with both (RFC 9110, 9.3.6)."""
    async with ForwardProxy([b"HTTP/1.1 403 Forbidden\r\n\r\n"]) as proxy:
        await failing_by(Egress("127.0.0.1", proxy.port), url)
        assert proxy.heads == [b"CONNECT %b HTTP/1.1\r\nHost: %b\r\n\r\n" % (authority, authority)]


async def test_d11_plain_http() -> None:
    """D11: a backend without TLS is asked through the proxy with its whole URL, and the proxy is told what it wants."""
    async with no_descriptors_left(), Upstream() as upstream, ForwardProxy(to=port_of(upstream.url)) as proxy:
        upstream.script("/v1/models", body({}))
        dialer = Dialer("http://backend.test:8000/v1", egress=Egress("127.0.0.1", proxy.port, AUTHORIZATION))
        assert (dialer.host, dialer.prefix) == (b"backend.test:8000", b"http://backend.test:8000")
        assert dialer.headers == ((b"Proxy-Authorization", AUTHORIZATION),)
        line = await dialer.connect(Line, 5)
        line.transport.write(b"GET %b/v1/models HTTP/1.1\r\nHost: %b\r\n\r\n" % (dialer.prefix, dialer.host))
        await eventually(lambda: line.heard.endswith(b"{}"))
        assert proxy.heads[0].startswith(b"GET http://backend.test:8000/v1/models HTTP/1.1\r\n")
        line.transport.abort()


def test_headers_without_credentials() -> None:
    """A proxy that wants to know nothing is told nothing."""
    assert Dialer("http://backend.test/v1", egress=Egress("127.0.0.1", 1)).headers == ()


async def test_names() -> None:
    """It is the proxy's name that is looked up here; the backend's is for the proxy to find."""
    asked: list[tuple[str, int]] = []

    async def look_up(host: str, port: int) -> list[str]:
        asked.append((host, port))
        return ["127.0.0.1"]

    async with ForwardProxy([b"HTTP/1.1 403 Forbidden\r\n\r\n"]) as proxy:
        assert (await failing_by(Egress("proxy.test", proxy.port), lookup=look_up))[1] == REFUSED
        assert asked == [("proxy.test", proxy.port)]


ANSWERS: dict[str, Sequence[bytes]] = {
    "407": (b"HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic\r\n\r\ncanary",),
    "403": (b"HTTP/1.1 403 Forbidden\r\n\r\n",),
    "502": (b"HTTP/1.0 502 Bad Gateway\r\n", b"X: canary\r\n\r\n"),
    "302": (b"HTTP/1.1 302 Found\r\nLocation: http://canary/\r\n\r\n",),
    "no number": (b"HTTP/1.1 2000 OK\r\n\r\n",),
    "no HTTP": (b"SSH-2.0-canary\r\n\r\n",),
    "another HTTP": (b"HTTP/2 200 OK\r\n\r\n",),
    "half a head": (b"HTTP/1.1 200 OK\r\nX-Half",),
    "nothing": (),
}


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS.keys())
def test_d11_refused_tunnels(run: Run, answer: Sequence[bytes]) -> None:
    """D11: a proxy that digs no tunnel is told as that, not as the backend, and without its words; it is not asked
    again by itself."""

    async def refused() -> None:
        async with ForwardProxy(answer) as proxy:
            found = await failing_by(Egress("127.0.0.1", proxy.port, AUTHORIZATION))
            assert found == (UpstreamUnreachable, REFUSED, "up_connect", False)

    run(refused())


async def test_endless_head() -> None:
    """An answer of a proxy has 16 KiB for its head; after that it counts as none."""
    endless = b"HTTP/1.1 200 OK\r\nX: " + b"x" * (MAX_HEAD * 4)
    async with ForwardProxy([endless], end=False) as proxy:
        found = await failing_by(Egress("127.0.0.1", proxy.port), seconds=20)
        assert found == (UpstreamUnreachable, REFUSED, "up_connect", False)


def test_silent_proxy(run: Run) -> None:
    """A proxy that takes a connection, or not even that, and says nothing has the time that connections have."""

    async def late() -> None:
        with BlackHole() as hole:
            for answer in ((), (b"HTTP/1.1 200 OK\r\n",)):
                async with ForwardProxy(answer, end=False) as proxy:
                    for port in (proxy.port, port_of(hole.url)):
                        found = await failing_by(Egress("127.0.0.1", port), seconds=0.2)
                        late = "timed out connecting to the outgoing proxy"
                        assert found == (UpstreamTimeout, late, "up_connect_timeout", False)

    run(late())


async def test_no_proxy_there() -> None:
    """A proxy that can't be connected to is told as that, and may be there in a moment."""
    assert await failing_by(Egress("127.0.0.1", closed_port())) == (UpstreamUnreachable, REFUSED, "up_connect", True)


async def test_m15_forbidden_proxy() -> None:
    """M15: the name of a proxy leads to no metadata either."""

    async def look_up(_host: str, _port: int) -> list[str]:
        return ["169.254.169.254"]

    found = await failing_by(Egress("proxy.test", 80), lookup=look_up)
    assert found == (UpstreamUnreachable, "the upstream's address is not allowed", "up_connect", False)


async def test_proxy_without_address() -> None:
    """A proxy whose name can't be resolved, or can be none, is told as that."""

    async def look_up(_host: str, _port: int) -> list[str]:
        raise socket.gaierror(socket.EAI_NONAME, "no such name")

    for host in ("proxy.test", "no..name"):
        found = await failing_by(Egress(host, 80), lookup=look_up)
        assert found == (UpstreamUnreachable, "the outgoing proxy's name could not be resolved", "up_dns", False)


async def test_d1_impossible_name_behind_a_proxy() -> None:
    """D1: what can be no name is not asked of a proxy either."""
    async with ForwardProxy() as proxy:
        found = await failing_by(Egress("127.0.0.1", proxy.port), "https://no..name/v1")
        assert found == (UpstreamUnreachable, "the upstream's name could not be resolved", "up_dns", False)
        assert proxy.heads == []


def test_d6_backend_behind_a_proxy(run: Run, authority: Authority) -> None:
    """D6: a proxy that leads elsewhere is found out: who is at the end of the tunnel is not the backend."""

    async def refused() -> None:
        async with (
            tls_listener(authority.issue("another.test")) as told,
            ForwardProxy(to=port_of(told.url)) as proxy,
        ):
            found = await failing_by(Egress("127.0.0.1", proxy.port))
            assert found == (UpstreamUnreachable, "the upstream's TLS could not be verified", "up_tls", False)
            assert bytes(told.heard) == b""

    run(refused())


def test_c2_whoever_leaves_leaves_nothing(run: Run) -> None:
    """C2: a tunnel that nobody waits for any more is given up."""

    async def left() -> None:
        async with ForwardProxy((), end=False) as proxy, no_descriptors_left():
            dialer = Dialer("https://backend.test/v1", egress=Egress("127.0.0.1", proxy.port))
            tasks = [asyncio.create_task(dialer.connect(Line, 5)) for _ in range(5)]
            await eventually(lambda: len(proxy.heads) == 5)
            for task in tasks:
                task.cancel()
            ended = await asyncio.gather(*tasks, return_exceptions=True)
            assert {type(each) for each in ended} == {asyncio.CancelledError}

    run(left())


@pytest.fixture
def context(authority: Authority) -> ssl.SSLContext:
    """What a server needs to be the backend."""
    return authority.issue("backend.test")


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(head=st.sampled_from(GRANTS), cuts=st.sets(st.integers(1, 60), max_size=6))
def test_tls_after_any_pieces(context: ssl.SSLContext, head: bytes, cuts: set[int]) -> None:
    """However the answer of a proxy comes in pieces, TLS begins after it."""
    edges = [0, *sorted(cut for cut in cuts if cut < len(head)), len(head)]
    pieces = [head[begin:end] for begin, end in itertools.pairwise(edges)]

    async def connected() -> None:
        async with (
            tls_listener(context, b"pong") as told,
            ForwardProxy(pieces, to=port_of(told.url)) as proxy,
        ):
            assert await spoken(Dialer("https://backend.test/v1", egress=Egress("127.0.0.1", proxy.port))) == b"pong"

    asyncio.run(connected())


async def test_time_is_for_all_together() -> None:
    """D5: name, proxy and TLS have one limit together, and not one each."""

    async def look_up(_host: str, _port: int) -> list[str]:
        await asyncio.sleep(1.2)
        return ["127.0.0.1"]

    async with Upstream() as silent, ForwardProxy(to=port_of(silent.url)) as proxy:
        dialer = Dialer("https://backend.test/v1", look_up, Egress("proxy.test", proxy.port))
        async with asyncio.timeout(2.5):  # with a limit each it would be 3.2
            with pytest.raises(Unconnected) as caught:
                await dialer.connect(Line, 2)
        assert caught.value.error.outcome == "up_tls"
