"""Bodies of requests: slow, large, packed, bombs (reliability A3, A14, A15, T19, M10)."""

from __future__ import annotations

import asyncio
import gzip
import json
import tracemalloc
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from support.proxy import HELLO, Proxy, chat, proxied
from support.replies import HI

MIB = 1024 * 1024
TOO_LARGE = {"error": "request body too large"}
TOO_SLOW = {"error": "timed out waiting for the request body"}
CHAT = json.dumps(chat()).encode()


@asynccontextmanager
async def memory(limit: int) -> AsyncIterator[None]:
    """Check that what runs meanwhile, client and backend too, never holds more than so many bytes beside what was."""
    tracemalloc.start()
    try:
        yield
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < limit


def deflated(data: bytes) -> bytes:
    packing = zlib.compressobj()
    return packing.compress(data) + packing.flush()


async def ask_packed(proxy: Proxy, data: bytes, *encodings: str) -> tuple[int, object]:
    headers = [f"Content-Encoding: {encoding}" for encoding in encodings]
    response = await proxy.ask("POST", "/api/chat", data, *headers)
    return response.status, response.json if response.status >= 400 else response.lines[-1]["done"]


async def test_a3_body_that_stalls() -> None:
    """A3: a body that stops is given up with 408 and a close; a byte now and then is a stop; nobody is asked."""
    async with proxied(body_timeout=0.3, body_min_rate=1000) as proxy:
        for drip in (False, True):
            async with proxy.client() as client:
                head = f"POST /api/chat HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(CHAT)}\r\n\r\n"
                await client.send(head.encode() + CHAT[:2])
                answer = asyncio.ensure_future(client.response())
                while drip and not answer.done():
                    await client.send(b" ")
                    await asyncio.wait([answer], timeout=0.02)
                response = await answer
                assert (response.status, response.json) == (408, TOO_SLOW)
                assert response.all("connection") == ["close"]
        assert proxy.upstream.posts == []


async def test_a3_slow_body_that_keeps_the_rate() -> None:
    """A3: a body that takes longer than the wait for a part, but moves, is served."""
    async with proxied(body_timeout=0.5, body_min_rate=1) as proxy, proxy.client() as client:
        proxy.upstream.script("m", HI)
        await client.send(f"POST /api/chat HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(CHAT)}\r\n\r\n".encode())
        for start in range(0, len(CHAT), 20):
            await client.send(CHAT[start : start + 20])
            await asyncio.sleep(0.2)
        assert (await client.response()).status == 200


@pytest.mark.parametrize("chunked", [False, True])
async def test_a14_never_held_beyond_the_limit(chunked: bool) -> None:
    """A14: of a body of 16 MB, where 1 MB is the limit, hardly more than the limit is ever held."""
    framing = "Transfer-Encoding: chunked" if chunked else "Content-Length: 16777216"
    part = b" " * 65536
    async with proxied(max_body_size=MIB) as proxy, memory(4 * MIB), proxy.client() as client:
        await client.send(f"POST /api/chat HTTP/1.1\r\nHost: localhost\r\n{framing}\r\n\r\n".encode())
        for _ in range(256):
            await client.send(b"10000\r\n%b\r\n" % part if chunked else part)
        await client.send(b"0\r\n\r\n" if chunked else b"")
        response = await client.response()
        assert (response.status, response.json, response.all("connection")) == (413, TOO_LARGE, ["close"])
        assert proxy.upstream.posts == []


@pytest.mark.parametrize(("encoding", "pack"), [("gzip", gzip.compress), ("deflate", deflated), ("identity", bytes)])
async def test_a15_packed_body(encoding: str, pack: type[bytes]) -> None:
    """A15: a body that was packed is the request that was packed, with its length told and in chunks of a byte."""
    async with proxied() as proxy, proxy.client() as client:
        proxy.upstream.script("m", HI)
        assert await ask_packed(proxy, pack(CHAT), encoding) == (200, True)
        head = f"POST /api/chat HTTP/1.1\r\nHost: localhost\r\nContent-Encoding: {encoding}\r\n".encode()
        head += b"Transfer-Encoding: chunked\r\n\r\n"
        await client.send(head + b"".join(b"1\r\n%c\r\n" % byte for byte in pack(CHAT)) + b"0\r\n\r\n")
        assert (await client.response()).status == 200
        assert [post.json["messages"] for post in proxy.upstream.posts] == [HELLO, HELLO]
        assert all("content-encoding" not in post.headers for post in proxy.upstream.posts)


