"""Ollama's rules on origins and hosts (contract 1.5, 1.6)."""

from __future__ import annotations

import logging

import pytest
from starlette.types import Receive, Scope, Send

from ollama_openai_proxy.serve.hosts import Hosts
from ollama_openai_proxy.serve.middleware import OriginGuard
from ollama_openai_proxy.serve.recorder import Recorder
from support.asgi import Headers, call
from support.proxy import chat, proxied
from support.recording import recorded
from support.replies import HI
from support.waiting import eventually

EXCHANGES = "ollama_openai_proxy.exchange"


async def ok(_scope: Scope, _receive: Receive, send: Send) -> None:
    """An application that answers every request, 299 to be known by."""
    await send({"type": "http.response.start", "status": 299, "headers": [(b"x-app", b"yes")]})
    await send({"type": "http.response.body", "body": b"ok"})


def guarded(*, origins: tuple[str, ...] = (), loopback: bool = True) -> Recorder:
    return recorded(OriginGuard(ok, origins=origins, hosts=Hosts("127.0.0.1", loopback=loopback)))


async def ask(
    method: str, headers: Headers, *, origins: tuple[str, ...] = (), loopback: bool = True
) -> tuple[int, list[tuple[str, str]]]:
    """Return status and headers, the request id left out."""
    app = guarded(origins=origins, loopback=loopback)
    status, answered = await call(app, method, "/", headers)
    return status, [header for header in answered if header[0] != "x-request-id"]


ORIGINS: dict[str, tuple[str, tuple[str, ...], bool]] = {
    "built in": ("http://localhost:3000", (), True),
    "elsewhere": ("https://evil.example", (), False),
    "null": ("null", (), False),
    "null, listed": ("null", ("null",), True),
    "null, with *": ("null", ("*",), True),
    "listed": ("chrome-extension://abc", ("https://a.example", "chrome-extension://*"), True),
}


@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
@pytest.mark.parametrize(("origin", "listed", "allowed"), ORIGINS.values(), ids=ORIGINS.keys())
async def test_a10_origin(origin: str, listed: tuple[str, ...], allowed: bool, method: str) -> None:
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
    headers = [("Host", "models:8080"), ("Origin", f"{scheme}://models:8080")]
    assert await ask("POST", headers, loopback=False) == (299, [("x-app", "yes")])


async def test_a11_allowed_origin() -> None:
    """Rule 5: an allowed request gets its origin and Vary, and never credentials (rule 8)."""
    status, headers = await ask("GET", [("Host", "localhost"), ("Origin", "http://localhost:3000")])
    assert status == 299
    assert headers == [("x-app", "yes"), ("access-control-allow-origin", "http://localhost:3000"), ("vary", "Origin")]


@pytest.mark.parametrize("path", ["/api/chat", "/nowhere", "/api/chat/x"])
async def test_a11_preflight(path: str) -> None:
    """Rule 6: a preflight is 204 with an empty body, whatever the path; its headers are those of `Origins`."""
    asks = ("Origin: app://x", "Access-Control-Request-Method: POST", "Access-Control-Request-Headers: content-type")
    async with proxied() as proxy:
        response = await proxy.ask("OPTIONS", path, None, *asks)
        assert (response.status, response.body) == (204, b"")
        assert response.all("content-length") == []
        assert response.all("access-control-allow-origin") == ["app://x"]
        assert response.all("access-control-max-age") == ["43200"]
        assert sorted(response.all("vary")) == [
            "Access-Control-Request-Headers",
            "Access-Control-Request-Method",
            "Origin",
        ]
        assert response.all("access-control-allow-credentials") == []


async def test_a11_every_origin() -> None:
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


@pytest.mark.parametrize("loopback", [True, False])
@pytest.mark.parametrize(
    ("host", "allowed"), [("localhost", True), ("evil.example", False), ("evil.example:80", False)]
)
async def test_a9_host(host: str, allowed: bool, loopback: bool) -> None:
    """1.6, A9: a host that is not the proxy's is 403 with an empty body, on every socket."""
    status, headers = await ask("GET", [("Host", host)], loopback=loopback)
    assert status == (299 if allowed else 403)
    assert allowed or headers == [("content-length", "0")]


