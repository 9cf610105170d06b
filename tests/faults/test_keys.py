"""The keys of clients (reliability M1, M2, M3, M7; L6): who is let in, what the rest is told, where no key may be."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from support.proxy import Proxy, chat, proxied
from support.rawclient import Response
from support.replies import DONE, HI, SSE, finish, text
from support.scripted import Chunk, End, Wait
from support.waiting import eventually

KEY, OTHER = "canary-client-key-1", "canary-client-key-2"
BEARER = f"Authorization: Bearer {KEY}"
UNAUTHORIZED = {"error": "unauthorized"}
KEYS: dict[str, Any] = {"proxy_api_key": f"{KEY}, {OTHER}"}

# Headers with which nobody is let in.
REFUSED: dict[str, tuple[str, ...]] = {
    "none": (),
    "another": ("Authorization: Bearer wrong",),
    "empty": ("Authorization:",),
    "no key": ("Authorization: Bearer",),
    "blank key": ("Authorization: Bearer  ",),
    "a part of it": (f"Authorization: Bearer {KEY[:-1]}",),
    "more than it": (f"Authorization: Bearer {KEY}x",),
    "both": (f"Authorization: Bearer {KEY},{OTHER}",),
    "the setting": (f"Authorization: Bearer {KEY}, {OTHER}",),
    "capitals": (f"Authorization: Bearer {KEY.upper()}",),
    "not ascii": ("Authorization: Bearer clé-ÿ",),
    "without a scheme": (f"Authorization: {KEY}",),
    "basic": ("Authorization: Basic Y2FuYXJ5LWNsaWVudC1rZXktMTo=",),
    "another scheme": (f"Authorization: Token {KEY}",),
    "tab": (f"Authorization: Bearer\t{KEY}",),
    "two, the first right": (BEARER, "Authorization: Bearer wrong"),
    "two, the last right": ("Authorization: Bearer wrong", BEARER),
    "twice the same": (BEARER, BEARER),
    "oversize": (f"Authorization: Bearer {'x' * 30_000}",),
    "another header": (f"X-Api-Key: {KEY}", f"Api-Key: {KEY}", f"Proxy-Authorization: Bearer {KEY}"),
    "cookie": (f"Cookie: key={KEY}; Authorization=Bearer {KEY}",),
    "backend's key": ("Authorization: Bearer test-key-0123456789",),
}


def refused(response: Response) -> None:
    assert (response.status, response.json) == (401, UNAUTHORIZED)
    assert response.header("content-type") == "application/json; charset=utf-8"
    assert response.header("www-authenticate") == "Bearer"
    assert response.header("x-request-id")


async def test_m1_who_is_refused() -> None:
    """M1: no key, a wrong one, or one that is not in one Bearer header is a 401 in Ollama's shape."""
    async with proxied(**KEYS) as proxy:
        for headers in REFUSED.values():
            refused(await proxy.ask("POST", "/api/chat", chat(), *headers))
            refused(await proxy.ask("GET", f"/api/tags?key={KEY}&api_key={KEY}&authorization=Bearer%20{KEY}", None))
        assert proxy.upstream.posts == []


@pytest.mark.parametrize("header", [BEARER, f"Authorization: Bearer {OTHER}", f"authorization: bEARER   {KEY}  "])
async def test_m1_who_is_let_in(header: str) -> None:
    """M1: each of several keys lets in; the scheme's case does not count (RFC 9110, 11.1). It is not handed on."""
    async with proxied(**KEYS) as proxy:
        proxy.upstream.script("m", HI)
        response = await proxy.ask("POST", "/api/chat", chat(), header)
        assert response.lines[-1]["done"] is True
        (post,) = proxy.upstream.posts
        assert post.headers["authorization"] == "Bearer test-key-0123456789"
        assert "canary-client" not in repr((post.headers, post.body))


@pytest.mark.parametrize("header", ["Authorization: Bearer x", "Authorization: Basic eDp5", "Authorization: é", ""])
async def test_m1_without_keys(header: str) -> None:
    """R17: where no keys are set any Authorization is taken, and never reaches the backend."""
    async with proxied() as proxy:
        proxy.upstream.script("m", HI)
        response = await proxy.ask("POST", "/api/chat", chat(), *filter(None, [header]))
        assert response.status == 200
        assert proxy.upstream.posts[0].headers["authorization"] == "Bearer test-key-0123456789"


