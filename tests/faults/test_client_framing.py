"""Requests that are not what they should be, byte by byte: refused, and nothing after them is looked at (2.A)."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress

import pytest

from support.proxy import proxied
from support.rawclient import RawClient
from support.replies import HI
from support.waiting import eventually

NEXT = b"GET /api/version HTTP/1.1\r\nHost: localhost\r\n\r\n"
BODY = json.dumps({"model": "m", "messages": [{"role": "user", "content": "hi"}]}).encode()
LENGTH = b"Content-Length: %d" % len(BODY)
CHUNKED = b"Transfer-Encoding: chunked"
CHUNKS = b"%x\r\n%b\r\n0\r\n\r\n" % (len(BODY), BODY)


def post(*lines: bytes, body: bytes = BODY, version: bytes = b"1.1", host: bytes = b"Host: localhost") -> bytes:
    """Return a chat request with these headers."""
    return b"\r\n".join((b"POST /api/chat HTTP/" + version, host, *lines, b"", body))


BAD = {
    "CL and TE": post(LENGTH, CHUNKED, body=CHUNKS),
    "TE and CL": post(CHUNKED, LENGTH, body=CHUNKS),
    "CL twice, same": post(LENGTH, LENGTH),
    "CL twice, different": post(LENGTH, b"Content-Length: 3"),
    "CL list": post(b"Content-Length: %d, %d" % (len(BODY), len(BODY))),
    "CL +4": post(b"Content-Length: +%d" % len(BODY)),
    "CL -1": post(b"Content-Length: -1"),
    "CL 0x4": post(b"Content-Length: 0x4"),
    "CL empty": post(b"Content-Length:"),
    "CL huge": post(b"Content-Length: 99999999999999999999999"),
    "TE xchunked": post(b"Transfer-Encoding: xchunked", body=CHUNKS),
    "TE chunked, identity": post(b"Transfer-Encoding: chunked, identity", body=CHUNKS),
    "TE identity": post(b"Transfer-Encoding: identity", body=CHUNKS),
    "TE gzip, chunked": post(b"Transfer-Encoding: gzip, chunked", body=CHUNKS),
    "TE twice": post(CHUNKED, CHUNKED, body=CHUNKS),
    "TE empty": post(b"Transfer-Encoding:", body=CHUNKS),
    "TE with a control character": post(b"Transfer-Encoding: \x0bchunked", body=CHUNKS),
    "TE in HTTP/1.0": post(CHUNKED, body=CHUNKS, version=b"1.0"),
    "chunk without its end": post(CHUNKED, body=b"%x\r\n%bXX0\r\n\r\n" % (len(BODY), BODY)),
    "chunk size of letters": post(CHUNKED, body=b"zz\r\n" + CHUNKS),
    "chunk size below 0": post(CHUNKED, body=b"-2\r\n{}\r\n0\r\n\r\n"),
    "chunk size 0x2": post(CHUNKED, body=b"0x2\r\n{}\r\n0\r\n\r\n"),
    "chunk size with a space": post(CHUNKED, body=b"2 \r\n{}\r\n0\r\n\r\n"),
    "chunk size with a bare LF": post(CHUNKED, body=b"2\n{}\r\n0\r\n\r\n"),
    "chunk size beyond all": post(CHUNKED, body=b"ffffffffffffffffff\r\n{}"),
    "chunk extension, huge": post(CHUNKED, body=b"2;" + b"a" * 100_000 + b"\r\n{}\r\n0\r\n\r\n"),
    "trailer, huge": post(CHUNKED, body=b"2\r\n{}\r\n0\r\nX: " + b"a" * 100_000 + b"\r\n\r\n"),
    "bare LF": b"POST /api/chat HTTP/1.1\nHost: localhost\n" + LENGTH + b"\n\n" + BODY,
    "bare LF within": post(b"X: a\nY: b", LENGTH),
    "bare CR within": post(b"X: a\rY: b", LENGTH),
    "folded line": post(b"X: a\r\n b", LENGTH),
    "folded first line": post(LENGTH, host=b" Host: localhost"),
    "space before the colon": post(LENGTH.replace(b":", b" :")),
    "NUL in a value": post(b"X: a\0b", LENGTH),
    "NUL in a name": post(b"X\0: a", LENGTH),
    "CR in a value": post(b"X: a\rb", LENGTH),
    "control character": post(b"X: a\x01b", LENGTH),
    "no name": post(b": a", LENGTH),
    "no colon": post(b"abc", LENGTH),
    "odd name": post(b"a(b: c", LENGTH),
    "space in the URL": b"GET /api version HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "unknown method": b"FOO / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "lower case": b"get / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "HTTP/0.9": b"GET /api/version\r\n\r\n",
    "HTTP/1.2": b"GET / HTTP/1.2\r\nHost: localhost\r\n\r\n",
    "A18 preface of HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "A18 TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 300,
    "A18 websocket": NEXT[:-2] + b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x\r\n\r\n",
    "A18 websocket, POST": post(LENGTH, b"Connection: Upgrade", b"Upgrade: WebSocket"),
}


@pytest.mark.parametrize("apart", [False, True], ids=["at once", "in two"])
@pytest.mark.parametrize("request_bytes", BAD.values(), ids=BAD.keys())
async def test_a7_a18_malformed(request_bytes: bytes, apart: bool) -> None:
    """A7, A18: 400 in Ollama's shape and a close; no call to the backend; what follows is not taken for a request."""
    async with proxied() as proxy, proxy.client() as client:
        await client.send(request_bytes + b"" if apart else request_bytes + NEXT)
        response = await client.response()
        assert (response.status, list(response.json)) == (400, ["error"])
        assert response.all("content-type") == ["application/json; charset=utf-8"]
        assert response.all("connection") == ["close"]
        if apart:
            await send(client, NEXT)
        assert await client.read_to_end() == b""
        assert proxy.upstream.posts == []


