"""Connections come about, or do not: which address is tried, what is checked, and what is told when none did."""

from __future__ import annotations

import asyncio
import errno
import os
import resource
import socket
from contextlib import AsyncExitStack, closing

import pytest

from ollama_openai_proxy.errors import Busy, UpstreamTimeout, UpstreamUnreachable
from ollama_openai_proxy.upstream.dial import Dialer, Unconnected
from ollama_openai_proxy.upstream.resolver import Lookup, ask_system
from support.dialling import (
    AGAIN,
    LATE,
    NAMELESS,
    NXDOMAIN,
    REFUSED,
    Failure,
    Line,
    Run,
    dialled,
    failing,
    failure,
    names,
    silent,
)
from support.listeners import BlackHole, closed_port
from support.scripted import Hold, Send, Upstream
from support.waiting import eventually, no_descriptors_left, no_tasks_left

# The Host header of requests to a base URL, and where connections lead.
HOSTS: dict[str, tuple[bytes, str, int]] = {
    "http://backend.example/v1": (b"backend.example", "backend.example", 80),
    "https://backend.example/v1": (b"backend.example", "backend.example", 443),
    "http://backend.example:80/v1": (b"backend.example", "backend.example", 80),
    "https://backend.example:443/v1": (b"backend.example", "backend.example", 443),
    "https://backend.example:80/v1": (b"backend.example:80", "backend.example", 80),
    "HTTP://Backend.Example:8000/v1": (b"backend.example:8000", "backend.example", 8000),
    "http://backend.example.:8000/v1": (b"backend.example:8000", "backend.example.", 8000),
    "http://bücher.example/v1": (b"xn--bcher-kva.example", "xn--bcher-kva.example", 80),
    "http://straße.example/v1": (b"xn--strae-oqa.example", "xn--strae-oqa.example", 80),
}


@pytest.mark.parametrize(("url", "expected"), HOSTS.items(), ids=HOSTS.keys())
async def test_hosts(url: str, expected: tuple[bytes, str, int]) -> None:
    """The Host header has a port only if it is not the scheme's own (RFC 9110, 7.2); names are looked up as DNS has
    them (RFC 5891)."""
    asked: list[tuple[str, int]] = []

    async def look_up(host: str, port: int) -> list[str]:
        asked.append((host, port))
        raise NXDOMAIN

    dialer = Dialer(url, look_up)
    with pytest.raises(Unconnected):
        await dialer.connect(Line, 5)
    assert (dialer.host, *asked[0]) == expected
    assert (dialer.prefix, dialer.headers) == (b"", ())


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("http://127.0.0.1:8000/v1", b"127.0.0.1:8000"),
        ("http://[::1]:8000/v1", b"[::1]:8000"),
        ("https://[::1]/v1", b"[::1]"),
        ("http://[fe80::1%lo]/v1", b"[fe80::1]"),
    ],
)
def test_hosts_that_are_addresses(url: str, host: bytes) -> None:
    """The Host header of an address: IPv6 in brackets (RFC 3986, 3.2.2), and without the zone (RFC 6874, 4)."""
    assert Dialer(url).host == host


def test_connected(run: Run) -> None:
    """A connection without TLS is there as it is returned, and what the backend sends arrives."""

    async def connected() -> None:
        async with no_descriptors_left(), Upstream() as upstream:
            upstream.greeting = (Send(b"hello"), Hold())
            line = await dialled(upstream.url)
            await eventually(lambda: line.heard == b"hello")
            line.transport.abort()

    run(connected())


def test_k15_options(run: Run) -> None:
    """K15: the system asks a silent peer after 60 s, every 15 s, four times. What it holds is limited, and nothing that
    is sent waits to become more."""

    async def connected() -> None:
        async with Upstream() as upstream:
            line = await dialled(upstream.url)
            opened = line.transport.get_extra_info("socket")
            assert opened.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
            options = (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT)
            assert [opened.getsockopt(socket.IPPROTO_TCP, option) for option in options] == [60, 15, 4]
            assert opened.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) == 2 * 128 * 1024  # Linux doubles it
            assert opened.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            line.transport.abort()

    run(connected())


async def test_an_address_is_not_looked_up() -> None:
    """An address in the URL needs no name server, and may be one that names must not lead to: it is meant."""
    asked = failing(AssertionError("looked up"))
    async with Upstream() as upstream:
        (await dialled(upstream.url, asked)).transport.abort()
    kind, _, outcome, _ = await failure(f"http://[::ffff:169.254.169.254]:{closed_port()}/v1", asked, 0.2)
    assert (outcome in {"up_connect", "up_connect_timeout"}, kind in {UpstreamUnreachable, UpstreamTimeout}) == (1, 1)


def test_d3_an_address_that_refuses(run: Run) -> None:
    """D3: when one address refuses, the next is connected to."""

    async def connected() -> None:
        async with no_descriptors_left(), Upstream() as upstream:
            url = upstream.url.replace("127.0.0.1", "backend.test")
            line = await dialled(url, names("127.0.0.2", "::1", "127.0.0.1"))
            assert line.transport.get_extra_info("peername")[0] == "127.0.0.1"
            line.transport.abort()

    run(connected())


def test_d3_an_address_that_is_silent(run: Run) -> None:
    """D3: when one address is silent for a quarter of a second, the next is tried (RFC 8305, 5), and the first is
    given up once that is there."""

    async def connected() -> None:
        with BlackHole() as hole:
            port = int(hole.url.rpartition(":")[2].removesuffix("/v1"))
            server = await asyncio.start_server(lambda _reader, writer: writer.close(), "127.0.0.2", port)
            async with no_descriptors_left():
                began = asyncio.get_running_loop().time()
                line = await dialled(f"http://backend.test:{port}/v1", names("127.0.0.1", "127.0.0.2"))
                assert asyncio.get_running_loop().time() - began >= 0.24
                assert line.transport.get_extra_info("peername")[0] == "127.0.0.2"
                line.transport.abort()
            server.close()

    run(connected())


