"""docker/proxies: nginx, Caddy, Traefik and HAProxy as they are shipped, in front of a real proxy."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import httpx
import pytest

from support import reverse_proxies
from support.proxy import Proxy, chat, proxied
from support.replies import DONE, SSE, finish, text
from support.replies import body as replied
from support.reverse_proxies import CADDY, HAPROXY, NGINX, TRAEFIK, Front, Installed, ReverseProxy
from support.scripted import Chunk, End, Hold, Wait

pytestmark = pytest.mark.parametrize("kind", reverse_proxies.ALL, ids=lambda kind: kind.name)

TOLD = {"object": "chat.completion", "choices": [{"index": 0, "message": {"content": "Hi"}, "finish_reason": "stop"}]}
# Spellings of what is not for everybody.
INSIDE = (
    "/metrics",
    "/health",
    "/metrics?x=1",
    "/%6detrics",
    "/%6D%65trics",
    "/./metrics",
    "/x/../metrics",
    "/x/%2e%2e/metrics",
    "//metrics",
    "/metrics/",
    "/health/",
    "/metrics%2f",
    "/metrics;x",
    "/METRICS",
    "https://localhost/metrics",
    "http://localhost/health",
)
# What an operator opens to let in only whom they know: words of the lines to uncomment.
USERS = {
    NGINX: ("auth_basic",),
    CADDY: ("basic_auth {", "\talice", "# }"),
    TRAEFIK: ("[users]",),
    HAPROXY: ("userlist", "user alice", "http_auth"),
}
ADDRESSES = {
    NGINX: ("allow 192", "deny all"),
    CADDY: ("@outside",),
    TRAEFIK: ("[addresses]",),
    HAPROXY: ("unless { src",),
}


@asynccontextmanager
async def fronted(kind: ReverseProxy, folder: Path) -> AsyncIterator[tuple[Front, Proxy]]:
    """Run the reverse proxy in front of a proxy in front of a scripted backend."""
    async with proxied() as proxy, reverse_proxies.running(kind, folder, proxy.url.removeprefix("http://")) as front:
        yield front, proxy


def test_its_program_finds_nothing_wrong(kind: ReverseProxy, tmp_path: Path) -> None:
    """G22: each configuration is valid, and none says anything that its program does not understand."""
    installed = Installed(kind, tmp_path, "127.0.0.1:11434")
    command, environment = installed.command(kind.check), installed.environment()
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=30, check=False)  # noqa: S603  # a program of the group `container`
    assert done.returncode == 0, done.stderr
    assert not [line for line in done.stderr.lower().splitlines() if "warn" in line or "deprecated" in line]


async def test_a_chunk_comes_before_the_next_is_made(kind: ReverseProxy, tmp_path: Path) -> None:
    """G22, P10: with TLS and a client that takes gzip, chunk k is with it before the backend makes chunk k+1."""
    async with fronted(kind, tmp_path) as (front, proxy), front.client() as client:
        gates = [asyncio.Event() for _ in range(5)]
        steps = [step for number, gate in enumerate(gates) for step in (Chunk(text(str(number))), Wait(gate))]
        proxy.upstream.script("m", (SSE, *steps, Chunk(finish()), Chunk(DONE), End()))
        async with client.stream("POST", "/api/chat", json=chat()) as response:
            lines = response.aiter_lines()
            for number, gate in enumerate(gates):
                assert json.loads(await anext(lines))["message"]["content"] == str(number)
                gate.set()
            assert json.loads([line async for line in lines][-1])["done"] is True
            assert response.headers["content-type"] == "application/x-ndjson"
            assert "content-encoding" not in response.headers


async def test_a_client_that_leaves_takes_its_call_with_it(kind: ReverseProxy, tmp_path: Path) -> None:
    """G12: the backend is let go when a client leaves, behind a reverse proxy as well."""
    async with fronted(kind, tmp_path) as (front, proxy), front.client() as client:
        proxy.upstream.script("m", (SSE, Chunk(text("one")), Hold()))
        async with client.stream("POST", "/api/chat", json=chat()) as response:
            await anext(response.aiter_lines())
        await proxy.upstream.peer_left()


async def test_a_client_that_leaves_before_the_answer_too(kind: ReverseProxy, tmp_path: Path) -> None:
    """G12: so it is while there is no answer yet."""
    async with fronted(kind, tmp_path) as (front, proxy), front.client() as client:
        proxy.upstream.script("m", (Hold(),))
        asking = asyncio.create_task(client.post("/api/chat", json=chat()))
        await proxy.upstream.request_received()
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        await proxy.upstream.peer_left()


async def test_images_pass_and_too_much_is_refused_by_the_proxy(kind: ReverseProxy, tmp_path: Path) -> None:
    """A body of 31 MiB passes; what is more than MAX_BODY_SIZE is refused in Ollama's words."""
    async with fronted(kind, tmp_path) as (front, proxy), front.client() as client:
        proxy.upstream.script("m", replied(TOLD))
        large = chat(stream=False, messages=[{"role": "user", "content": "x" * (31 * 1024 * 1024)}])
        assert (await client.post("/api/chat", json=large)).status_code == 200
        refused = await told(front, "POST /api/chat", f"Content-Length: {32 * 1024 * 1024 + 1}")
        assert refused.split()[1] == "413"
        assert '{"error":' in refused


