"""What a web page can do to a proxy on the machine or in the network of who opens it (A8 to A11, M1, M2)."""

from __future__ import annotations

import logging

import pytest

from support.proxy import Proxy, chat, proxied
from support.replies import HI

EXCHANGES = "ollama_openai_proxy.exchange"
CLIENT_KEY = "canary-client-key"
BEARER = f"Authorization: Bearer {CLIENT_KEY}"
EVERY_ADDRESS = "0.0.0.0"  # noqa: S104  # only a setting: the socket is the test's

# A page elsewhere, a sandboxed frame or a file, pages whose names are like ours, other schemes and ports than listed.
FOREIGN = (
    *("https://evil.example", "http://evil.example:11434", "null", "http://localhost.evil.example"),
    *("http://127.0.0.1.evil.example", "http://evil.example/http://localhost"),
    *("chrome-extension://abcdefghijklmnop", "moz-extension://0-1", "https://app.example.evil.example", "data:", "x"),
    *("http://app.example", "https://app.example:444", "https://xapp.example", "http://192.168.1.5", "http://[::1]"),
)
# What a page may send without asking first (the Fetch standard's safelist), and what comes with it.
SIMPLE = (
    "Content-Type: text/plain;charset=UTF-8",
    "Content-Type: application/x-www-form-urlencoded",
    "Content-Type: multipart/form-data; boundary=x",
    "Sec-Fetch-Mode: no-cors",
)
# Every route that does something, and some that ask the backend.
DOING = (
    *(("POST", path) for path in ("/api/chat", "/api/generate", "/api/embed", "/api/embeddings", "/api/show")),
    *(("POST", path) for path in ("/api/pull", "/api/push", "/api/create", "/api/copy", "/api/delete")),
    *(("DELETE", "/api/delete"), ("PUT", "/api/chat"), ("PATCH", "/api/chat"), ("GET", "/api/tags"), ("GET", "/")),
    *(("GET", "/health"), ("GET", "/metrics"), ("GET", "/live"), ("HEAD", "/api/tags")),
)


async def refused(proxy: Proxy, method: str, path: str, *headers: str) -> None:
    """Check that the request is refused and that a page could read nothing of the answer, not even that."""
    body = {**chat(), "prompt": "x", "input": "x", "source": "m", "destination": "y", "from": "m"}
    response = await proxy.ask(method, path, None if method in ("GET", "HEAD", "OPTIONS") else body, *headers)
    assert (response.status, response.body) == (403, b""), (method, path, headers)
    assert not [name for name, _ in response.headers if name.startswith("access-control-")]
    assert not {"set-cookie", "location", "www-authenticate"} & {name for name, _ in response.headers}


@pytest.mark.parametrize("keys", [{}, {"proxy_api_key": CLIENT_KEY}], ids=["open", "keys"])
@pytest.mark.parametrize("bound", ["127.0.0.1", EVERY_ADDRESS])
async def test_a10_m1_pages_from_elsewhere(bound: str, keys: dict[str, str]) -> None:
    """A10, M1: no page from elsewhere has any request worked on, with a key or not, however simple the request is."""
    async with proxied(proxy_host=bound, ollama_origins="https://app.example", **keys) as proxy:
        asked = len(proxy.upstream.requests)
        for number, origin in enumerate(FOREIGN):
            simple = SIMPLE[number % len(SIMPLE)]
            await refused(proxy, "POST", "/api/chat", f"Origin: {origin}", simple, *([BEARER] if keys else []))
        for method, path in DOING:
            await refused(proxy, method, path, "Origin: https://evil.example", *([BEARER] if keys else []))
        assert len(proxy.upstream.requests) == asked
        names = await proxy.ask("GET", "/api/tags", None, *([BEARER] if keys else []))
        assert [model["name"] for model in names.json["models"]] == ["m:latest"]


@pytest.mark.parametrize("bound", ["127.0.0.1", EVERY_ADDRESS])
async def test_a9_a_rebound_page(bound: str) -> None:
    """A9: a page whose own name leads here is refused on every route, though its origin is the host that it asks."""
    async with proxied(proxy_host=bound) as proxy:
        asked = len(proxy.upstream.requests)
        for host in ("evil.example", "evil.example:11434", "evil.example.:80", "7f000001.evil.example"):
            for method, path in (*DOING, ("OPTIONS", "/api/chat")):
                await refused(proxy, method, path, f"Host: {host}", f"Origin: http://{host}")
                await refused(proxy, method, path, f"Host: {host}", "Sec-Fetch-Site: same-origin")
            await refused(proxy, "POST", "/api/chat", f"Host: {host}", "Origin: null")
        assert len(proxy.upstream.requests) == asked


