"""The head of a request: it comes in time and within limits, or not at all (reliability 2.A)."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

import pytest

from support.proxy import chat, proxied
from support.rawclient import RawClient
from support.replies import HI
from support.waiting import eventually

VERSION = b"GET /api/version HTTP/1.1\r\nHost: localhost\r\n\r\n"
DEADLINE = 0.4


def resident() -> int:
    """How many bytes this process has in memory."""
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")


async def refused(client: RawClient, status: int, error: str) -> None:
    """Check that the client gets this error, in the shape of Ollama's, and nothing after it."""
    response = await client.response()
    assert (response.status, response.json) == (status, {"error": error})
    assert response.all("content-type") == ["application/json; charset=utf-8"]
    assert response.all("connection") == ["close"]
    assert len(response.all("x-request-id")) == len(response.all("date")) == 1
    assert await client.read_to_end() == b""


async def test_t1_a1_silent_connection() -> None:
    """T1, A1: a connection on which nothing comes is closed at the deadline."""
    async with proxied(header_timeout=DEADLINE) as proxy, proxy.client() as client:
        began = time.monotonic()
        assert await client.read_to_end() == b""
        assert DEADLINE * 0.9 < time.monotonic() - began < DEADLINE + 2


async def test_t1_a2_head_that_trickles() -> None:
    """T1, A2: a byte now and then does not move the deadline: 408, and the connection is closed."""
    async with proxied(header_timeout=DEADLINE) as proxy, proxy.client() as client:
        began = time.monotonic()

        async def trickle() -> None:
            for byte in VERSION:
                await client.send(bytes([byte]))
                await asyncio.sleep(DEADLINE / 8)

        task = asyncio.create_task(trickle())
        await refused(client, 408, "request timeout")
        assert DEADLINE * 0.9 < time.monotonic() - began < DEADLINE + 2
        task.cancel()
        with pytest.raises((asyncio.CancelledError, ConnectionError)):
            await task


async def test_a2_head_that_trickles_on_a_kept_connection() -> None:
    """A2: the head of a later request has the same deadline, from its first byte."""
    async with proxied(header_timeout=DEADLINE, client_keep_alive=60) as proxy, proxy.client() as client:
        await client.send(VERSION)
        assert (await client.response()).status == 200
        await asyncio.sleep(DEADLINE * 1.5)  # idle is no part of a head
        await client.send(VERSION)
        assert (await client.response()).status == 200
        await client.send(VERSION[:20])
        await refused(client, 408, "request timeout")


async def test_a2_blank_lines_hold_no_connection() -> None:
    """A2: blank lines before a request, which a server is to overlook, do not hold a connection either."""
    async with proxied(header_timeout=DEADLINE, client_keep_alive=60) as proxy, proxy.client() as client:
        await client.send(b"\r\n" + VERSION)
        assert (await client.response()).status == 200
        await client.send(b"\r\n")
        await refused(client, 408, "request timeout")


async def test_t1_deadline_is_for_the_head_alone() -> None:
    """T1: neither a body that comes slowly nor an answer that takes its time has the deadline of the head."""
    async with proxied(header_timeout=DEADLINE) as proxy, proxy.client() as client:
        proxy.upstream.script("m", HI)
        await client.send(b"POST /api/chat HTTP/1.1\r\nHost: localhost\r\nContent-Length: 60\r\n\r\n")
        await asyncio.sleep(DEADLINE * 1.5)
        body = b'{"model":"m","messages":[{"role":"user","content":"hi"}]}'
        await client.send(body.ljust(60))
        assert (await client.response()).lines[-1]["done"] is True


async def test_c11_idle_connection() -> None:
    """C11: a connection that is kept and idle is closed after CLIENT_KEEP_ALIVE, which may be a part of a second."""
    async with proxied(client_keep_alive=0.3) as proxy, proxy.client() as client:
        await client.send(VERSION)
        assert (await client.response()).status == 200
        began = time.monotonic()
        assert await client.read_to_end() == b""
        assert 0.25 < time.monotonic() - began < 2.3


async def test_c11_idle_connections_take_no_place() -> None:
    """C11: connections that are idle count for no request: others are served, one at a time."""
    async with proxied(max_active_requests=1, ollama_max_queue=0) as proxy:
        proxy.upstream.script("m", HI)
        clients = [proxy.client() for _ in range(50)]
        try:
            for client in clients:
                await client.__aenter__()
                await client.send(VERSION)
                assert (await client.response()).status == 200
            assert (await proxy.chat()).status == 200
        finally:
            for client in clients:
                client.close()


HEADS = {
    "one header": b"X-A: " + b"a" * 70_000 + b"\r\n",
    "many bytes": b"".join(b"X-%d: %b\r\n" % (number, b"a" * 1000) for number in range(70)),
    "many headers": b"".join(b"X-%d: a\r\n" % number for number in range(100)),
    "small headers": b"a:b\r\n" * 20_000,
}


@pytest.mark.parametrize("head", HEADS.values(), ids=HEADS.keys())
async def test_t2_a5_head_that_is_too_large(head: bytes) -> None:
    """T2, A5: a head beyond 64 KiB, or of more than 100 headers, is 431; what comes after it is not answered."""
    async with proxied() as proxy, proxy.client() as client:
        await client.send(b"GET /api/version HTTP/1.1\r\nHost: localhost\r\n" + head + b"\r\n" + VERSION)
        await refused(client, 431, "request header fields too large")