class Noting:
    """A server that notes each request but the readiness checks, and answers or only leaves."""

    def __init__(self, *, answers: bool) -> None:
        self.heads: list[str] = []
        self._answers = answers

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            is_check = head.split()[1] in ("/ready", "/live")
            if not is_check:
                self.heads.append(head)
            if is_check or self._answers:
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                await writer.drain()
        writer.close()

    @asynccontextmanager
    async def fronted(self, kind: ReverseProxy, folder: Path) -> AsyncIterator[Front]:
        async with await asyncio.start_server(self, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            async with reverse_proxies.running(kind, folder, f"127.0.0.1:{port}") as front:
                yield front


async def test_what_was_sent_is_never_sent_again(kind: ReverseProxy, tmp_path: Path) -> None:
    """A chat that the proxy took and did not answer may have cost money: no reverse proxy asks for it twice."""
    noting = Noting(answers=False)
    async with noting.fronted(kind, tmp_path) as front, front.client() as client:
        assert (await client.post("/api/chat", json=chat())).status_code == 502
    assert len(noting.heads) == 1


async def test_it_is_told_who_asks_and_for_what(kind: ReverseProxy, tmp_path: Path) -> None:
    """P11: Host comes as the client spelled it; who the client is says the reverse proxy, not the client."""
    noting = Noting(answers=True)
    async with noting.fronted(kind, tmp_path) as front, front.client() as client:
        await client.get("/api/version", headers={"X-Forwarded-For": "203.0.113.9", "X-Forwarded-Proto": "http"})
        (head,) = noting.heads
        lines = dict(line.split(": ", 1) for line in head.rstrip().split("\r\n")[1:])
        assert lines["host"] == lines["x-forwarded-host"] == f"localhost:{front.port}"
        assert lines["x-forwarded-for"] == "127.0.0.1"
        assert lines["x-forwarded-proto"] == "https"


async def test_what_is_inside_stays_inside(kind: ReverseProxy, tmp_path: Path) -> None:
    """Neither /metrics nor /health is reached, however it is spelled; the API is, and from its own pages."""
    async with fronted(kind, tmp_path) as (front, proxy), front.client() as client:
        assert (await proxy.ask("GET", "/metrics")).status == 200
        for path in INSIDE:
            answer = await told(front, f"GET {path}")
            assert "ollama_proxy_" not in answer, path
            assert "uptime_seconds" not in answer, path
            if answer.split()[1] in ("301", "307"):  # to the plain spelling, which is refused in its turn
                (location,) = re.findall(r"(?im)^location: *(\S+)", answer)
                assert location.endswith(("/metrics", "/health")), path
            else:
                assert answer.split()[1] in ("400", "403", "404"), (path, answer)
        assert (await client.head("/metrics")).status_code == 404
        own, foreign = {"Origin": f"https://localhost:{front.port}"}, {"Origin": "https://elsewhere.example"}
        assert (await client.get("/api/tags", headers=own)).status_code == 200
        assert (await client.get("/api/tags", headers=foreign)).status_code == 403


async def test_plain_http_is_sent_to_https(kind: ReverseProxy, tmp_path: Path) -> None:
    """What comes without TLS is told to come with it, and to send the same again: a POST stays one."""
    async with fronted(kind, tmp_path) as (front, _):
        async with httpx.AsyncClient(trust_env=False) as client:
            response = await client.post(f"http://localhost:{front.plain_port}/api/chat", json=chat())
        assert response.status_code == 308
        assert response.headers["location"].startswith("https://localhost")


async def test_those_who_are_known_come_in(kind: ReverseProxy, tmp_path: Path) -> None:
    """With the lines for users opened, a password is asked for, and the right one is taken."""
    async with proxied() as proxy:
        upstream = proxy.url.removeprefix("http://")
        async with reverse_proxies.running(kind, tmp_path, upstream, USERS[kind]) as front, front.client() as client:
            assert (await client.get("/api/tags")).status_code == 401
            assert (await client.get("/api/tags", auth=("alice", "wrong"))).status_code == 401
            assert (await client.get("/api/tags", auth=("alice", reverse_proxies.PASSWORD))).status_code == 200
            assert (await client.get("/metrics", auth=("alice", reverse_proxies.PASSWORD))).status_code == 404


async def test_other_addresses_do_not(kind: ReverseProxy, tmp_path: Path) -> None:
    """With the lines for addresses opened, who comes from elsewhere is refused."""
    async with proxied() as proxy:
        upstream = proxy.url.removeprefix("http://")
        async with (
            reverse_proxies.running(kind, tmp_path, upstream, ADDRESSES[kind]) as front,
            front.client() as client,
        ):
            assert (await client.get("/api/tags")).status_code == 403


async def told(front: Front, request: str, *headers: str) -> str:
    """Send the head of a request as it is, and return the whole answer."""
    reader, writer = await asyncio.open_connection(
        "localhost", front.port, ssl=front.trust(), server_hostname="localhost"
    )
    lines = (f"{request} HTTP/1.1", f"Host: localhost:{front.port}", "Connection: close", *headers)
    writer.write("\r\n".join((*lines, "", "")).encode())
    async with asyncio.timeout(10):
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        length = re.search(r"content-length: (\d+)", head, re.IGNORECASE)
        body = await (reader.readexactly(int(length[1])) if length else reader.read())
    writer.close()
    return head + body.decode()
