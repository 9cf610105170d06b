"""What the backend tells of its models beside the list: asked in the background, and never needed."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence
from typing import Any

import pytest

from ollama_openai_proxy.deadlines import Timeouts
from ollama_openai_proxy.serve.learning import Learning
from ollama_openai_proxy.translate.models import Model
from ollama_openai_proxy.translate.openai import catalog_local as local
from ollama_openai_proxy.translate.openai.sources import Source
from ollama_openai_proxy.upstream.client import Upstream
from support.proxy import Proxy, running_proxy
from support.replies import body
from support.scripted import Close, Flood, Hold, Reset, Send, Status, Step
from support.scripted import Upstream as Backend
from support.waiting import eventually

PROPS = {"default_generation_settings": {"n_ctx": 2048}, "modalities": {"vision": True, "audio": False}}
LLAMACPP = {"id": "m", "owned_by": "llamacpp", "meta": {"n_ctx_train": 8192}}


class Clock:
    """Time that passes when it is told to, in seconds."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


async def shown(proxy: Proxy, name: str = "m") -> dict[str, Any]:
    """What `/api/show` tells of the model."""
    response = await proxy.ask("POST", "/api/show", {"model": name})
    assert response.status == 200
    return response.json  # type: ignore[no-any-return]  # JSON


async def once(proxy: Proxy, word: str, name: str = "m") -> dict[str, Any]:
    """What is shown of the model once it has this capability."""
    async with asyncio.timeout(10):
        while word not in (found := await shown(proxy, name))["capabilities"]:  # noqa: ASYNC110  # nobody tells when it is learnt
            await asyncio.sleep(0.01)
    return found


def paths(backend: Backend) -> list[str]:
    return [request.path for request in backend.requests]


async def test_facts_are_shown() -> None:
    """Contract 5.6: `/api/show` tells what llama.cpp says at /props: what it serves, not what the model could."""
    async with Backend() as backend:
        backend.models = [LLAMACPP]
        backend.script("/props", body(PROPS))
        async with running_proxy(backend.url) as url:
            proxy = Proxy(url, backend)
            found = await once(proxy, "vision")
        assert found["model_info"] == {"general.architecture": "unknown", "unknown.context_length": 2048}


async def test_facts_of_each_model_of_a_router() -> None:
    """llama.cpp's router is asked about the loaded model alone, by a name that is encoded, and loads nothing."""
    entries = [{"id": name, "owned_by": "llamacpp", "status": {"value": state}}
               for name, state in (("a&b/c:Q8", "loaded"), ("cold", "unloaded"))]  # fmt: skip
    async with Backend() as backend:
        backend.models = entries
        backend.script("/props?model=a%26b%2Fc%3AQ8&autoload=false", body(PROPS))
        async with running_proxy(backend.url) as url:
            await eventually(lambda: len(backend.requests) == 2)
            proxy = Proxy(url, backend)
            await once(proxy, "vision", "a&b/c:Q8")
            assert (await shown(proxy, "cold"))["capabilities"] == ["completion", "tools"]


async def test_list_does_not_wait() -> None:
    """R19: a source that does not answer delays neither the list nor what is told from it."""
    async with Backend() as backend:
        backend.models = [LLAMACPP]
        backend.script("/props", (Hold(),))
        async with running_proxy(backend.url) as url:
            proxy = Proxy(url, backend)
            started = time.monotonic()
            assert (await shown(proxy))["capabilities"] == ["completion", "tools"]
            await eventually(lambda: "/props" in paths(backend))
            assert (await shown(proxy))["capabilities"] == ["completion", "tools"]
            assert time.monotonic() - started < 1.9


BAD: dict[str, Sequence[Step]] = {
    "no such path": body({"detail": "Not Found"}, 404),
    "a path for others": body({"error": {"message": "no key"}}, 401),
    "forbidden": body({"error": {"message": "admins only"}}, 403),
    "a page": body(b"<html>", 200, "Content-Type: text/html"),
    "another shape": body([1, 2]),
    "an error with 200": body({"error": "Unexpected endpoint or method. (GET /props)"}),
    "elsewhere": (Status(302, "Location: /login", "Content-Length: 0"),),
    "too big": (Status(200, "Transfer-Encoding: chunked"), Flood(b" " * 1_000_000, 17), Hold()),
    "broken": body({"error": {"message": "no"}}, 500),
    "loading": body({"error": {"message": "Loading model"}}, 503),
    "half": (Status(200, "Content-Length: 100"), Send(b"{"), Close()),
    "dropped": (Close(),),
    "reset": (Reset(),),
}


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD.keys())
async def test_bad_sources_cost_nothing(bad: Sequence[Step], caplog: pytest.LogCaptureFixture) -> None:
    """The list stays, the backend counts as healthy, the proxy as ready, and nobody is warned."""
    caplog.set_level(logging.INFO)
    async with Backend() as backend:
        backend.models = [LLAMACPP]
        backend.script("/props", bad)
        async with running_proxy(backend.url, models_refresh=1, ready_needs_upstream=True) as url:
            await eventually(lambda: paths(backend).count("/v1/models") >= 2)
            proxy = Proxy(url, backend)
            assert (await shown(proxy))["capabilities"] == ["completion", "tools"]
            assert (await proxy.ask("GET", "/ready")).status == 200
            health = (await proxy.ask("GET", "/health")).json
        assert health["upstreams"][0]["status"] == "healthy"
        assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