async def test_a5_head_that_is_not() -> None:
    """A5: 100 headers, and heads of almost 64 KiB, are served, on one connection after another request."""
    async with proxied() as proxy, proxy.client() as client:
        for lines in ([f"X-{number}: a" for number in range(99)], [f"X-A: {'a' * 65_000}"]):
            await client.ask("GET", "/api/version", None, *lines)
            assert (await client.response()).status == 200


async def test_a5_limits_are_settings() -> None:
    """2.N: the limits of a head are MAX_HEADER_SIZE, MAX_HEADERS and MAX_URL_SIZE."""
    async with proxied(max_header_size=1024, max_headers=10, max_url_size=256) as proxy:
        for path, lines, status in (
            ("/", ["X: a"] * 9, 200),
            ("/", ["X: a"] * 10, 431),
            ("/", [f"X: {'a' * 900}"], 200),
            ("/", [f"X: {'a' * 1100}"], 431),
            ("/?" + "a" * 250, [], 200),
            ("/?" + "a" * 256, [], 414),
        ):
            assert (await proxy.ask("GET", path, None, *lines)).status == status


@pytest.mark.parametrize("start", [b"GET /", b"GET / HTTP/1.1\r\nX: "], ids=["URL", "header"])
async def test_t2_a5_memory(start: bytes) -> None:
    """T2, A5: 20 MB of a head are not kept; who sends them all before it reads still gets the answer."""
    async with proxied() as proxy:

        async def flood() -> int:
            async with proxy.client() as client:
                await client.send(start)
                for _ in range(20 * 16):
                    await client.send(b"a" * 65_536)
                return (await client.response()).status

        await flood()
        before = resident()
        assert await flood() in (414, 431)
        assert resident() - before < 1024 * 1024


async def test_t2_large_body_is_no_head() -> None:
    """T2: the bytes of a body that come with the head do not count as its bytes."""
    async with proxied() as proxy, proxy.client() as client:
        proxy.upstream.script("m", HI)
        for _ in range(2):
            await client.ask("POST", "/api/chat", chat(options={"stop": ["x" * 200_000]}))
            assert (await client.response()).status == 200


PATHS: dict[bytes, tuple[int, ...]] = {
    b"/" + b"a" * 9000: (414,),
    b"/api/\xff\xfe": (400,),
    "/api/é".encode(): (400,),
    b"/api/%00": (400, 404),
    b"/api/tags%00": (400, 404),
    b"/%ff%fe": (400, 404),
    b"/api/version?a=%00%ff": (200,),
    b"/a\x00b": (400,),
    b"*": (400, 404),
    b"api/version": (400,),
    b"?a": (400,),
}


@pytest.mark.parametrize(("path", "allowed"), PATHS.items(), ids=lambda value: repr(value)[:30])
async def test_a6_odd_url(path: bytes, allowed: tuple[int, ...], caplog: pytest.LogCaptureFixture) -> None:
    """A6: a URL that is too long or has odd bytes is refused or not found, and no raw byte of it is logged."""
    caplog.set_level("DEBUG")
    async with proxied() as proxy, proxy.client() as client:
        await client.send(b"GET " + path + b" HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert (await client.response()).status in allowed
    assert "\x00" not in caplog.text
    assert "é" not in caplog.text


async def test_a12_body_is_asked_for_when_it_is_wanted() -> None:
    """A12: 100 comes when the body is read, and before the answer; the body is taken."""
    async with proxied() as proxy, proxy.client() as client:
        proxy.upstream.script("m", HI)
        body = b'{"model":"m","messages":[{"role":"user","content":"hi"}]}'
        head = (
            f"POST /api/chat HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        await client.send(head.encode())
        assert await client.read_until(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        await client.send(body)
        assert (await client.response()).lines[-1]["done"] is True


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/api/chat", ("Expect: 100-continue", "Content-Length: 1000000000"), 413),
        ("/nowhere", ("Expect: 100-continue", "Content-Length: 10"), 404),
        ("/api/chat", ("Expect: 100-continue", "Content-Length: 10", "Host: evil.example"), 403),
        ("/api/chat", ("Expect: the-unexpected", "Content-Length: 10"), 417),
    ],
)
async def test_a12_body_is_not_asked_for(path: str, headers: tuple[str, ...], status: int) -> None:
    """A12: who would get an error in any case is told so, not asked for the body; other expectations are 417."""
    async with proxied(max_body_size=4096) as proxy, proxy.client() as client:
        lines = "\r\n".join(("Host: localhost", *headers) if "Host: evil.example" not in headers else headers)
        await client.send(f"POST {path} HTTP/1.1\r\n{lines}\r\n\r\n".encode())
        assert (await client.head()).status == status
        assert proxy.upstream.posts == []


async def test_a14_body_that_trickles_after_its_answer() -> None:
    """What still comes of a body when its answer was sent holds the connection for some seconds, not for ever."""
    async with proxied(client_keep_alive=60) as proxy, proxy.client() as client:
        await client.send(b"POST /nowhere HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n")
        assert (await client.response()).status == 404
        ended = asyncio.create_task(client.read_to_end())
        began = time.monotonic()
        while not ended.done():
            assert time.monotonic() - began < 12
            try:
                await client.send(b"a")
            except ConnectionError:
                break
            await asyncio.sleep(0.2)
        await eventually(ended.done)
        assert ended.exception() is None or isinstance(ended.exception(), ConnectionError)
