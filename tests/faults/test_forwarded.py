"""What clients say of themselves in headers (reliability A20, A21, A22, J13): believed of few, handed on of little."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from support.proxy import Proxy, chat, proxied
from support.replies import DONE, HI, SSE, finish, text
from support.scripted import Chunk, End, Wait

# All that the backend may be told by header, whatever the client sends.
OURS = {
    *("host", "authorization", "user-agent", "accept", "accept-encoding", "content-type", "content-length"),
    *("x-request-id", "connection"),
}
# Headers that a client may send, and that are nobody else's business.
THEIRS = [
    *("Connection: x-secret, authorization, content-length, host", "X-Secret: canary", "Keep-Alive: timeout=canary"),
    *("TE: trailers, canary", "Trailer: X-Canary", "Proxy-Authorization: Basic canary", "Proxy-Connection: canary"),
    *("Authorization: Bearer canary", "X-Api-Key: canary", "Api-Key: canary", "Cookie: a=canary"),
    "Forwarded: for=canary",
    *("X-Forwarded-For: 198.51.100.66", "X-Forwarded-Host: canary", "X-Forwarded-Proto: canary", "X-Real-IP: canary"),
    *("X-Original-URL: /canary", "X-Rewrite-URL: /canary", "X-HTTP-Method-Override: DELETE", "Via: 1.1 canary"),
    *("OpenAI-Organization: canary", "User-Agent: canary", "Accept: canary", "Accept-Encoding: gzip, canary"),
    *("Content-Type: text/canary", "Referer: canary", "Range: bytes=0-1", "If-None-Match: canary", "Baggage: a=canary"),
]
HOSTILE = ["a\r\nX-Evil: 1", "a\nX-Evil: 1", "a\rX-Evil: 1", "a\r\n\r\nGET /evil HTTP/1.1", "a\u560d\u560aX-Evil: 1"]


@asynccontextmanager
async def holding(proxy: Proxy, *headers: str) -> AsyncIterator[None]:
    """Let a request with these headers run while the block lasts."""
    barrier = asyncio.Event()
    proxy.upstream.script("held", (SSE, Wait(barrier), Chunk(text("a") + finish() + DONE), End()))
    async with proxy.client() as client:
        await client.ask("POST", "/api/chat", chat("held"), *headers)
        await proxy.upstream.request_received(len(proxy.upstream.posts) + 1)
        yield
        barrier.set()
        assert (await client.response()).status == 200


@pytest.mark.parametrize("trusted", [None, "10.0.0.0/8, ::1"])
async def test_j13_a20_address_of_a_stranger(trusted: str | None) -> None:
    """J13, A20: a client has its share by its address, and gets no other one by saying that it is somebody else."""
    async with proxied(max_active_per_client=1, trusted_proxies=trusted, forward_unknown_models=True) as proxy:
        proxy.upstream.script("m", HI)
        async with holding(proxy, "X-Forwarded-For: 203.0.113.1"):
            for spoofed in ("X-Forwarded-For: 203.0.113.2", "Forwarded: for=203.0.113.2", "X-Real-IP: 203.0.113.2"):
                response = await proxy.ask("POST", "/api/chat", chat(), spoofed)
                assert response.status == 503
                assert response.json["error"].startswith("server busy, please try again.  maximum pending")
                assert response.header("retry-after") in ("1", "2", "3", "4", "5")
        assert len(proxy.upstream.posts) == 1
        assert (await proxy.chat()).status == 200


async def test_j13_a20_address_behind_a_trusted_proxy() -> None:
    """J13, A20: behind a trusted reverse proxy each of its clients has a share, and none can take another's."""
    given = {"max_active_per_client": 1, "trusted_proxies": "127.0.0.1", "forward_unknown_models": True}
    async with proxied(**given) as proxy:
        proxy.upstream.script("m", HI)
        async with holding(proxy, "X-Forwarded-For: 203.0.113.1"):
            for forwarded, status in (
                ("203.0.113.1", 503),
                ("203.0.113.2, 203.0.113.1", 503),
                ("203.0.113.1, 203.0.113.2", 200),
            ):
                response = await proxy.ask("POST", "/api/chat", chat(), f"X-Forwarded-For: {forwarded}")
                assert response.status == status


async def test_a21_what_the_backend_is_told() -> None:
    """A21: of a client's headers the backend sees none, and no `Connection` header takes away what is ours."""
    async with proxied() as proxy:
        proxy.upstream.script("m", HI)
        assert (await proxy.chat()).status == 200
        for header in THEIRS:
            response = await proxy.ask("POST", "/api/chat", chat(), header)
            assert response.status == 200, header
        await proxy.ask("POST", "/api/chat", chat(), *(header for header in THEIRS if "X-Forwarded-For" not in header))
        first, *others = proxy.upstream.posts
        assert {*first.headers} <= OURS
        for post in others:
            assert {*post.headers} == {*first.headers}
            assert "canary" not in repr(post.headers)
            same = ("authorization", "content-type", "content-length", "host", "user-agent")
            assert [post.headers[name] for name in same] == [first.headers[name] for name in same]
            assert post.path == first.path


@pytest.mark.parametrize("hostile", HOSTILE)
async def test_a22_line_ends_in_fields(hostile: str) -> None:
    """A22: a line end in whatever field is data: no header of ours, to the backend or the client, is made of it."""
    fields: list[dict[str, object]] = [
        {name: hostile} for name in ("model", "keep_alive", "format", "think", "user", hostile)
    ]
    fields += [{"options": {"stop": [hostile], hostile: hostile}}]
    fields += [{"messages": [{"role": hostile, "content": hostile, "name": hostile}]}]
    async with proxied(forward_unknown_models=True) as proxy:
        for key in (hostile, "m"):
            proxy.upstream.script(key, HI)
        for given in fields:
            response = await proxy.ask("POST", "/api/chat", {**chat(), **given})
            assert response.status in (200, 400, 404) or "invalid format" in response.json["error"], given
            assert response.all("x-evil") == []
            assert not any("X-Evil" in value for _, value in response.headers)
        assert all(post.path == "/v1/chat/completions" for post in proxy.upstream.posts)
        for post in proxy.upstream.posts:
            assert {*post.headers} <= OURS
            assert "X-Evil" not in repr(post.headers)


@pytest.mark.parametrize("name", ["X-Request-Id", "Traceparent", "Tracestate", "Origin", "Host", "Authorization"])
@pytest.mark.parametrize("end", ["\n", "\r"])
async def test_a22_line_ends_in_headers(name: str, end: str) -> None:
    """A22: a bare line end in a header is no way to another one: the request is refused, or its value is not used."""
    async with proxied() as proxy, proxy.client() as client:
        proxy.upstream.script("m", HI)
        body = b'{"model":"m","messages":[{"role":"user","content":"x"}]}'
        host = "" if name == "Host" else "Host: localhost\r\n"
        head = f"POST /api/chat HTTP/1.1\r\n{host}{name}: a{end}X-Evil: 1\r\nContent-Length: {len(body)}\r\n\r\n"
        await client.send(head.encode() + body)
        response = await client.response()
        assert response.status in (200, 400)
        assert response.all("x-evil") == []
        for post in proxy.upstream.posts:
            assert "x-evil" not in post.headers
            assert "evil" not in repr(post.headers).lower()
