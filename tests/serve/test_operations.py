"""What the host asks."""

from __future__ import annotations

import asyncio
from importlib.metadata import version

import pytest
from prometheus_client import parser as prometheus
from prometheus_client.openmetrics import parser as openmetrics

from ollama_openai_proxy.observe.metrics import Metrics
from ollama_openai_proxy.serve.operations import MetricsPage
from ollama_openai_proxy.serve.server import serving
from support.proxy import Proxy, proxied, running_proxy
from support.rawclient import RawClient, Response
from support.replies import HI
from support.scripted import Upstream
from support.waiting import SECONDS


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_live(method: str) -> None:
    """The process lives, though its backend does not."""
    async with Upstream() as upstream:
        await upstream.stop()
        async with running_proxy(upstream.url) as url, RawClient(url) as client:
            await client.ask(method, "/live")
            response = await client.response(to_head=method == "HEAD")
            assert response.status == 200


@pytest.mark.parametrize("path", ["/live", "/ready", "/health", "/metrics"])
async def test_operations_ask_nobody(path: str) -> None:
    """G9: what the host asks never calls the backend, is never cached, and takes GET and HEAD."""
    async with proxied() as proxy:
        before = len(proxy.upstream.requests)
        for method in ("GET", "HEAD", "GET"):
            response = await proxy.ask(method, path)
            assert response.status == 200
            assert response.all("cache-control") == ["no-store"]
        assert len(proxy.upstream.requests) == before


async def test_health() -> None:
    """The whole picture, as JSON: how the process does, and how each upstream was last seen to do."""
    async with proxied(env="test") as proxy:
        proxy.upstream.script("m", HI)
        await proxy.chat()
        response = await proxy.ask("GET", "/health")
    assert response.all("content-type") == ["application/json"]
    picture = response.json
    assert {key: picture[key] for key in ("status", "state", "environment", "in_flight")} == {
        "status": "healthy",
        "state": "ready",
        "environment": "test",
        "in_flight": 0,
    }
    assert picture["version"] == version("ollama-openai-proxy")
    assert picture["uptime_seconds"] > 0
    (upstream,) = picture["upstreams"]
    assert (upstream["status"], upstream["last_outcome"], upstream["consecutive_failures"]) == ("healthy", "ok", 0)
    assert 0 <= upstream["last_outcome_age_seconds"] < 60


async def test_k8_upstream_is_down() -> None:
    """K8: with the backend down the process lives and is ready by default; its health says 503 and why."""
    async with running_proxy("http://127.0.0.1:1/v1") as url:
        answers = await asked(url, "/health", until="unhealthy")
        assert answers["/health"].status == 503
        assert answers["/health"].json["upstreams"][0]["last_outcome"] == "up_connect"
        assert answers["/live"].status == 200
        assert answers["/ready"].status == 200


async def test_readiness_may_need_the_upstream() -> None:
    """With READY_NEEDS_UPSTREAM a proxy whose backend is down says so, and is ready when it is seen to be up."""
    async with running_proxy("http://127.0.0.1:1/v1", ready_needs_upstream=True) as url:
        ready = (await asked(url, "/health", until="unhealthy"))["/ready"]
        assert (ready.status, ready.body) == (503, b"upstream unhealthy")
    async with proxied(ready_needs_upstream=True) as proxy:
        assert (await proxy.ask("GET", "/ready")).status == 200


async def asked(url: str, path: str, *, until: str) -> dict[str, Response]:
    """Ask until the body holds the word; return what all the paths answer then."""
    async with asyncio.timeout(SECONDS):
        while until.encode() not in (await get(url, path)).body:
            pass
    return {each: await get(url, each) for each in ("/live", "/ready", "/health")}


async def get(url: str, path: str, *headers: str) -> Response:
    async with RawClient(url) as client:
        await client.ask("GET", path, None, *headers)
        return await client.response()


async def test_formats_of_the_metrics() -> None:
    """G14: Prometheus' text by default, OpenMetrics for who asks for it; both are accepted by the official parsers."""
    async with proxied() as proxy:
        proxy.upstream.script("m", HI)
        await proxy.chat()
        plain = await proxy.ask("GET", "/metrics")
        asked_for = "Accept: application/openmetrics-text;version=1.0.0;q=0.9,text/plain;version=0.0.4;q=0.5"
        rich = await proxy.ask("GET", "/metrics", None, asked_for)
    assert (plain.header("content-type") or "").startswith("text/plain; version=0.0.4")
    assert (rich.header("content-type") or "").startswith("application/openmetrics-text; version=1.0.0")
    names, rich_names = (
        {family.name for family in parse(page.body.decode())}
        for parse, page in (
            (prometheus.text_string_to_metric_families, plain),
            (openmetrics.text_string_to_metric_families, rich),
        )
    )
    # OpenMetrics knows "info", whose name lacks the suffix of its sample.
    assert {name.removesuffix("_info") for name in names} == {name.removesuffix("_info") for name in rich_names}


async def test_metrics_off() -> None:
    """Behind a setting there are no metrics; with a port of their own there are none on the proxy's."""
    for settings in ({"metrics_enabled": False}, {"metrics_port": 9464}):
        async with proxied(**settings) as proxy:
            assert (await proxy.ask("GET", "/metrics")).status == 404


async def test_page_of_its_own() -> None:
    """The metrics' own port serves them and nothing else."""
    async with serving(MetricsPage(Metrics(version="0"))) as url:
        assert b"ollama_proxy_build_info" in (await get(url, "/metrics")).body
        for path in ("/", "/api/tags", "/live"):
            assert (await get(url, path)).status == 404
        async with RawClient(url) as client:
            await client.ask("POST", "/metrics")
            response = await client.response()
        assert (response.status, response.body) == (405, b"405 method not allowed")
        assert response.all("allow") == ["HEAD, GET"]


async def test_clients_add_no_series() -> None:
    """Bad input: whatever paths, models and methods clients make up, the metrics get no longer by it."""
    async with proxied() as proxy:
        await proxy.ask("GET", "/nowhere")
        await proxy.chat("no-such-model")
        await proxy.ask("PUT", "/api/chat")
        before = await series(proxy)
        for number in range(50):
            await proxy.ask("GET", f"/nowhere/{number}")
            await proxy.chat(f"no-such-model-{number}")
            await proxy.ask("PUT", "/api/chat", None, f"X-Request-Id: r{number}")
        assert await series(proxy) == before


async def series(proxy: Proxy) -> set[str]:
    """Return names and labels of all that is told, without what the list of models asks in the background."""
    lines = (await proxy.ask("GET", "/metrics")).body.decode().splitlines()
    return {line.rpartition(" ")[0] for line in lines if not line.startswith(("#", "python_", "ollama_proxy_upstream"))}