async def send(client: RawClient, data: bytes) -> None:
    """Send it, unless the connection was closed meanwhile."""
    with suppress(ConnectionError):
        await client.send(data)


async def test_a18_no_tunnel() -> None:
    """A18: CONNECT is refused, and the bytes after it are not looked at."""
    async with proxied() as proxy, proxy.client() as client:
        await client.send(b"CONNECT evil.example:443 HTTP/1.1\r\nHost: localhost\r\n\r\n" + NEXT)
        response = await client.response()
        assert (response.status, response.json) == (405, {"error": "method not allowed"})
        assert await client.read_to_end() == b""


async def test_a18_no_trace() -> None:
    """A18: a TRACE is no method of any route, as with Ollama, and nothing of it is sent back."""
    async with proxied() as proxy:
        response = await proxy.ask("TRACE", "/api/version", None, "X-Secret: abc")
        assert (response.status, response.body) == (405, b"405 method not allowed")
        assert "abc" not in str(response.headers)


async def test_a18_http_2_by_name() -> None:
    """A18: a request that says HTTP/2.0 is 505."""
    async with proxied() as proxy, proxy.client() as client:
        await client.send(b"GET / HTTP/2.0\r\nHost: localhost\r\n\r\n" + NEXT)
        assert (await client.response()).status == 505
        assert await client.read_to_end() == b""


