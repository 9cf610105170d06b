"""Backends behind an outgoing proxy that the environment names, where the operator says so (reliability 2.D, D11)."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.forward_proxy import ForwardProxy
from support.listeners import Authority, tls_listener
from support.proxy import KEY, chat, running_proxy
from support.rawclient import RawClient, Response
from support.replies import HI
from support.scripted import Upstream

ANSWER = b'{"choices":[{"index":0,"message":{"role":"assistant","content":"Hi"},"finish_reason":"stop"}]}'
HTTP = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\nConnection: close\r\n\r\n"


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    """None of whoever runs the tests counts."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


async def ask(base_url: str, *, stream: bool) -> Response:
    """Return the response to a chat by a proxy that goes by the environment."""
    settings = {"upstream_proxy_from_env": True, "forward_unknown_models": True}
    async with running_proxy(base_url, **settings) as url, RawClient(url) as client:
        await client.ask("POST", "/api/chat", chat(stream=stream))
        return await client.response()


async def test_d11_plain_http_through_a_proxy(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """D11: a backend without TLS is asked through HTTP_PROXY, which gets its whole URL and what it wants to know."""
    async with Upstream() as upstream:
        upstream.script("m", HI)
        async with ForwardProxy(to=int(upstream.url.rpartition(":")[2].removesuffix("/v1"))) as forward:
            monkeypatch.setenv("HTTP_PROXY", f"http://user:canary@127.0.0.1:{forward.port}")
            response = await ask("http://backend.test/v1", stream=True)
        assert response.status == 200
        (head,) = (head for head in forward.heads if head.startswith(b"POST "))
        lines = head.lower().split(b"\r\n")
        assert lines[0] == b"post http://backend.test/v1/chat/completions http/1.1"
        assert {b"host: backend.test", b"proxy-authorization: basic dxnlcjpjyw5hcnk="} <= {*lines}
    assert "canary" not in caplog.text


async def test_d11_tls_through_a_proxy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """D11: a backend with TLS is asked through a tunnel of HTTPS_PROXY, which is told neither the key nor the prompt;
    the backend is not told what the proxy wants to know."""
    authority = Authority(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
    async with tls_listener(authority.issue("backend.test"), HTTP % len(ANSWER) + ANSWER) as told:
        async with ForwardProxy(to=int(told.url.rpartition(":")[2].removesuffix("/v1"))) as forward:
            monkeypatch.setenv("HTTPS_PROXY", f"http://user:canary@127.0.0.1:{forward.port}")
            response = await ask("https://backend.test/v1", stream=False)
        assert (response.status, response.json["message"]["content"]) == (200, "Hi")
        assert {head.split(b"\r\n")[0] for head in forward.heads} == {b"CONNECT backend.test:443 HTTP/1.1"}
        assert KEY.encode() not in b"".join(forward.heads)
        assert b"proxy-authorization" not in told.heard.lower()


async def test_d11_a_proxy_that_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    """D11: a proxy that digs no tunnel is 502, and is told as what refused."""
    async with ForwardProxy([b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n"]) as forward:
        monkeypatch.setenv("ALL_PROXY", f"http://127.0.0.1:{forward.port}")
        response = await ask("https://backend.test/v1", stream=True)
    assert (response.status, response.json) == (502, {"error": "the outgoing proxy refused the connection"})