async def test_m1_body_is_not_read() -> None:
    """M1: the 401 comes before the body, however long it would be, and the connection ends."""
    async with proxied(**KEYS) as proxy, proxy.client() as client:
        await client.send(b"POST /api/chat HTTP/1.1\r\nHost: localhost\r\nContent-Length: 30000000\r\n\r\n{")
        response = await client.response()
        refused(response)
        assert response.header("connection") == "close"


VARIANTS = [
    *("/api/tags", "/API/TAGS", "/api/tags/", "//api/tags", "/api//tags", "/./api/tags", "/live/../api/tags"),
    *("/api/tags;/live", "/live/..;/api/tags", "/live;x", "/%61pi/tags", "/live%2f..%2fapi/tags", "/api/tags?/live"),
    *("/live/", "/LIVE", "/live/x", "/ready/", "/%2flive", "/api/tags#/live", "/", "/nowhere", "/openapi.json"),
    *("/live%00", "/api/tags%00/live", "http://localhost/api/tags", "http://localhost/live/../api/tags", "/docs"),
]


@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS", "HEAD", "PUT"])
async def test_m2_no_way_around(method: str) -> None:
    """M2, T22: however the path is spelled and whatever the host is, a request without a key learns nothing."""
    async with proxied(**KEYS, api_docs=True) as proxy:
        hosts = ("localhost", "127.0.0.1", "localhost:80", "live", "[::1]")
        for path in VARIANTS:
            for host in hosts:
                response = await proxy.ask(method, path, None, f"Host: {host}", "X-Original-URL: /live")
                assert response.status in (204, 400, 401, 403, 404), (path, host)
                # 204 is what Ollama answers OPTIONS with, for any path, where it is bound to loopback.
                assert response.status != 204 or method == "OPTIONS"
                assert response.body in (b"", b'{"error":"unauthorized"}') or response.status in (400, 403)
        assert proxy.upstream.posts == []


@pytest.mark.parametrize("host", ["a/live?", "localhost/live#", "user@localhost", "localhost:x"])
async def test_m2_a8_hosts_that_are_none(host: str) -> None:
    """M2, T22: a Host that would change a URL made of it changes nothing: no request gets in by it."""
    async with proxied(**KEYS) as proxy:
        for path in ("/api/tags", "/health"):
            assert (await proxy.ask("GET", path, None, f"Host: {host}")).status in (400, 401, 403)


async def test_m7_what_is_open() -> None:
    """M7: who has no key learns that the process lives and whether it is ready; health and metrics want the key."""
    async with proxied(**KEYS) as proxy:
        for path, body in (("/live", b"ok"), ("/ready", b"ready")):
            response = await proxy.ask("GET", path)
            assert (response.status, response.body) == (200, body)
        for path in ("/health", "/metrics"):
            refused(await proxy.ask("GET", path))
            assert (await proxy.ask("GET", path, None, BEARER)).status == 200


async def test_m7_nobody_is_told_why_not_ready() -> None:
    """M7: with keys `/ready` says no more than that it is not."""
    async with proxied(**KEYS, ready_needs_upstream=True) as proxy:
        await proxy.upstream.stop()
        for _ in range(3):
            await proxy.ask("POST", "/api/chat", chat(), BEARER)
        response = await proxy.ask("GET", "/ready")
        assert (response.status, response.body) == (503, b"not ready")
        await proxy.upstream.start()


async def test_m1_a11_preflight_needs_no_key() -> None:
    """M1, A11: browsers send no key with a preflight; and a page may read the 401 to what follows it."""
    origin = "Origin: http://localhost:3000"
    async with proxied(**KEYS) as proxy:
        preflight = await proxy.ask("OPTIONS", "/api/chat", None, origin, "Access-Control-Request-Method: POST")
        assert preflight.status == 204
        assert "Authorization" in (preflight.header("access-control-allow-headers") or "")
        response = await proxy.ask("POST", "/api/chat", chat(), origin)
        refused(response)
        assert response.header("access-control-allow-origin") == "http://localhost:3000"


