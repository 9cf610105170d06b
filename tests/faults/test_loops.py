"""The base URL is that of a proxy: who asks must learn it, and nothing may go round (reliability 2.L, L10)."""

from __future__ import annotations

import asyncio
import socket

import pytest

from ollama_openai_proxy.main import create_app
from ollama_openai_proxy.serve.server import serving
from support.proxy import KEY, chat, proxied, sealed
from support.rawclient import RawClient

LOOP = "proxy loop: the base URL of the backend is that of an ollama-openai-proxy"
OWN = "User-Agent: ollama-openai-proxy/9.9.9"


@pytest.mark.parametrize("keys", [None, "a-key-of-a-client"], ids=["open", "keys"])
@pytest.mark.parametrize("tail", ["/v1", "/v1/", "/openai/v1"])
async def test_l10_base_url_is_its_own(tail: str, keys: str | None) -> None:
    """L10: a proxy that is its own backend says so, instead of asking itself again and again."""
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    settings = sealed(
        openai_api_base_url=f"http://127.0.0.1:{port}{tail}",
        openai_api_key=KEY,
        proxy_api_key=keys,
        proxy_port=port,
        forward_unknown_models=True,
    )
    app = create_app(settings)
    async with (
        serving(app, app.state.lifecycle, limits=settings.client_limits, listener=listener) as url,
        RawClient(url) as client,
        asyncio.timeout(5),
    ):
        await client.ask("POST", "/api/chat", chat(), *([f"Authorization: Bearer {keys}"] if keys else []))
        response = await client.response()
    assert (response.status, response.json) == (508, {"error": LOOP})


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/models", "/", "/props", "/chat/completions"])
async def test_l10_calls_of_a_proxy(path: str) -> None:
    """L10: a call of any proxy for what only backends have is 508, before all other rules."""
    async with proxied(proxy_api_key="a-key-of-a-client") as proxy:
        response = await proxy.ask("GET", path, None, OWN, "Host: evil.example")
        assert (response.status, response.json) == (508, {"error": LOOP})
        assert proxy.upstream.posts == []


@pytest.mark.parametrize("path", ["/api/tags", "/live", "/ready", "/api/version"])
async def test_l10_what_clients_ask(path: str) -> None:
    """L10: what clients and probes ask is answered, whatever they call themselves."""
    async with proxied() as proxy:
        assert (await proxy.ask("GET", path, None, OWN)).status == 200


@pytest.mark.parametrize("agent", ["curl/8", "ollama-openai-proxyx", ""])
async def test_l10_calls_of_others(agent: str) -> None:
    """L10: whoever else asks for it is told that there is no such path."""
    async with proxied() as proxy:
        assert (await proxy.ask("POST", "/v1/chat/completions", {}, f"User-Agent: {agent}")).status == 404