REFUSED = {
    "plain JSON that says gzip": (CHAT, ["gzip"], 400, "request body is not valid gzip"),
    "garbage": (b"\x1f\x8b\x08garbage", ["gzip"], 400, "request body is not valid gzip"),
    "cut": (gzip.compress(CHAT)[:-3], ["gzip"], 400, "request body is not valid gzip"),
    "trailing garbage": (gzip.compress(CHAT) + b"junk", ["gzip"], 400, "request body is not valid gzip"),
    "plain JSON that says deflate": (CHAT, ["deflate"], 400, "request body is not valid deflate"),
    "nothing in it": (gzip.compress(b""), ["gzip"], 400, "missing request body"),
    "nothing at all": (b"", ["gzip"], 400, "missing request body"),
    "zstd": (b"\x28\xb5\x2f\xfd", ["zstd"], 415, "unsupported content encoding: send gzip, deflate or none"),
    "br": (b"\x0b\x02", ["br"], 415, "unsupported content encoding: send gzip, deflate or none"),
    "twice": (gzip.compress(CHAT), ["gzip, gzip"], 415, "unsupported content encoding: send gzip, deflate or none"),
    "two headers": (CHAT, ["gzip", "deflate"], 415, "unsupported content encoding: send gzip, deflate or none"),
}


async def test_a15_refused() -> None:
    """A15: what is not of its format is 400, other formats are 415; the connection serves the next request."""
    async with proxied() as proxy, proxy.client() as client:
        proxy.upstream.script("m", HI)
        for data, encodings, status, message in REFUSED.values():
            headers = [f"Content-Encoding: {encoding}" for encoding in encodings]
            await client.ask("POST", "/api/chat", data, *headers)
            response = await client.response()
            assert (response.status, response.json) == (status, {"error": message})
            await client.ask("GET", "/api/version")
            assert (await client.response()).status == 200
        assert proxy.upstream.posts == []


def bomb(wbits: int) -> bytes:
    """About a megabyte that becomes a gigabyte: sixty-four times the same zeros, each to be had without the last."""
    packing = zlib.compressobj(9, zlib.DEFLATED, wbits)
    head, again = (packing.compress(bytes(16 * MIB)) + packing.flush(zlib.Z_FULL_FLUSH) for _ in range(2))
    return head + again * 63 + packing.flush()


@pytest.mark.parametrize(("encoding", "wbits"), [("gzip", 31), ("deflate", 15)])
async def test_a15_t19_m10_bomb(encoding: str, wbits: int) -> None:
    """A15, T19, M10: a megabyte that would become a gigabyte is 413, and takes less than 64 MiB meanwhile."""
    packed = bomb(wbits)
    assert len(packed) < 2 * MIB
    async with proxied() as proxy, memory(64 * MIB):
        assert await ask_packed(proxy, packed, encoding) == (413, TOO_LARGE)
        assert proxy.upstream.posts == []


async def test_a15_limit_of_what_comes_out() -> None:
    """A15: the limit is of the body unpacked, to the byte."""
    async with proxied(max_body_size=4096) as proxy:
        proxy.upstream.script("m", HI)
        assert await ask_packed(proxy, gzip.compress(CHAT.ljust(4096)), "gzip") == (200, True)
        assert await ask_packed(proxy, gzip.compress(CHAT.ljust(4097)), "gzip") == (413, TOO_LARGE)


def early(method: str, path: str, *lines: str, version: str = "1.1") -> bytes:
    """Return the head of a request with 16 MB to come, whose answer does not depend on them."""
    lines = (f"{method} {path} HTTP/{version}", *lines, f"Content-Length: {len(LARGE)}")
    return "\r\n".join((*lines, "", "")).encode()


LARGE = bytes(16 * 1024 * 1024)
EARLY = {
    "no route": (early("POST", "/nope", "Host: localhost", "Connection: close"), 404),
    "no such method": (early("PUT", "/api/chat", "Host: localhost", "Connection: close"), 405),
    "origin": (early("POST", "/api/chat", "Host: localhost", "Origin: https://evil.example", "Connection: close"), 403),
    "no host": (early("POST", "/api/chat"), 400),
    "old client": (early("POST", "/nope", version="1.0"), 404),
    "kept": (early("POST", "/nope", "Host: localhost"), 404),
}


@pytest.mark.parametrize(("head", "status"), EARLY.values(), ids=EARLY.keys())
async def test_b7_a14_early_answer_is_seen(head: bytes, status: int) -> None:
    """B7, A8, A10: who sends a large body before it reads gets the answer that did not wait for it, and no reset."""
    async with proxied() as proxy, proxy.client() as client:
        await client.send(head + LARGE)
        assert (await client.response()).status == status
        client.half_close()
        assert await client.read_to_end() == b""