def source(*where: str) -> Source:
    return Source(where, local.llamacpp, ("m",))


async def test_missing_endpoints_are_not_asked_again_for_an_hour() -> None:
    """A backend that has no such path logs it when it is asked: once an hour is enough."""
    clock = Clock()
    async with Backend() as backend, Upstream(backend.url, "", Timeouts(), user_agent="test") as upstream:
        learning = Learning(upstream, clock)
        for _ in range(5):
            learning.follow((source("/props"),))
            await learning.ask()
        assert paths(backend) == ["/props"]
        clock.now = 3601.0
        backend.script("/props", body(PROPS))
        learning.follow((source("/props"),))
        await learning.ask()
        assert learning.applied([Model("m")])[0].context_length == 2048


async def test_older_path_is_asked_where_the_newer_is_missing() -> None:
    """LM Studio before 0.4 has /api/v0/models alone."""
    async with Backend() as backend, Upstream(backend.url, "", Timeouts(), user_agent="test") as upstream:
        backend.script("/old", body(PROPS))
        learning = Learning(upstream)
        for _ in range(2):
            learning.follow((source("/new", "/old"),))
            await learning.ask()
        assert paths(backend) == ["/new", "/old", "/old"]
        assert learning.applied([Model("m")])[0].offers == ("vision",)


async def test_last_answer_is_kept_while_there_is_none() -> None:
    """A source that fails for a moment does not make models forget; one that is gone does."""
    async with Backend() as backend, Upstream(backend.url, "", Timeouts(), user_agent="test") as upstream:
        backend.script("/props", body(PROPS), body({}, 503), body({}, 404))
        learning = Learning(upstream)
        learning.follow((source("/props"),))
        for length in (2048, 2048, None):
            await learning.ask()
            assert learning.applied([Model("m")])[0].context_length == length


async def test_slow_source_ends_the_round() -> None:
    """Each answer is waited for 2 s, and after one that did not come the rest wait for the next time."""
    async with Backend() as backend, Upstream(backend.url, "", Timeouts(), user_agent="test") as upstream:
        backend.script("/slow", (Hold(),))
        learning = Learning(upstream)
        learning.follow((source("/slow"), source("/props")))
        started = time.monotonic()
        await learning.ask()
        assert 1.9 < time.monotonic() - started < 4.0
        assert paths(backend) == ["/slow"]


async def test_later_sources_are_closer_to_the_truth() -> None:
    """Another Ollama's /api/ps tells the context that is served, its /api/tags that of the model."""
    tags = {
        "models": [{"name": "m:1b", "details": {"context_length": 131072}, "capabilities": ["completion", "thinking"]}]
    }
    async with Backend() as backend:
        backend.models = [{"id": "m:1b", "owned_by": "library"}]
        backend.script("/api/tags", body(tags))
        backend.script("/api/ps", body({"models": [{"name": "m:1b", "context_length": 4096}]}))
        async with running_proxy(backend.url) as url:
            proxy = Proxy(url, backend)
            found = await once(proxy, "thinking", "m:1b")
    assert found["model_info"] == {"general.architecture": "unknown", "unknown.context_length": 4096}


async def test_what_other_sources_said_is_forgotten() -> None:
    """A list that points elsewhere is that of another backend."""
    async with Backend() as backend, Upstream(backend.url, "", Timeouts(), user_agent="test") as upstream:
        backend.script("/props", body(PROPS))
        learning = Learning(upstream)
        learning.follow((source("/props"),))
        await learning.ask()
        learning.follow(())
        assert not await learning.ask()
        assert learning.applied([Model("m")]) == [Model("m")]


async def test_suffix_to_a_backend_that_does_not_speak_of_it() -> None:
    """5.7, step 9: llama.cpp tells all else of a model; whether that fills in it says when it is asked."""
    async with Backend() as backend:
        backend.models = [LLAMACPP | {"capabilities": ["completion"]}]
        backend.script("/props", body(PROPS | {"chat_template": "x", "chat_template_caps": {"supports_tools": True}}))
        backend.script("m", body({"error": {"code": 501, "message": "no infill", "type": "not_supported"}}, 501))
        async with running_proxy(backend.url) as url:
            proxy = Proxy(url, backend)
            assert (await once(proxy, "vision"))["capabilities"] == ["completion", "tools", "vision"]
            thinking = await proxy.chat(think=True)
            assert (thinking.status, thinking.json) == (400, {"error": '"m" does not support thinking'})
            filled = await proxy.ask("POST", "/api/generate", {"model": "m", "prompt": "a", "suffix": "b"})
            refused = {"error": "registry.ollama.ai/library/m:latest does not support insert"}
            assert (filled.status, filled.json) == (400, refused)
        assert [request.path for request in backend.posts] == ["/infill"]


@pytest.mark.parametrize("odd", ["a page", "another shape", "too big", "elsewhere"])
async def test_what_is_no_description_is_not_fetched_again_and_again(odd: str) -> None:
    """What has something else there will have it in a minute too: megabytes of it are not fetched for each list."""
    async with Backend() as backend, Upstream(backend.url, "", Timeouts(), user_agent="test") as upstream:
        backend.script("/props", BAD[odd])
        learning = Learning(upstream, Clock())
        for _ in range(3):
            learning.follow((source("/props"),))
            await learning.ask()
        assert paths(backend) == ["/props"]
