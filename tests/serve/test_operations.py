"""Requests that no route takes, and what the host asks (contract 1.2)."""

from __future__ import annotations

import logging

import pytest

from support.proxy import proxied, running_proxy
from support.rawclient import RawClient
from support.scripted import Upstream


@pytest.mark.parametrize(
    "path",
    ["/nowhere", "/api", "/api/chats", "/v1/images/generations", "/docs", "/redoc", "/openapi.json", "//", "/%00"],
)
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
async def test_unknown_path(method: str, path: str) -> None:
    """1.2: an unknown path is 404 with this plain text: no newline, no JSON, no charset; FastAPI's pages are off."""
    async with proxied() as proxy:
        response = await proxy.ask(method, path)
        assert (response.status, response.body) == (404, b"404 page not found")
        assert response.all("content-type") == ["text/plain"]


ALLOWED: dict[tuple[str, str], str] = {
    ("POST", "/"): "HEAD, GET",
    ("POST", "/api/tags"): "HEAD, GET",
    ("DELETE", "/api/version"): "HEAD, GET",
    ("GET", "/api/show"): "POST",
    ("GET", "/api/chat"): "POST",
    ("PUT", "/api/generate"): "POST",
    ("PATCH", "/api/embed"): "POST",
    ("HEAD", "/api/ps"): "GET",
    ("POST", "/api/ps"): "GET",
    ("HEAD", "/api/chat"): "POST",
}


@pytest.mark.parametrize(("asked", "allowed"), ALLOWED.items(), ids=str)
async def test_wrong_method(asked: tuple[str, str], allowed: str) -> None:
    """1.2: a known path with another method is 405, with the methods it has in Ollama's order."""
    async with proxied() as proxy:
        response = await proxy.ask(*asked)
        assert response.status == 405
        assert response.all("content-type") == ["text/plain"]
        assert response.all("allow") == [allowed]
        assert response.body == (b"" if asked[0] == "HEAD" else b"405 method not allowed")


async def test_options_on_an_address() -> None:
    """1.6: OPTIONS without an origin, to an address, reaches the routes: 405 for what is known, 404 for the rest."""
    async with proxied() as proxy:
        assert (await proxy.ask("OPTIONS", "/api/chat")).status == 405
        assert (await proxy.ask("OPTIONS", "/nowhere")).status == 404


async def test_query_is_ignored() -> None:
    """1.2: query strings are ignored on all routes."""
    async with proxied() as proxy:
        assert (await proxy.ask("GET", "/api/version?beta=true&x=%zz")).status == 200


@pytest.mark.parametrize("path", ["/api/tags/", "/api/chat/"])
async def test_no_redirect_by_host(path: str) -> None:
    """B7, T20: a trailing slash never leads to a redirect that is made of the Host header."""
    async with proxied() as proxy:
        response = await proxy.ask("POST", path, {"model": "m"}, "Host: localhost")
        assert response.all("location") == []
        assert response.status == 404


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_live(method: str) -> None:
    """The process lives, though its backend does not."""
    async with Upstream() as upstream:
        await upstream.stop()
        async with running_proxy(upstream.url) as url, RawClient(url) as client:
            await client.ask(method, "/live")
            response = await client.response(to_head=method == "HEAD")
            assert response.status == 200


async def test_log_of_what_no_route_takes(caplog: pytest.LogCaptureFixture) -> None:
    """A long path is cut in the log, and what it was is said in a word of the closed list."""
    caplog.set_level(logging.INFO, "ollama_openai_proxy.exchange")
    async with proxied() as proxy:
        caplog.clear()
        await proxy.ask("GET", "/" + "x" * 1000)
        await proxy.ask("GET", "/api/chat")
    facts = [record.__dict__ for record in caplog.records]
    assert [(fact["status"], fact["outcome"]) for fact in facts] == [(404, "not_found"), (405, "bad_request")]
    assert len(facts[0]["path"]) == 128
