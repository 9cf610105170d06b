"""TLS to the upstream is wrong: nobody is told the key who was not verified (reliability 2.D, D6 and D7)."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

import pytest

from support.listeners import Authority, BlackHole, Told, only_tls_1_0, tls_listener
from support.outcomes import Outcomes
from support.proxy import KEY, chat, running_proxy
from support.rawclient import RawClient, Response
from support.scripted import Hold, Upstream

ANSWER = b'{"choices":[{"index":0,"message":{"role":"assistant","content":"Hi"},"finish_reason":"stop"}]}'
HTTP = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\nConnection: close\r\n\r\n"


@pytest.fixture
def authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Authority:
    """An authority that the proxy trusts: the file is named as operators name theirs."""
    made = Authority(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(made.file))
    return made


async def ask(context: ssl.SSLContext, **settings: object) -> tuple[Response, Told]:
    """Return the response to a chat, and what the listener was told."""
    async with tls_listener(context, HTTP % len(ANSWER) + ANSWER) as told:
        given = {"forward_unknown_models": True, **settings}
        async with running_proxy(told.url, **given) as url, RawClient(url) as client:
            await client.ask("POST", "/api/chat", chat(stream=False))
            return await client.response(), told


async def test_d11_private_authority(authority: Authority) -> None:
    """D11: the certificates of SSL_CERT_FILE are trusted, as docs/docker-deployment-guide.md says."""
    response, told = await ask(authority.issue("127.0.0.1"))
    assert (response.status, response.json["message"]["content"]) == (200, "Hi")
    assert f"authorization: bearer {KEY}".encode() in told.heard.lower()


@pytest.mark.parametrize("fault", ["self-signed", "expired", "wrong name", "TLS 1.0"])
async def test_d6_not_verified(authority: Authority, tmp_path: Path, fault: str) -> None:
    """D6: a server that is not verified is 502, and is not told one byte within TLS, the key least of all."""
    if fault == "self-signed":
        (tmp_path / "other").mkdir()
        context = Authority(tmp_path / "other").issue("127.0.0.1")
    else:
        context = authority.issue("192.0.2.1" if fault == "wrong name" else "127.0.0.1", expired=fault == "expired")
    if fault == "TLS 1.0":
        only_tls_1_0(context)
    response, told = await ask(context)
    assert (response.status, response.json) == (502, {"error": "the upstream's TLS could not be verified"})
    assert bytes(told.heard) == b""


async def late(url: str) -> Response:
    """Return the response to a chat, which must not take much longer than connections may."""
    settings = {"connect_timeout": 0.3, "forward_unknown_models": True}
    async with running_proxy(url.replace("http:", "https:"), **settings) as proxy, RawClient(proxy) as it:
        async with asyncio.timeout(3):
            await it.ask("POST", "/api/chat", chat())
            return await it.response()


async def test_d7_stalled_handshake(caplog: pytest.LogCaptureFixture) -> None:
    """D7: a handshake that is not answered ends with the time for connections, not with that for replies."""
    outcomes = Outcomes(caplog)
    async with Upstream() as upstream:
        upstream.greeting = (Hold(),)
        response = await late(upstream.url)
        assert (response.status, response.json) == (504, {"error": "timed out connecting to the upstream"})
        assert upstream.requests == []
    await outcomes.expect("up_tls")


async def test_d5_d7_no_connection_for_a_handshake(caplog: pytest.LogCaptureFixture) -> None:
    """D5, D7: without a connection it is no matter of TLS, whatever the URL asks for."""
    outcomes = Outcomes(caplog)
    with BlackHole() as hole:
        assert (await late(hole.url)).status == 504
    await outcomes.expect("up_connect_timeout")
