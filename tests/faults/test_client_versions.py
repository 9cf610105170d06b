"""Clients of HTTP/1.0, and those that send the next request before they have read the answer (reliability 2.A)."""

from __future__ import annotations

import asyncio

import pytest

from support.proxy import chat, proxied
from support.rawclient import RawClient
from support.replies import DONE, HI, SSE, finish, text, usage
from support.scripted import Chunk, End, Wait
from support.waiting import eventually

VERSION = b"GET /api/version HTTP/1.1\r\nHost: localhost\r\n\r\n"


def old(path: str, *lines: str, body: bytes = b"") -> bytes:
    """Return a request of HTTP/1.0."""
    method = "POST" if body else "GET"
    head = (f"{method} {path} HTTP/1.0", *lines, *([f"Content-Length: {len(body)}"] if body else []), "", "")
    return "\r\n".join(head).encode() + body


CHAT = b'{"model":"m","messages":[{"role":"user","content":"hi"}]}'
NEW_CHAT = b"POST /api/chat HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%b" % (len(CHAT), CHAT)


@pytest.mark.parametrize("keep", [False, True])
async def test_t3_a16_stream_to_an_old_client(keep: bool) -> None:
    """T3, A16: HTTP/1.0 knows no chunks: the lines come as they are, and the connection ends them, asked to or not."""
    lines = ("Host: localhost", *(["Connection: keep-alive"] if keep else []))
    async with proxied() as proxy, proxy.client() as client:
        proxy.upstream.script("m", HI)
        await client.send(old("/api/chat", *lines, body=CHAT))
        response = await client.head()
        assert response.status == 200
        assert response.all("transfer-encoding") == response.all("content-length") == []
        assert response.all("connection") == ["close"]
        body = await client.read_to_end()
        assert body.startswith(b'{"model":"m"')
        assert body.endswith(b"}\n")
        assert b'"done":true' in body


async def test_t3_a16_stream_comes_as_it_is_made() -> None:
    """A16: what ends with the connection is still sent piece by piece."""
    barrier = asyncio.Event()
    async with proxied() as proxy, proxy.client() as client:
        rest = (Wait(barrier), Chunk(text("b") + finish() + usage() + DONE), End())
        proxy.upstream.script("m", (SSE, Chunk(text("a")), *rest))
        await client.send(old("/api/chat", body=CHAT))
        await client.read_until(b'"content":"a"')
        barrier.set()
        assert b'"content":"b"' in await client.read_to_end()


async def test_a16_error_in_mid_stream() -> None:
    """A16: an error in mid-stream is the last line for an old client, too."""
    async with proxied() as proxy, proxy.client() as client:
        proxy.upstream.script("m", (SSE, Chunk(text("a")), Chunk(b'data: {"error":{"message":"no"}}\n\n'), End()))
        await client.send(old("/api/chat", body=CHAT))
        await client.read_until(b'"content":"a"')
        body = await client.read_to_end()
        assert body.splitlines()[-1].startswith(b'{"error":')
        assert b'"done":true' not in body


async def test_a16_old_client_that_keeps() -> None:
    """A16: an answer with a length keeps the connection if that is asked, and says so; else it is closed."""
    async with proxied() as proxy, proxy.client() as client:
        for path, status in (("/api/version", 200), ("/nowhere", 404), ("/api/version", 200)):
            await client.send(old(path, "Connection: Keep-Alive"))
            response = await client.response()
            assert (response.status, response.all("connection")) == (status, ["keep-alive"])
            assert response.all("transfer-encoding") == []
        await client.send(old("/api/version") + old("/api/version"))
        response = await client.response()
        assert (response.status, response.all("connection")) == (200, ["close"])
        assert await client.read_to_end() == b""


async def test_a16_a12_old_client_that_expects() -> None:
    """A16, A12: HTTP/1.0 has no interim answers: who expects one there gets the answer, and nothing before it."""
    async with proxied() as proxy, proxy.client() as client:
        proxy.upstream.script("m", HI)
        await client.send(old("/api/chat", "Host: localhost", "Expect: 100-continue", body=CHAT))
        assert (await client.head()).status == 200


async def test_a16_head_request_of_an_old_client() -> None:
    """A16: the answer to HEAD has no body, whatever its length says."""
    async with proxied() as proxy, proxy.client() as client:
        await client.send(b"HEAD / HTTP/1.0\r\n\r\n")
        assert (await client.head()).status == 200
        assert await client.read_to_end() == b""


async def test_a17_pipelined_behind_a_stream() -> None:
    """A17: a second request that came with the first is answered after it, whole and in order."""
    async with proxied() as proxy, proxy.client() as client:
        proxy.upstream.script("m", HI)
        await client.send(NEW_CHAT + VERSION + NEW_CHAT)
        assert (await client.response()).lines[-1]["done"] is True
        assert (await client.response()).json.keys() == {"version"}
        assert (await client.response()).lines[-1]["done"] is True


