"""Request bodies: whatever their type claims, and never more than the limit."""

from __future__ import annotations

import json

import pytest

from support.proxy import HELLO, chat, proxied
from support.replies import HI

TOO_LARGE = {"error": "request body too large"}


@pytest.mark.parametrize(
    "content_type",
    [
        None,
        "application/json",
        "application/x-www-form-urlencoded",
        "text/plain",
        "application/octet-stream",
        "multipart/form-data; boundary=x",
        "application/json; charset=latin-1",
        "nonsense",
    ],
)
async def test_content_type_does_not_matter(content_type: str | None) -> None:
    """R1, B5: a body is JSON whatever its Content-Type says, or without one."""
    async with proxied() as proxy:
        proxy.upstream.script("m", HI)
        headers = [f"Content-Type: {content_type}"] if content_type else []
        response = await proxy.ask("POST", "/api/chat", chat(), *headers)
        assert response.status == 200
        assert proxy.upstream.posts[0].json["messages"] == HELLO


async def test_accept_does_not_matter() -> None:
    """R1: clients ask for application/json while they stream, or for anything else."""
    async with proxied() as proxy:
        proxy.upstream.script("m", HI)
        response = await proxy.ask("POST", "/api/chat", chat(), "Accept: text/html")
        assert response.all("content-type") == ["application/x-ndjson"]


@pytest.mark.parametrize("body", [b"", b" \r\n\t "], ids=["empty", "blank"])
@pytest.mark.parametrize("path", ["/api/chat", "/api/generate", "/api/embed", "/api/embeddings", "/api/show"])
async def test_empty_body(path: str, body: bytes) -> None:
    """B1: an empty body is 400 with Ollama's words on every route that reads one (contract 1.7)."""
    async with proxied() as proxy:
        response = await proxy.ask("POST", path, body)
        assert (response.status, response.json) == (400, {"error": "missing request body"})
        assert response.all("content-type") == ["application/json; charset=utf-8"]


async def test_no_content_length() -> None:
    """B1: a POST with neither length nor chunks has an empty body."""
    async with proxied() as proxy, proxy.client() as client:
        await client.send(b"POST /api/chat HTTP/1.1\r\nHost: localhost\r\n\r\n")
        response = await client.response()
        assert (response.status, response.json) == (400, {"error": "missing request body"})


def padded(size: int) -> bytes:
    """Return a chat request of exactly so many bytes."""
    data = json.dumps(chat()).encode()
    return data + b" " * (size - len(data))


@pytest.mark.parametrize(("size", "status"), [(4096, 200), (4097, 413)])
async def test_limit_by_content_length(size: int, status: int) -> None:
    """A14: a body of exactly the limit is taken, one byte more is 413."""
    async with proxied(max_body_size=4096) as proxy:
        proxy.upstream.script("m", HI)
        response = await proxy.ask("POST", "/api/chat", padded(size))
        assert response.status == status
        assert status == 200 or response.json == TOO_LARGE
        assert len(proxy.upstream.posts) == (status == 200)


async def test_limit_is_known_before_the_body() -> None:
    """A14: a length above the limit is 413 before a byte of the body is sent."""
    async with proxied(max_body_size=4096) as proxy, proxy.client() as client:
        await client.send(b"POST /api/chat HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000000\r\n\r\n")
        response = await client.response()
        assert (response.status, response.json) == (413, TOO_LARGE)


@pytest.mark.parametrize(("size", "status"), [(4096, 200), (4097, 413)])
async def test_limit_of_a_chunked_body(size: int, status: int) -> None:
    """A14: a body in chunks, which tells no length, has the same limit."""
    async with proxied(max_body_size=4096) as proxy, proxy.client() as client:
        proxy.upstream.script("m", HI)
        await client.send(b"POST /api/chat HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n")
        data = padded(size)
        for start in range(0, size, 1000):
            part = data[start : start + 1000]
            await client.send(b"%x\r\n%b\r\n" % (len(part), part))
        if status == 200:
            await client.send(b"0\r\n\r\n")
        response = await client.response()
        assert response.status == status
        assert status == 200 or response.json == TOO_LARGE


async def test_parts_are_joined_in_order() -> None:
    """A body that comes in many pieces, cut within characters, is the same body."""
    text = "héllo 日本語 🌍"
    data = json.dumps(chat(messages=[{"role": "user", "content": text}]), ensure_ascii=False).encode()
    async with proxied() as proxy, proxy.client() as client:
        proxy.upstream.script("m", HI)
        await client.send(b"POST /api/chat HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n")
        for byte in data:
            await client.send(b"1\r\n%c\r\n" % byte)
        await client.send(b"0\r\n\r\n")
        assert (await client.response()).status == 200
        assert proxy.upstream.posts[0].json["messages"][0]["content"] == text


async def test_nothing_of_the_body_is_echoed() -> None:
    """B2, T20: what can't be parsed is 400 without a word of the prompt."""
    async with proxied() as proxy:
        response = await proxy.ask("POST", "/api/chat", b'{"model":"m","messages":[{"content":"my-secret-prompt"')
        assert (response.status, response.json) == (400, {"error": "unexpected EOF"})