@pytest.mark.parametrize("path", ["/live", "/ready", "/health", "/metrics", "/", "/api/tags", "/nowhere"])
async def test_a9_host_on_every_route(path: str) -> None:
    """A page with a rebound name learns nothing of the proxy, not even which paths there are."""
    async with proxied(proxy_host="0.0.0.0") as proxy:  # noqa: S104  # only a setting: the socket is the test's
        response = await proxy.ask("GET", path, None, "Host: evil.example")
        assert (response.status, response.body) == (403, b"")
        assert (await proxy.ask("GET", path, None, "Host: ollama-proxy:11434")).status != 403
        assert (await proxy.ask("GET", path, None, "Host: 203.0.113.7:11434")).status != 403


async def test_a9_allowed_hosts(caplog: pytest.LogCaptureFixture) -> None:
    """ALLOWED_HOSTS names what else is the proxy's; who asks for more is one warning, which names the setting."""
    async with proxied(proxy_host="0.0.0.0", allowed_hosts="ollama.example.com, *.lan") as proxy:  # noqa: S104  # see above
        for host in ("ollama.example.com:443", "box.lan"):
            assert (await proxy.ask("GET", "/api/version", None, f"Host: {host}")).status == 200
        for _ in range(3):
            assert (await proxy.ask("GET", "/api/version", None, "Host: evil.example")).status == 403
    assert len([record for record in caplog.records if "ALLOWED_HOSTS" in record.getMessage()]) == 1


@pytest.mark.parametrize(("host", "status"), [("localhost", 204), ("a.local", 204), ("127.0.0.1", 299), ("x.y", 403)])
async def test_options_without_origin(host: str, status: int) -> None:
    """1.6: OPTIONS without an origin, to an allowed name but not to an address, ends with 204 in the host check."""
    assert (await ask("OPTIONS", [("Host", host)]))[0] == status


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "proxy"])
async def test_options_elsewhere(host: str) -> None:
    """1.6: on other sockets Ollama has no host check that would end them."""
    assert (await ask("OPTIONS", [("Host", host)], loopback=False))[0] == 299


@pytest.mark.parametrize(
    ("hosts", "problem"),
    [(("localhost", "evil.example"), "too many Host headers"), ((), "missing required Host header")],
    ids=["two", "none"],
)
async def test_a8_which_host(hosts: tuple[str, ...], problem: str) -> None:
    """RFC 9112, 3.2: a request of HTTP/1.1 with no Host, or two, is 400, in Go's words."""
    async with proxied() as proxy, proxy.client() as client:
        lines = "".join(f"Host: {host}\r\n" for host in hosts)
        await client.send(f"GET /api/version HTTP/1.1\r\n{lines}\r\n".encode())
        response = await client.response()
        assert (response.status, response.body) == (400, f"400 Bad Request: {problem}".encode())
        assert response.all("content-type") == ["text/plain; charset=utf-8"]
        assert response.all("connection") == ["close"]
        assert await client.read_to_end() == b""


async def test_no_host_in_http_1_0() -> None:
    """RFC 9112, 3.2: HTTP/1.0 has no Host header, which some health checks use; an empty one is like it (1.6)."""
    async with proxied() as proxy:
        for request in (b"GET /api/version HTTP/1.0\r\n\r\n", b"GET /api/version HTTP/1.1\r\nHost:\r\n\r\n"):
            async with proxy.client() as client:
                await client.send(request)
                assert (await client.response()).status == 200


async def test_refusals_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    """A refused request has its line in the log, and its request id in the answer."""
    caplog.set_level(logging.INFO, EXCHANGES)
    asks = [("Host", "localhost"), ("Origin", "https://evil.example"), ("X-Request-Id", "r1")]
    _, headers = await call(guarded(), "POST", "/api/chat", asks)
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


@pytest.mark.parametrize("bound", ["127.0.0.1", "0.0.0.0"])  # noqa: S104  # only a setting: the socket is the test's
async def test_a10_foreign_pages_reach_no_upstream(bound: str) -> None:
    """A10: a POST from a foreign page, plain text so that no preflight is asked for, is refused before any work."""
    async with proxied(proxy_host=bound) as proxy:
        for origin in ("https://evil.example", "null"):
            response = await proxy.ask("POST", "/api/chat", chat(), f"Origin: {origin}", "Content-Type: text/plain")
            assert (response.status, response.body) == (403, b"")
        assert proxy.upstream.posts == []