@pytest.mark.parametrize("together", [True, False])
async def test_a17_what_follows_chunks_is_no_part_of_them(together: bool) -> None:
    """A17: a body in chunks that comes with a large request behind it is not measured by that."""
    head = b"POST /api/chat HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
    chunked = b"%x\r\n%b\r\n0\r\n\r\n" % (len(CHAT), CHAT)
    large = b'{"model":"m","messages":[{"role":"user","content":"' + b"x" * 150_000 + b'"}]}'
    behind = b"POST /api/chat HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%b" % (len(large), large)
    async with proxied() as proxy, proxy.client() as client:
        proxy.upstream.script("m", HI)
        rest = chunked + behind + head + chunked + VERSION
        for part in (head + rest,) if together else (head + chunked[:1], chunked[1:] + rest[len(chunked) :]):
            await client.send(part)
            await asyncio.sleep(0.05)  # so that the parts are read apart
        for _ in range(3):
            assert (await client.response()).lines[-1]["done"] is True
        assert (await client.response()).json.keys() == {"version"}


async def flooded(client: RawClient, data: bytes) -> int:
    """Send the same for as long as it is taken, while a stream runs. Return how much was taken: 32 MB at most."""
    await client.ask("POST", "/api/chat", chat())
    await client.read_until(b'"content":"a"')
    taken = 0
    try:
        async with asyncio.timeout(1.5):
            while taken < 32 * 1024 * 1024:
                await client.send(data)
                taken += len(data)
    except TimeoutError:
        pass
    return taken


@pytest.mark.parametrize("piece", [VERSION * 1000, b"a" * 60_000], ids=["requests", "nonsense"])
async def test_a17_nothing_is_stored_behind_a_stream(piece: bytes) -> None:
    """A17: what is sent without end while a stream runs is not kept, and does not end the stream or come into it."""
    barrier = asyncio.Event()
    async with proxied() as proxy, proxy.client() as client:
        rest = (Wait(barrier), Chunk(text("b") + finish() + usage() + DONE), End())
        proxy.upstream.script("m", (SSE, Chunk(text("a")), *rest))
        assert await flooded(client, piece) < 16 * 1024 * 1024
        barrier.set()
        body = await client.read_until(b"\r\n0\r\n\r\n")
        assert b'"content":"b"' in body
        assert b'"done":true' in body
        assert b"version" not in body.split(b'"done":true')[0]


async def test_a17_as_many_as_are_taken() -> None:
    """A17: of a thousand requests at once some are answered, in order; then the connection is closed."""
    async with proxied() as proxy, proxy.client() as client:
        await client.send(VERSION * 1000)
        answered = (await client.read_to_end()).count(b"HTTP/1.1 200 OK")
        assert 2 <= answered <= 100


async def test_a17_bad_request_behind_a_good_one() -> None:
    """A17, A7: what is wrong does not spoil the answer to what came before it."""
    async with proxied() as proxy, proxy.client() as client:
        proxy.upstream.script("m", HI)
        await client.send(NEW_CHAT + VERSION + b"nonsense\r\n\r\n" + VERSION)
        assert (await client.response()).lines[-1]["done"] is True
        assert (await client.response()).status == 200
        assert b"200 OK" not in await client.read_to_end()


async def test_a17_a7_answer_before_what_is_wrong_is_seen() -> None:
    """A17, A7: who goes on sending after what is wrong gets the answer to what came before it, and no reset."""
    async with proxied() as proxy, proxy.client() as client:
        proxy.upstream.script("m", HI)
        await client.send(NEW_CHAT + b"nonsense\r\n\r\n")
        await client.read_until(b"\r\n\r\n")
        await eventually(lambda: proxy.upstream.posts and not proxy.upstream.busy)
        await client.send(bytes(16 * 1024 * 1024))
        assert b'"done":true' in await client.read_to_end()


async def test_c8_t7_half_close() -> None:
    """T7, C8: who ends its side of the connection has left: the call is ended, and nothing more is sent."""
    async with proxied() as proxy, proxy.client() as client:
        proxy.upstream.script("m", (SSE, Chunk(text("a")), Wait(asyncio.Event())))
        await client.ask("POST", "/api/chat", chat())
        await client.read_until(b'"content":"a"')
        client.half_close()
        await proxy.upstream.peer_left(within=1.0)
        assert b'"done":true' not in await client.read_to_end()


async def test_c4_a17_client_that_leaves_with_requests_in_line() -> None:
    """C4, A17: a client that leaves is seen to leave though it had asked for more; that is not begun any more."""
    async with proxied() as proxy, proxy.client() as client:
        proxy.upstream.script("m", (SSE, Chunk(text("a")), Wait(asyncio.Event())))
        await client.ask("POST", "/api/chat", chat())
        await client.read_until(b'"content":"a"')
        await client.ask("POST", "/api/chat", chat())
        client.close()
        await proxy.upstream.peer_left(within=1.0)
        assert len(proxy.upstream.posts) == 1
