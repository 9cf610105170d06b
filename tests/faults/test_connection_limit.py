"""More connections than there are places: told so and closed, and those that have one do not notice (2.A, 2.C)."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx

from support.command import served
from support.proxy import Proxy, proxied
from support.rawclient import RawClient
from support.replies import HI
from support.waiting import eventually

VERSION = b"GET /api/version HTTP/1.1\r\nHost: localhost\r\n\r\n"
REJECTED = 'ollama_proxy_connections_rejected_total{reason="%s"}'


@asynccontextmanager
async def connected(proxy: Proxy, count: int) -> AsyncIterator[list[RawClient]]:
    """Hold so many connections that say nothing."""
    clients = [proxy.client() for _ in range(count)]
    try:
        for client in clients:
            await client.__aenter__()
        yield clients
    finally:
        for client in clients:
            client.close()


def figure(page: str, reason: str) -> float:
    return float(next(line for line in page.splitlines() if line.startswith(f"{REJECTED % reason} ")).split()[-1])


async def test_a4_c13_one_connection_too_many() -> None:
    """A4, C13: it is told so with a 503 and closed; those that have a place are served; it is counted."""
    async with proxied(max_connections=5) as proxy, connected(proxy, 4), proxy.client() as served_client:
        await served_client.send(VERSION)
        assert (await served_client.response()).status == 200
        for say in (b"", VERSION):
            async with proxy.client() as client:
                await client.send(say)
                response = await client.response()
                assert (response.status, response.json) == (503, {"error": "too many connections"})
                assert response.all("connection") == ["close"]
                assert response.all("retry-after") == ["1"]
                assert await client.read_to_end() == b""
        await served_client.ask("GET", "/metrics")
        assert figure((await served_client.response()).body.decode(), "connections") == 2


async def test_a4_places_are_given_back() -> None:
    """A4: a connection that has ended leaves its place to the next one, those that were refused take none."""
    async with proxied(max_connections=3, header_timeout=0.5) as proxy:
        proxy.upstream.script("m", HI)
        for _ in range(3):
            async with connected(proxy, 60):
                pass
            await eventually(lambda: True)
        async with connected(proxy, 3):
            await asyncio.sleep(0.7)
            # These never said anything: the deadline has made room.
            assert (await proxy.chat()).status == 200


async def test_a4_half_open_heads() -> None:
    """A4: clients with half a head each, as many as there are places and more, are all gone after the deadline."""
    async with proxied(max_connections=100, header_timeout=0.5) as proxy:
        async with connected(proxy, 150) as clients:
            for client in clients[:100]:
                await client.send(VERSION[:30])
            for client in clients:
                await client.read_to_end()
        assert (await proxy.ask("GET", "/api/version")).status == 200
        page = (await proxy.ask("GET", "/metrics")).body.decode()
        assert figure(page, "header_timeout") >= 90
        assert figure(page, "connections") >= 50


def test_c13_burst_with_few_open_files(tmp_path: Path) -> None:
    """C13: with 256 open files a burst of connections, silent or not, neither ends the process nor fills its log."""
    prefix = ("sh", "-c", 'ulimit -n 256; exec "$@"', "sh")
    settings = {"HEADER_TIMEOUT": "2", "LOG_FORMAT": "json"}
    with served(tmp_path, "serve", "--demo", "--rate", "0", prefix=prefix, **settings) as running:
        address = ("127.0.0.1", int(running.url.rpartition(":")[2]))
        for _ in range(3):
            burst = []
            try:
                for _ in range(400):
                    one = socket.socket()
                    one.setblocking(False)
                    one.connect_ex(address)
                    burst.append(one)
                time.sleep(0.5)
            finally:
                for one in burst:
                    one.close()
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            try:
                if httpx.get(f"{running.url}/api/version", trust_env=False).status_code == 200:
                    break
            except httpx.TransportError:
                time.sleep(0.1)
        page = httpx.get(f"{running.url}/metrics", trust_env=False).text
        assert figure(page, "connections") > 100
        assert running.process.poll() is None
        assert "Traceback" not in running.out + running.err
        assert len((running.out + running.err).splitlines()) < 100


def test_a4_open_files_are_raised(tmp_path: Path) -> None:
    """A4: the soft limit of open files is raised to the hard one, and its connections fit into what there is."""
    prefix = ("sh", "-c", 'ulimit -Sn 200; ulimit -Hn 1000; exec "$@"', "sh")
    with served(tmp_path, "serve", "--demo", "--rate", "0", prefix=prefix) as running:
        limits = Path(f"/proc/{running.process.pid}/limits").read_text(encoding="ascii")
        assert next(line for line in limits.splitlines() if line.startswith("Max open files")).split()[3] == "1000"
