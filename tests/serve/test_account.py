"""What only ollama.com can do is refused as a server refuses it that is not signed in (contract 5.3, 5.17, 5.18)."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from support.lines import logged
from support.proxy import Proxy, proxied

JSON = "application/json; charset=utf-8"


@pytest.fixture
async def proxy() -> AsyncIterator[Proxy]:
    async with proxied() as running:
        yield running
        assert running.upstream.posts == []


async def test_status(proxy: Proxy) -> None:
    """Contract 5.3: the cloud is off."""
    answer = await proxy.ask("GET", "/api/status")
    assert (answer.status, answer.header("content-type")) == (200, JSON)
    assert answer.body == b'{"cloud":{"disabled":true,"source":"env"}}'


async def test_nobody_is_signed_in(proxy: Proxy) -> None:
    """Contract 5.17: `/api/me` is a 401 with an address to sign in at; no body is needed."""
    bodies: tuple[object, ...] = (None, {})
    for body in bodies:
        answer = await proxy.ask("POST", "/api/me", body)
        assert (answer.status, answer.header("content-type")) == (401, JSON)
        assert list(answer.json) == ["error", "signin_url"]
        assert answer.json["error"] == "unauthorized"
        assert answer.json["signin_url"].startswith("https://ollama.com/")


@pytest.mark.parametrize(("method", "path"), [("POST", "/api/signout"), ("DELETE", "/api/user/keys/c2hvcnQ")])
async def test_nobody_can_sign_out(proxy: Proxy, method: str, path: str) -> None:
    """Contract 5.17: who is not signed in can't sign out, by the new route or the old one."""
    answer = await proxy.ask(method, path)
    assert (answer.status, answer.json) == (401, {"error": "you are not currently signed in"})


@pytest.mark.parametrize("what", ["search", "fetch"])
async def test_no_search(proxy: Proxy, what: str) -> None:
    """Contract 5.18: an empty body is missing; anything else is refused, for the cloud is off."""
    path = f"/api/experimental/web_{what}"
    for body in (b"", b" \n"):
        empty = await proxy.ask("POST", path, body)
        assert (empty.status, empty.json) == (400, {"error": "missing request body"})
    answer = await proxy.ask("POST", path, {"query": "x", "url": "https://example.com"})
    assert answer.status == 403
    assert answer.json == {"error": f"ollama cloud is disabled: web {what} is unavailable"}


async def test_no_recommendations(proxy: Proxy) -> None:
    """Contract 5.18: nothing is recommended."""
    answer = await proxy.ask("GET", "/api/experimental/model-recommendations")
    assert (answer.status, answer.body) == (200, b'{"recommendations":[]}')


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("POST", "/api/status", "GET"),
        ("GET", "/api/me", "POST"),
        ("GET", "/api/signout", "POST"),
        ("GET", "/api/user/keys/x", "DELETE"),
        ("GET", "/api/experimental/web_search", "POST"),
        ("HEAD", "/api/experimental/model-recommendations", "GET"),
    ],
)
async def test_other_methods(proxy: Proxy, method: str, path: str, allowed: str) -> None:
    """Contract 1.2: another method is a 405 with the one that there is."""
    answer = await proxy.ask(method, path)
    assert (answer.status, answer.header("allow")) == (405, allowed)


async def test_log() -> None:
    """Contract 5.17: who is told that nobody is signed in is one refused, and not one served."""
    with logged() as lines:
        async with proxied() as proxy:
            await proxy.ask("POST", "/api/me")
            await proxy.ask("POST", "/api/signout")
        told = [line for line in lines.read() if line.get("status") == 401]
    assert [(line["route"], line["outcome"]) for line in told] == [("/api/me", "auth"), ("/api/signout", "auth")]