@pytest.mark.parametrize("method", ["DELETE", "PUT", "POST"])
async def test_a11_preflight_of_a_foreign_page(method: str) -> None:
    """A11: a foreign page's preflight is refused and allows nothing, for a network that is more private neither."""
    private = "Access-Control-Request-Private-Network: true"
    async with proxied(proxy_api_key=CLIENT_KEY) as proxy:
        for origin in FOREIGN:
            asks = (f"Origin: {origin}", f"Access-Control-Request-Method: {method}", private)
            await refused(proxy, "OPTIONS", "/api/delete", *asks, "Access-Control-Request-Headers: authorization")
        allowed = ("Origin: http://localhost:1", f"Access-Control-Request-Method: {method}", private)
        response = await proxy.ask("OPTIONS", "/api/delete", None, *allowed)
        assert response.status == 204
        # Nobody is told to send cookies along, nor that a page of the Internet may come to this network.
        assert response.header("access-control-allow-credentials") is None
        assert response.header("access-control-allow-private-network") is None
        vary = {value.lower() for value in response.all("vary")}
        assert {"origin", "access-control-request-method", "access-control-request-headers"} <= vary


async def test_a10_an_origin_that_was_allowed_before() -> None:
    """A11: a browser remembers a preflight for hours; the request that follows is looked at all the same."""
    origin = "Origin: https://app.example"
    async with proxied(ollama_origins="https://app.example") as proxy:
        assert (await proxy.ask("OPTIONS", "/api/delete", None, origin)).status == 204
    async with proxied() as proxy:
        await refused(proxy, "DELETE", "/api/delete", origin)


@pytest.mark.parametrize("upgrade", ["websocket", "h2c", "WebSocket, h2c"])
async def test_a10_websockets(upgrade: str) -> None:
    """A10: browsers let any page open a WebSocket: none is opened here, nor any other protocol."""
    keys = ("Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==")
    async with proxied() as proxy:
        asked = len(proxy.upstream.requests)
        for origin in ("https://evil.example", "null", "http://localhost:3000"):
            for path in ("/api/chat", "/api/tags", "/live", "/"):
                response = await proxy.ask(
                    "GET", path, None, f"Origin: {origin}", "Connection: Upgrade", f"Upgrade: {upgrade}", *keys
                )
                assert response.status in (200, 400, 403, 405)
                assert response.status != 200 or origin.startswith("http://localhost")
                assert response.header("sec-websocket-accept") is None
        assert proxy.upstream.posts == []
        assert len(proxy.upstream.requests) <= asked + 1  # the list of models, for the page that may


async def test_a10_what_a_picture_asks() -> None:
    """A10: a page can make browsers send a GET without an origin, and read nothing of it. No GET changes anything."""
    hints = ("Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: no-cors", "Sec-Fetch-Dest: image", "Referer: http://x.y/")
    paths = [path for _, path in DOING]
    async with proxied() as proxy:
        before = (await proxy.ask("GET", "/api/tags")).json
        for path in sorted({*paths, "/api/ps", "/api/version", "/api/pull?model=x", "/api/delete?model=m"}):
            response = await proxy.ask("GET", path, None, *hints)
            assert response.status in (200, 404, 405)
            assert response.header("access-control-allow-origin") is None
            assert response.header("content-type") != "text/html"
        assert (await proxy.ask("GET", "/api/tags")).json == before
        assert proxy.upstream.posts == []


async def test_a10_pages_that_may() -> None:
    """A10: with `OLLAMA_ORIGINS`, and by default from this machine and its apps, a page is answered and may read it."""
    allowed = ("http://localhost:3000", "https://127.0.0.1", "http://0.0.0.0:8080", "app://x", "file://", "tauri://l")
    async with proxied(ollama_origins="https://app.example,chrome-extension://*") as proxy:
        proxy.upstream.script("m", HI)
        for origin in (*allowed, "vscode-webview://1", "https://app.example", "chrome-extension://abc"):
            response = await proxy.ask("POST", "/api/chat", chat(), f"Origin: {origin}")
            assert response.status == 200, origin
            assert response.all("access-control-allow-origin") == [origin]
            assert response.header("access-control-allow-credentials") is None
            assert "Origin" in response.all("vary")


async def test_m5_foreign_pages_do_not_fill_the_log(caplog: pytest.LogCaptureFixture) -> None:
    """M5: a refused request is one line, no longer for a long path, a long origin or a long host."""
    caplog.set_level(logging.INFO)
    long = "x" * 4000
    async with proxied() as proxy:
        caplog.clear()
        for header in (f"Origin: https://{long}", f"Host: {long[:200]}.example", "Origin: null"):
            await refused(proxy, "POST", f"/{long}", header)
        said = [record for record in caplog.records if record.name == EXCHANGES]
        others = [record for record in caplog.records if record.name != EXCHANGES]
    assert [record.__dict__["outcome"] for record in said] == ["auth"] * 3
    assert max(len(repr(sorted(record.__dict__.items()))) for record in said) < 3000
    assert len(others) <= 1  # of a host that is refused for the first time
