"""The application: what the settings become, and what it leaves behind."""

from __future__ import annotations

import asyncio
from importlib.metadata import version

import pytest

from ollama_openai_proxy.main import create_app, create_catalog, create_upstream
from ollama_openai_proxy.serve.server import serving
from support.proxy import KEY, Proxy, proxied, running_proxy, sealed
from support.rawclient import RawClient
from support.replies import HI
from support.scripted import Hold, Upstream
from support.waiting import eventually


async def test_key_and_agent() -> None:
    """The backend is asked with the key of the settings, under the name and version of the package."""
    async with proxied() as proxy:
        proxy.upstream.script("m", HI)
        await proxy.chat()
        for request in proxy.upstream.requests:
            assert request.headers["authorization"] == f"Bearer {KEY}"
            assert request.headers["user-agent"] == f"ollama-openai-proxy/{version('ollama-openai-proxy')}"


async def test_no_key() -> None:
    """Without a key none is sent."""
    async with Upstream() as upstream, running_proxy(upstream.url, openai_api_key=None) as url:
        await Proxy(url, upstream).ask("GET", "/api/tags")
        assert "authorization" not in upstream.requests[0].headers


async def test_l8_base_url_without_path() -> None:
    """L8: a base URL without a path gets /v1, one with a path keeps it, and a slash at its end is dropped."""
    async with Upstream() as upstream:
        root = upstream.url.removesuffix("/v1")
        upstream.script("/v1/models", (Hold(),))
        upstream.script("/openai/v2/models", (Hold(),))
        for base_url in (root, f"{root}/", f"{root}/v1/", f"{root}/openai/v2"):
            async with running_proxy(base_url):
                await eventually(lambda: upstream.busy)
            await eventually(lambda: not upstream.busy)
        paths = [request.path for request in upstream.requests]
        assert paths == ["/v1/models", "/v1/models", "/v1/models", "/openai/v2/models"]


async def test_hosts() -> None:
    """1.6: wherever it is bound to, a rebound name is refused; what reaches a loopback socket is narrower still."""
    for host, status in (("127.0.0.1", 403), ("localhost", 403), ("::1", 403), ("::", 200), ("192.168.0.9", 200)):
        async with proxied(proxy_host=host) as proxy:
            assert (await proxy.ask("GET", "/api/version", None, "Host: evil.example")).status == 403
            assert (await proxy.ask("GET", "/api/version", None, "Host: neighbour:11434")).status == status


async def test_name_that_is_bound() -> None:
    """1.6: a name in OLLAMA_HOST is one to be asked by; so are those of ALLOWED_HOSTS, on loopback too."""
    async with proxied(ollama_host="ollama.lan:11434") as proxy:
        assert (await proxy.ask("GET", "/api/version", None, "Host: ollama.lan:11434")).status == 200
    async with proxied(allowed_hosts="*.example.com") as proxy:
        assert (await proxy.ask("GET", "/api/version", None, "Host: a.example.com")).status == 200


async def test_origins() -> None:
    """1.5: OLLAMA_ORIGINS is added to the origins of this machine."""
    async with proxied(ollama_origins="https://a.example, https://b.example") as proxy:
        for origin, status in (("https://b.example", 200), ("http://localhost", 200), ("https://c.example", 403)):
            assert (await proxy.ask("GET", "/api/version", None, f"Origin: {origin}")).status == status


async def test_first_list_is_fetched_at_the_start() -> None:
    """The list of models is fetched when the proxy starts, before anybody asks."""
    async with Upstream() as upstream, running_proxy(upstream.url):
        await eventually(lambda: [request.path for request in upstream.requests] == ["/v1/models"])


async def test_end_leaves_nothing() -> None:
    """When the proxy ends so do its tasks, its calls and its connections, a hanging list of models included."""
    async with Upstream() as upstream:
        upstream.script("/v1/models", (Hold(),))
        before = asyncio.all_tasks()
        async with running_proxy(upstream.url):
            await eventually(lambda: upstream.busy)
        await eventually(lambda: not upstream.connections)
        await eventually(lambda: asyncio.all_tasks() <= before)


async def test_profile_by_host() -> None:
    """The profile of a known host is there before any list."""
    settings = sealed(openai_api_base_url="https://api.openai.com/v1", openai_api_key="k")
    assert create_catalog(settings, create_upstream(settings)).profile.name == "openai"


async def test_k12_crash_is_a_500(caplog: pytest.LogCaptureFixture) -> None:
    """K12: a mistake of our own is 500 with a JSON error; its words are for the log."""
    app = create_app(sealed(openai_api_base_url="http://127.0.0.1:1/v1"))

    async def crash() -> None:
        raise RuntimeError("secret detail")

    app.add_api_route("/crash", crash)
    async with serving(app) as url, RawClient(url) as client:
        await client.ask("GET", "/crash")
        response = await client.response()
        assert (response.status, response.json) == (500, {"error": "internal error"})
    assert "secret detail" in caplog.text


async def test_k12_panic_of_one_harms_no_other() -> None:
    """K12: while one request crashes the stream of another goes on."""
    async with Upstream() as upstream:
        upstream.script("m", HI)
        app = create_app(sealed(openai_api_base_url=upstream.url))

        async def crash() -> None:
            raise RuntimeError

        app.add_api_route("/crash", crash)
        async with serving(app) as url:
            proxy = Proxy(url, upstream)
            asked = [proxy.chat(), proxy.ask("GET", "/crash")]
            answers = await asyncio.gather(*asked, proxy.chat(), proxy.ask("GET", "/crash"), proxy.chat())
        assert [answer.status for answer in answers] == [200, 500, 200, 500, 200]