@pytest.mark.parametrize("framing", [LENGTH, CHUNKED], ids=["length", "chunks"])
@pytest.mark.parametrize("size", [1, 50, 10_000])
async def test_a18_h2c_is_overlooked(framing: bytes, size: int) -> None:
    """A18: who offers h2c, as Java's client does, gets the answer of HTTP/1.1 to its request with its body."""
    upgrade = (b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABk")
    data = post(*upgrade, framing, body=CHUNKS if framing == CHUNKED else BODY) + NEXT
    async with proxied() as proxy, proxy.client() as client:
        proxy.upstream.script("m", HI)
        for start in range(0, len(data), size):
            await client.send(data[start : start + size])
        response = await client.response()
        assert response.lines[-1]["done"] is True
        assert response.all("upgrade") == []
        assert (await client.response()).json.keys() == {"version"}
        assert proxy.upstream.posts[0].json["messages"] == [{"role": "user", "content": "hi"}]


HOSTS: dict[bytes, int] = {
    b"localhost": 200,
    b"localhost:11434": 200,
    b"LOCALHOST.:80": 200,
    b"localhost:": 200,
    b"127.0.0.1": 200,
    b"[::1]:11434": 200,
    b"::1": 200,
    b"": 200,
    b"a/?": 400,
    b"a/#": 400,
    b"localhost/": 400,
    b"localhost/?x": 400,
    b"localhost#": 400,
    b"user@localhost": 400,
    b"user:pw@localhost": 400,
    b"localhost:x": 400,
    b"localhost:-1": 400,
    b"localhost:99999": 400,
    b"localhost:123456": 400,
    b"local host": 400,
    b"localhost,evil.example": 403,
    b"local\\host": 400,
    b"loc<a>l": 400,
    b"\xc3\xa9vil": 400,
    b"[::1": 400,
    b"[evil.example]": 400,
    b"a:b:c": 400,
    b"evil.example": 403,
}


@pytest.mark.parametrize(("host", "status"), HOSTS.items(), ids=str)
async def test_t22_a8_host(host: bytes, status: int) -> None:
    """T22, A8: a Host that is no host with or without a port is 400; one that is, is for the rule on hosts."""
    async with proxied() as proxy, proxy.client() as client:
        await client.send(b"GET /api/version HTTP/1.1\r\nHost: " + host + b"\r\n\r\n")
        assert (await client.response()).status == status


@pytest.mark.parametrize(
    ("target", "host", "status"),
    [
        (b"http://localhost/api/version", b"Host: localhost", 200),
        (b"HTTP://LocalHost:80/api/version?a=b", b"Host: localhost", 200),
        (b"http://localhost:11434/api/version", b"Host: localhost:11434", 200),
        (b"http://localhost", b"Host: localhost", 200),
        (b"http://evil.example/api/version", b"Host: evil.example", 403),
        (b"http://evil.example/api/version", b"Host: localhost", 403),
        (b"http://localhost/api/version", b"Host: evil.example", 403),
        (b"http://user@localhost/api/version", b"Host: localhost", 400),
        (b"ftp://localhost/api/version", b"Host: localhost", 400),
        (b"http://localhost/api/version", b"X: no host", 400),
        (b"http://[::1]/api/version", b"Host: [::1]", 200),
    ],
)
async def test_a19_absolute_url(target: bytes, host: bytes, status: int) -> None:
    """A19: a URL with a host is asked of this server, by its path; the rule on hosts is for both hosts."""
    async with proxied() as proxy, proxy.client() as client:
        await client.send(b"GET " + target + b" HTTP/1.1\r\n" + host + b"\r\n\r\n")
        assert (await client.response()).status == status


async def test_a19_no_forward_proxy() -> None:
    """A19: no connection is made to the host that a URL names."""
    asked = asyncio.Event()

    async def trap(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.set()
        writer.close()

    async with await asyncio.start_server(trap, "127.0.0.1", 0) as server, proxied() as proxy:
        port = server.sockets[0].getsockname()[1]
        response = await proxy.ask("GET", f"http://127.0.0.1:{port}/api/tags", None, f"Host: 127.0.0.1:{port}")
        assert [model["name"] for model in response.json["models"]] == ["m:latest"]
        assert not asked.is_set()


async def test_t4_trailers_change_nothing() -> None:
    """T4: what comes after a body in chunks adds no header to its request."""
    body = CHUNKS[:-2] + b"Host: evil.example\r\nX-Request-Id: smuggled\r\n\r\n"
    async with proxied() as proxy, proxy.client() as client:
        proxy.upstream.script("m", HI)
        await client.send(post(CHUNKED, body=body) + NEXT)
        response = await client.response()
        assert response.lines[-1]["done"] is True
        assert response.header("x-request-id") != "smuggled"
        assert (await client.response()).status == 200


async def test_a7_body_that_breaks_off_leaves_nothing() -> None:
    """A7: a body that turns out bad while its request already runs ends that request."""
    async with proxied() as proxy, proxy.client() as client:
        await client.send(post(CHUNKED, body=CHUNKS[:20]))
        await eventually(lambda: True)
        await client.send(b"zz\r\n" * 100)
        assert (await client.response()).status == 400
        assert proxy.upstream.posts == []
