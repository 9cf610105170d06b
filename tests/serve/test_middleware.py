"""Ollama's rules on origins and hosts (contract 1.5, 1.6)."""

from __future__ import annotations

import logging
import socket

import pytest
from starlette.types import Receive, Scope, Send

from ollama_openai_proxy.serve.middleware import OriginGuard
from support.asgi import Headers, call
from support.proxy import chat, proxied
from support.recording import recorded
from support.replies import HI
from support.waiting import eventually

EXCHANGES = "ollama_openai_proxy.exchange"
ALLOWED_HEADERS = (
    "Authorization,Content-Type,User-Agent,Accept,X-Requested-With,Openai-Beta,X-Stainless-Arch,X-Stainless-Async,"
    "X-Stainless-Custom-Poll-Interval,X-Stainless-Helper-Method,X-Stainless-Lang,X-Stainless-Os,"
    "X-Stainless-Package-Version,X-Stainless-Poll-Helper,X-Stainless-Retry-Count,X-Stainless-Runtime,"
    "X-Stainless-Runtime-Version,X-Stainless-Timeout"
)


async def ok(_scope: Scope, _receive: Receive, send: Send) -> None:
    """An application that answers every request, 299 to be known by."""
    await send({"type": "http.response.start", "status": 299, "headers": [(b"x-app", b"yes")]})
    await send({"type": "http.response.body", "body": b"ok"})


async def ask(
    method: str, headers: Headers, *, origins: tuple[str, ...] = (), check_host: bool = True
) -> tuple[int, list[tuple[str, str]]]:
    """Return status and headers, the request id left out."""
    app = recorded(OriginGuard(ok, origins=origins, check_host=check_host))
    status, answered = await call(app, method, "/", headers)
    return status, [header for header in answered if header[0] != "x-request-id"]


ORIGINS: dict[str, tuple[str, tuple[str, ...], bool]] = {
    "built in, with a port": ("http://localhost:3000", (), True),
    "built in, without a port": ("https://127.0.0.1", (), True),
    "built in, any address": ("http://0.0.0.0:5173", (), True),
    "built in, an app": ("app://obsidian.md", (), True),
    "built in, a file": ("file://", (), True),
    "built in, Tauri": ("tauri://localhost", (), True),
    "built in, a web view": ("vscode-webview://1a2b3c", (), True),
    "built in, VS Code": ("vscode-file://vscode-app", (), True),
    "elsewhere": ("https://evil.example", (), False),
    "a name that begins alike": ("http://localhost.evil.example", (), False),
    "another scheme": ("ftp://localhost", (), False),
    "null": ("null", (), False),
    "null, with a list": ("null", ("https://a.example",), False),
    "null, with *": ("null", ("*",), True),
    "listed": ("https://a.example", ("https://a.example",), True),
    "listed, in capitals": ("https://a.example", ("  https://A.Example ",), True),
    "capitals that the list does not have": ("https://A.example", ("https://a.example",), False),
    "the list is not the end of the built-ins": ("http://localhost", ("https://a.example",), True),
    "a star at the end": ("chrome-extension://abc", ("chrome-extension://*",), True),
    "a star in front": ("https://x.a.example", ("*.a.example",), True),
    "a star in front, another end": ("https://a.example.evil", ("*.a.example",), False),
    "a star within": ("https://x.a.example", ("https://*.a.example",), True),
    "a star within, another scheme": ("http://x.a.example", ("https://*.a.example",), False),
    "any": ("https://evil.example", ("*",), True),
}


@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
@pytest.mark.parametrize(("origin", "listed", "allowed"), ORIGINS.values(), ids=ORIGINS.keys())
async def test_origin(origin: str, listed: tuple[str, ...], allowed: bool, method: str) -> None:
    """Rules 3, 4: an origin that the list does not match is 403 without CORS headers, for simple requests too."""
    status, headers = await ask(method, [("Host", "localhost:11434"), ("Origin", origin)], origins=listed)
    if allowed:
        assert status == (204 if method == "OPTIONS" else 299)
    else:
        assert (status, headers) == (403, [("content-length", "0")])


async def test_no_origin() -> None:
    """Rule 1: without an Origin header nothing is added."""
    assert await ask("GET", [("Host", "localhost")]) == (299, [("x-app", "yes")])


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_same_origin(scheme: str) -> None:
    """Rule 2: an origin equal to the Host header is no foreign one: allowed, and nothing is added."""
    headers = [("Host", "models.example:8080"), ("Origin", f"{scheme}://models.example:8080")]
    assert await ask("POST", headers, check_host=False) == (299, [("x-app", "yes")])


async def test_allowed_origin() -> None:
    """Rule 5: an allowed request gets its origin and Vary, and never credentials (rule 8)."""
    status, headers = await ask("GET", [("Host", "localhost"), ("Origin", "http://localhost:3000")])
    assert status == 299
    assert headers == [("x-app", "yes"), ("access-control-allow-origin", "http://localhost:3000"), ("vary", "Origin")]