async def test_m1_a9_a10_host_and_origin_first() -> None:
    """M1: a key does not open the proxy to foreign pages and rebound names; they learn nothing of keys."""
    async with proxied(**KEYS) as proxy:
        for header in ("Origin: https://evil.example", "Host: evil.example"):
            for key in ((), (BEARER,)):
                response = await proxy.ask("POST", "/api/chat", chat(), header, *key)
                assert (response.status, response.body) == (403, b"")
        assert proxy.upstream.posts == []


async def test_m3_keys_are_nowhere(caplog: pytest.LogCaptureFixture) -> None:
    """M3: no key, right or wrong, is in a log line, an answer or a figure; a refused request has the outcome `auth`."""
    caplog.set_level(logging.DEBUG)
    said: list[Response] = []
    async with proxied(**KEYS) as proxy:
        proxy.upstream.script("m", HI)
        asked = (*REFUSED.values(), (BEARER,))
        said += [await proxy.ask("POST", "/api/chat", chat(), *headers) for headers in asked]
        said += [await proxy.ask("GET", path, None, BEARER) for path in ("/health", "/metrics", "/nowhere")]
        await eventually(lambda: any(record.__dict__.get("status") == 401 for record in caplog.records))
        page = said[-2].body.decode()
        refusals = len(REFUSED) + 1  # `proxied` begins with one
        assert f'outcome="auth",route="other"}} {refusals}.0' in page
    outcomes = [line.__dict__["outcome"] for line in caplog.records if line.__dict__.get("status") == 401]
    assert outcomes == ["auth"] * refusals
    for record in caplog.records:
        assert "canary-client" not in repr(record.__dict__)
    assert "canary-client" not in repr([(response.headers, response.body) for response in said])


@pytest.mark.parametrize("path", ["/health", "/metrics"])
async def test_m1_no_key_is_tried_unseen(path: str, caplog: pytest.LogCaptureFixture) -> None:
    """M1: pages for the host, which have no line of their own in the log, have one for each key that is refused."""
    caplog.set_level(logging.INFO, "ollama_openai_proxy.exchange")
    async with proxied(**KEYS) as proxy:
        caplog.clear()
        assert (await proxy.ask("GET", path, None, BEARER)).status == 200
        refused(await proxy.ask("GET", path, None, "Authorization: Bearer wrong"))
        page = (await proxy.ask("GET", "/metrics", None, BEARER)).body.decode()
    told = [line.__dict__ for line in caplog.records]
    assert [(facts["path"], facts["status"], facts["outcome"]) for facts in told] == [(path, 401, "auth")]
    assert 'front="operations",model="none",outcome="auth",route="other"} 1.0' in page
    assert "ollama_proxy_exchanges_in_flight 0.0" in page


@asynccontextmanager
async def holding(proxy: Proxy, barrier: asyncio.Event) -> AsyncIterator[None]:
    """Let a request with the first key run while the block lasts."""
    proxy.upstream.script("held", (SSE, Wait(barrier), Chunk(text("a") + finish() + DONE), End()))
    async with proxy.client() as client:
        await client.ask("POST", "/api/chat", chat("held"), BEARER)
        await proxy.upstream.request_received()
        yield
        barrier.set()
        assert (await client.response()).status == 200


async def test_j13_a_key_for_each_client() -> None:
    """J13: with keys it is the key that tells clients apart, not the address: one that hogs does not starve others."""
    async with proxied(**KEYS, max_active_per_client=1, forward_unknown_models=True) as proxy:
        barrier = asyncio.Event()
        proxy.upstream.script("m", HI)
        async with holding(proxy, barrier):
            assert (await proxy.ask("POST", "/api/chat", chat(), BEARER)).status == 503
            assert (await proxy.ask("POST", "/api/chat", chat(), f"Authorization: Bearer {OTHER}")).status == 200
        assert (await proxy.ask("POST", "/api/chat", chat(), BEARER)).status == 200