async def test_d4_refused() -> None:
    """D4: a port that nobody listens on is told as that, and may be listened on in a moment."""
    assert await failure(f"http://127.0.0.1:{closed_port()}/v1") == REFUSED
    everywhere = names("127.0.0.1", "127.0.0.2", "::1")
    assert await failure(f"https://backend.test:{closed_port()}/v1", everywhere) == REFUSED


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_d5_no_answer(run: Run, scheme: str) -> None:
    """D5: without an answer the time for connections passes, whatever is to be spoken over them."""

    async def late() -> None:
        with BlackHole() as hole:
            url = hole.url.replace("http", scheme, 1)
            assert await failure(url, seconds=0.2) == (UpstreamTimeout, LATE, "up_connect_timeout", False)
            several = url.replace("127.0.0.1", "backend.test")
            found = await failure(several, names("127.0.0.1", "127.0.0.1"), seconds=0.4)
            assert found == (UpstreamTimeout, LATE, "up_connect_timeout", False)

    run(late())


NAMES: dict[str, tuple[Lookup, Failure]] = {
    "D1 none": (failing(NXDOMAIN), (UpstreamUnreachable, NAMELESS, "up_dns", False)),
    "D1 none for now": (failing(AGAIN), (UpstreamUnreachable, NAMELESS, "up_dns", True)),
    "D2 silence": (silent, (UpstreamTimeout, LATE, "up_dns", False)),
    "M15": (
        names("169.254.169.254"),
        (UpstreamUnreachable, "the upstream's address is not allowed", "up_connect", False),
    ),
}


@pytest.mark.parametrize(("lookup", "expected"), NAMES.values(), ids=NAMES.keys())
async def test_d1_d2_m15_names(lookup: Lookup, expected: Failure) -> None:
    """D1, D2, M15: a name that can't be resolved, or not now, or not in time, or not to what may be connected to."""
    assert await failure("https://canary.test/v1", lookup, 0.2) == expected


@pytest.mark.parametrize("host", ["no..name", ".name", f"{'x' * 64}.name", "bü_.\N{ZERO WIDTH SPACE}.name"])
async def test_d1_impossible_names(host: str) -> None:
    """D1: what can be no name is told as one that can't be resolved, and nobody is asked for it."""
    asked = failing(AssertionError("looked up"))
    assert await failure(f"https://{host}/v1", asked) == (UpstreamUnreachable, NAMELESS, "up_dns", False)


async def test_d12_out_of_files() -> None:
    """D12: that this process has no descriptor left says nothing of the backend, and is not tried again."""
    dialer = Dialer(f"http://127.0.0.1:{closed_port()}/v1")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with closing(socket.socket()) as lowest:
        first = lowest.fileno()
    resource.setrlimit(resource.RLIMIT_NOFILE, (first, hard))
    try:
        with pytest.raises(Unconnected) as caught:
            await dialer.connect(Line, 5)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    error = caught.value.error
    assert (type(error), error.message, error.retry_after) == (Busy, "the server has too many connections open", 1)
    assert not caught.value.passing
    assert os.strerror(errno.EMFILE) not in str(caught.value)


@pytest.mark.parametrize("where", ["name", "connection", "connections", "TLS"])
def test_c2_whoever_leaves_leaves_nothing(run: Run, where: str) -> None:
    """C2: a connection that nobody waits for any more is given up, in whichever phase."""

    async def left() -> None:
        async with AsyncExitStack() as stack:
            hole = stack.enter_context(BlackHole())
            upstream = await stack.enter_async_context(Upstream())
            upstream.greeting = (Hold(),)
            url, lookup = {
                "name": ("http://backend.test/v1", silent),
                "connection": (hole.url, ask_system),
                "connections": (hole.url.replace("127.0.0.1", "backend.test"), names("127.0.0.1", "127.0.0.1")),
                "TLS": (upstream.url.replace("http", "https"), ask_system),
            }[where]
            await stack.enter_async_context(no_descriptors_left())
            await stack.enter_async_context(no_tasks_left(lambda: upstream.tasks, lambda: 0))
            tasks = [asyncio.create_task(dialled(url, lookup)) for _ in range(10)]
            if where == "TLS":
                await eventually(lambda: upstream.accepted == 10)
            await asyncio.sleep(0.3 if where == "connections" else 0.05)  # until both are tried
            for task in tasks:
                task.cancel()
            ended = await asyncio.gather(*tasks, return_exceptions=True)
            assert {type(each) for each in ended} == {asyncio.CancelledError}

    run(left())


async def test_many_at_a_time() -> None:
    """Connections that are made at the same time have nothing to do with one another."""
    async with no_descriptors_left(), Upstream() as upstream:
        dialer = Dialer(upstream.url)
        lines = await asyncio.gather(*(dialer.connect(Line, 5) for _ in range(20)))
        assert len({line.transport.get_extra_info("sockname") for line in lines}) == 20
        for line in lines:
            line.transport.abort()
        await dialer.close()


def test_without_a_backend() -> None:
    """Without a base URL there is a dialer, too; it finds nobody."""
    with pytest.raises(Unconnected, match=NAMELESS):
        asyncio.run(Dialer("").connect(Line, 5))