async def test_preflight() -> None:
    """Rule 6: a preflight is 204 with exactly these headers, three values of Vary, and no credentials."""
    asks = [("Access-Control-Request-Method", "POST"), ("Access-Control-Request-Headers", "content-type")]
    status, headers = await ask("OPTIONS", [("Host", "localhost"), ("Origin", "app://x"), *asks])
    assert status == 204
    assert sorted(headers) == [
        ("access-control-allow-headers", ALLOWED_HEADERS),
        ("access-control-allow-methods", "GET,POST,PUT,PATCH,DELETE,HEAD,OPTIONS"),
        ("access-control-allow-origin", "app://x"),
        ("access-control-max-age", "43200"),
        ("vary", "Access-Control-Request-Headers"),
        ("vary", "Access-Control-Request-Method"),
        ("vary", "Origin"),
    ]


async def test_every_origin() -> None:
    """Rule 7: with `*` in the list the answer is `*`, without Vary, for requests and preflights."""
    headers = [("Host", "localhost"), ("Origin", "https://anywhere.example")]
    for method, status in (("GET", 299), ("OPTIONS", 204)):
        answered, got = await ask(method, headers, origins=("*",))
        assert answered == status
        assert [value for name, value in got if name == "access-control-allow-origin"] == ["*"]
        assert [value for name, value in got if name == "vary"] == []


async def test_preflight_comes_before_the_host_check() -> None:
    """1.4: CORS is first: a preflight from an allowed origin is answered whatever the host, the request is not."""
    headers = [("Host", "evil.example"), ("Origin", "http://localhost:3000")]
    assert (await ask("OPTIONS", headers))[0] == 204
    assert (await ask("GET", headers))[0] == 403


HOSTS: dict[str, bool] = {
    "": True,
    "localhost": True,
    "LocalHost:11434": True,
    "127.0.0.1:11434": True,
    "127.9.9.9": True,
    "[::1]:11434": True,
    "0.0.0.0:11434": True,
    "10.1.2.3": True,
    "172.16.0.1:80": True,
    "172.31.255.255": True,
    "192.168.1.20:11434": True,
    "[fd00::1]:11434": True,
    "proxy.localhost": True,
    "printer.local:11434": True,
    "host.docker.internal:11434": True,
    socket.gethostname().upper(): True,
    "evil.example": False,
    "evil.example:11434": False,
    "localhost.evil.example": False,
    "notlocalhost": False,
    "evil.local.example": False,
    "8.8.8.8": False,
    "172.32.0.1": False,
    "169.254.169.254": False,
    "192.0.2.1": False,
    "[2001:db8::1]:11434": False,
    "127.0.0.1.evil.example": False,
}


@pytest.mark.parametrize(("host", "allowed"), HOSTS.items(), ids=lambda value: str(value) or "empty")
async def test_host(host: str, allowed: bool) -> None:
    """1.6, A9: while bound to loopback only these hosts are answered; others are 403 with an empty body."""
    status, headers = await ask("GET", [("Host", host)])
    assert status == (299 if allowed else 403)
    assert allowed or headers == [("content-length", "0")]
    assert (await ask("GET", [("Host", host)], check_host=False))[0] == 299


@pytest.mark.parametrize(("host", "status"), [("localhost", 204), ("a.local", 204), ("127.0.0.1", 299), ("x.y", 403)])
async def test_options_without_origin(host: str, status: int) -> None:
    """1.6: OPTIONS without an origin, to an allowed name but not to an address, ends with 204 in the host check."""
    assert (await ask("OPTIONS", [("Host", host)]))[0] == status
    assert (await ask("OPTIONS", [("Host", host)], check_host=False))[0] == 299


async def test_refusals_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    """A refused request has its line in the log, and its request id in the answer."""
    caplog.set_level(logging.INFO, EXCHANGES)
    app = recorded(OriginGuard(ok, origins=(), check_host=True))
    _, headers = await call(app, "POST", "/api/chat", [("Origin", "https://evil.example"), ("X-Request-Id", "r1")])
    assert ("x-request-id", "r1") in headers
    (record,) = caplog.records
    fields = record.__dict__
    assert (fields["status"], fields["outcome"], fields["request_id"]) == (403, "auth", "r1")


async def test_every_answer_passes(caplog: pytest.LogCaptureFixture) -> None:
    """1.4: streams, 404s and errors have a request id and CORS headers, and one log line each."""
    caplog.set_level(logging.INFO, EXCHANGES)
    asked = [("POST", "/api/chat", chat()), ("GET", "/nowhere", None), ("POST", "/api/chat", b"{")]
    async with proxied() as proxy:
        proxy.upstream.script("m", HI)
        caplog.clear()
        for number, (method, path, body) in enumerate(asked):
            response = await proxy.ask(method, path, body, f"X-Request-Id: r{number}", "Origin: http://localhost:1")
            assert response.all("x-request-id") == [f"r{number}"]
            assert response.all("access-control-allow-origin") == ["http://localhost:1"]
        await eventually(lambda: len(caplog.records) == 3)
    assert [record.__dict__["request_id"] for record in caplog.records] == ["r0", "r1", "r2"]


async def test_foreign_pages_reach_no_upstream() -> None:
    """A10: a POST from a foreign page, plain text so that no preflight is asked for, is refused before any work."""
    async with proxied() as proxy:
        for origin in ("https://evil.example", "null"):
            response = await proxy.ask("POST", "/api/chat", chat(), f"Origin: {origin}", "Content-Type: text/plain")
            assert (response.status, response.body) == (403, b"")
        assert proxy.upstream.posts == []
