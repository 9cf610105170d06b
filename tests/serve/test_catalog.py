"""The list of models: fetched beside the requests, which never wait for the backend (rule R19, H28)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

import pytest

from ollama_openai_proxy.deadlines import Timeouts
from ollama_openai_proxy.errors import ModelNotFound, UpstreamError, UpstreamTimeout
from ollama_openai_proxy.serve.aliases import Aliases
from ollama_openai_proxy.serve.catalog import Catalog
from ollama_openai_proxy.translate.aliases import Alias
from ollama_openai_proxy.translate.models import Model
from ollama_openai_proxy.upstream.client import Upstream
from support.listing import MODELS, catalog_of, listed
from support.proxy import Proxy, proxied, running_proxy
from support.rawclient import RawClient
from support.replies import HI, body
from support.scripted import Close, Flood, Hold, Send, Status, Step
from support.scripted import Upstream as Backend
from support.waiting import eventually


async def names(proxy: Proxy) -> list[str]:
    """The names in `/api/tags`."""
    response = await proxy.ask("GET", "/api/tags")
    assert response.status == 200
    return [entry["name"] for entry in response.json["models"]]


async def test_first_list_is_waited_for() -> None:
    """A list that comes soon after the start is there for the first client."""
    async with Backend() as backend:
        backend.script(MODELS, listed("a", "b"))
        async with catalog_of(backend) as catalog:
            assert [model.id for model in await catalog.models()] == ["a", "b"]


async def test_h28_slow_backend_delays_one_answer_only() -> None:
    """R19: a backend that does not answer costs the first clients about 3 s and later ones nothing."""
    async with Backend() as backend:
        backend.script(MODELS, (Hold(),))
        async with running_proxy(backend.url) as url, RawClient(url) as first, RawClient(url) as second:
            started = time.monotonic()
            for client in (first, second):
                await client.ask("GET", "/api/tags")
            for client in (first, second):
                assert (await client.response()).json == {"models": []}
            assert 2.5 < time.monotonic() - started < 4.0
            started = time.monotonic()
            await first.ask("GET", "/api/tags")
            assert (await first.response()).json == {"models": []}
            assert time.monotonic() - started < 1.0


async def test_k8_dead_backend_delays_nobody() -> None:
    """K8: with nobody listening the proxy starts, and the list is empty at once."""
    async with Backend() as backend:
        await backend.stop()
        async with running_proxy(backend.url) as url, RawClient(url) as client:
            started = time.monotonic()
            await client.ask("GET", "/api/tags")
            assert (await client.response()).json == {"models": []}
            assert time.monotonic() - started < 1.0


async def test_h28_slow_refresh_delays_nobody() -> None:
    """Once there is a list it is answered while the next one is waited for."""
    async with Backend() as backend:
        backend.script(MODELS, listed("m"), (Hold(),))
        async with running_proxy(backend.url, models_refresh=1) as url:
            await eventually(lambda: len(backend.requests) == 2)
            started = time.monotonic()
            assert await names(Proxy(url, backend)) == ["m:latest"]
            assert time.monotonic() - started < 0.5


async def test_list_is_refreshed() -> None:
    """What a later list no longer holds is gone, what is new is there."""
    async with Backend() as backend:
        backend.script(MODELS, listed("old", "kept"), listed("kept", "new"))
        async with catalog_of(backend, refresh=0.05) as catalog:
            await catalog.models()
            await eventually(lambda: [model.id for model in catalog.known] == ["kept", "new"])


BAD: dict[str, Sequence[Step]] = {
    "H28 404": body({"detail": "Not Found"}, 404),
    "H28 401": body({"error": {"message": "no key"}}, 401),
    "H28 page": body(b"<html>", 200, "Content-Type: text/html"),
    "H28 no list": body({"data": "m"}),
    "H28 half": (Status(200, "Content-Length: 100"), Send(b'{"data":['), Close()),
    "H28 too big": (Status(200, "Transfer-Encoding: chunked"), Flood(b" " * 1_000_000, 17), Hold()),
    "dropped": (Close(),),
}


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD.keys())
async def test_h28_bad_list_keeps_the_last(bad: Sequence[Step]) -> None:
    """H28: a list that fails leaves the last one in place."""
    async with Backend() as backend:
        backend.script(MODELS, listed("a"), bad)
        async with catalog_of(backend, refresh=0.05) as catalog:
            await eventually(lambda: len(backend.requests) >= 3)
            assert [model.id for model in await catalog.models()] == ["a"]
            with pytest.raises(UpstreamError):
                await catalog.update()


async def test_h28_backend_that_dies_leaves_its_list(caplog: pytest.LogCaptureFixture) -> None:
    """H28: after the backend has died the list is still answered, and a model of it is found."""
    async with proxied(models_refresh=1) as proxy:
        await proxy.upstream.stop()
        await eventually(lambda: "no list of models" in caplog.text)  # a refresh has failed
        assert await names(proxy) == ["m:latest"]
        assert (await proxy.ask("POST", "/api/show", {"model": "m"})).status == 200
        await proxy.upstream.start()


async def test_backend_that_starts_late() -> None:
    """A first list that fails is asked for again after about a second, not after a whole refresh."""
    async with Backend() as backend:
        backend.script(MODELS, body({"error": {"message": "Loading model"}}, 503), listed("a"))
        async with catalog_of(backend) as catalog:
            assert await catalog.models() == ()
            await eventually(lambda: catalog.known, within=2.5)


async def test_found_at_once() -> None:
    """A model of the list is found without waiting, by any of its names."""
    async with Backend() as backend:
        backend.script(MODELS, listed("Llama-3"))
        async with catalog_of(backend) as catalog:
            await catalog.models()
            assert catalog.found("llama-3:latest") is catalog.known[0]
            assert catalog.found("other") is None


async def test_first_list_comes_first() -> None:
    """Before the first list nothing is found at once, an alias neither: what it is made of is not known."""
    aliases = Aliases()
    await aliases.put(Alias("mine:latest", "m", 1))
    async with Upstream("http://127.0.0.1:1/v1", "", Timeouts(), user_agent="test") as upstream:
        catalog = Catalog(upstream, "127.0.0.1", aliases)
        assert [model.name for model in catalog.known] == ["mine:latest"]
        assert catalog.found("mine") is None


async def test_new_model_is_looked_for() -> None:
    """A name that nobody has makes the list be fetched again soon, however often it is asked for."""
    async with Backend() as backend:
        backend.script(MODELS, listed("a"), listed("a", "new"))
        async with catalog_of(backend) as catalog:
            await catalog.models()
            for _ in range(20):
                with pytest.raises(ModelNotFound):
                    await catalog.find("new")
            await asyncio.sleep(0.5)
            assert len(backend.requests) == 1
            await eventually(lambda: len(backend.requests) == 2, within=6.0)
            await eventually(lambda: len(catalog.known) == 2)
            assert (await catalog.find("new")).id == "new"


async def test_unknown_model_is_not_asked_for() -> None:
    """ADR 5: a name that the list does not hold is 404 in Ollama's words, without a call."""
    async with proxied() as proxy:
        response = await proxy.chat("unknown")
        assert (response.status, response.json) == (404, {"error": "model 'unknown' not found"})
        assert proxy.upstream.posts == []


@pytest.mark.parametrize("name", ["m", "m:latest", "M", "M:Latest", " m "])
async def test_names_of_a_model(name: str) -> None:
    """2.3: a name means the same with its tag and in any case; the backend gets its own spelling."""
    async with proxied() as proxy:
        proxy.upstream.script("m", HI)
        assert (await proxy.chat(name)).lines[-1]["model"] == name
        assert proxy.upstream.posts[0].json["model"] == "m"


async def test_unknown_model_without_a_list() -> None:
    """ADR 5: while no list was ever had the backend decides, and its 404 is told in Ollama's words."""
    missing = body({"error": {"message": "The model `x` does not exist", "code": "model_not_found"}}, 404)
    async with Backend() as backend:
        backend.script(MODELS, body({"detail": "Not Found"}, 404))
        backend.script("m", HI)
        backend.script("x", missing)
        async with running_proxy(backend.url) as url:
            proxy = Proxy(url, backend)
            assert (await proxy.chat("m:latest")).lines[-1]["done"] is True
            response = await proxy.chat("x")
            assert (response.status, response.json) == (404, {"error": "model 'x' not found"})
            assert [request.json["model"] for request in backend.posts] == ["m", "x"]


async def test_nothing_is_told_of_models_without_a_list() -> None:
    """R15: what no backend is asked for can't be answered while nobody knows the models: the reason is told."""
    async with Backend() as backend:
        backend.script(MODELS, body({"error": {"message": "Loading"}}, 503))
        async with running_proxy(backend.url) as url:
            proxy = Proxy(url, backend)
            for path in ("/api/show", "/api/generate", "/api/chat"):
                response = await proxy.ask("POST", path, {"model": "no-such"})
                assert (response.status, response.json) == (503, {"error": "Loading"})
            assert backend.posts == []


async def test_unknown_model_with_forwarding() -> None:
    """FORWARD_UNKNOWN_MODELS lets the backend decide although there is a list."""
    async with proxied(forward_unknown_models=True) as proxy:
        proxy.upstream.script("deployment", HI)
        assert (await proxy.chat("deployment:latest")).status == 200


@pytest.mark.parametrize(
    ("owners", "profile"),
    [(["vllm"], "vllm"), (["llamacpp"], "llamacpp"), (["openai", "system"], "generic"), (["vllm", "me"], "generic")],
)
async def test_profile_is_detected(owners: list[str], profile: str) -> None:
    """Who owns the models tells what the backend is, where all of them say so."""
    async with Backend() as backend:
        backend.models = [{"id": owner, "owned_by": owner} for owner in owners]
        async with catalog_of(backend) as catalog:
            await catalog.models()
            assert catalog.profile.name == profile


async def test_profile_that_was_set() -> None:
    """UPSTREAM_PROFILE is believed, whatever the list says."""
    async with Backend() as backend:
        backend.models = [{"id": "a", "owned_by": "vllm"}]
        async with catalog_of(backend, profile="openai") as catalog:
            await catalog.models()
            assert catalog.profile.name == "openai"


async def test_profile_shapes_requests() -> None:
    """A backend that was told by its list gets the parameters that it takes, in its spelling."""
    options = {"top_k": 5, "repeat_penalty": 1.5, "num_predict": 7}
    async with Backend() as backend:
        backend.models = [{"id": "m", "owned_by": "vllm"}]
        backend.script("m", HI)
        async with running_proxy(backend.url) as url:
            await Proxy(url, backend).chat(options=options, think=False)
        sent = backend.posts[0].json
        assert (sent["top_k"], sent["repetition_penalty"], sent["max_tokens"]) == (5, 1.5, 7)
        assert sent["chat_template_kwargs"] == {"enable_thinking": False}


async def test_first_date_is_kept() -> None:
    """A backend that says "created now" each time (llama.cpp) does not make its models look new."""
    async with Backend() as backend:
        backend.script(MODELS, listed("a", created=1_700_000_000), listed("a", created=1_800_000_000))
        async with catalog_of(backend, refresh=0.05) as catalog:
            await eventually(lambda: len(backend.requests) >= 3)
            assert [model.created for model in catalog.known] == [1_700_000_000]


@pytest.mark.parametrize("forwards", [False, True])
async def test_latest(forwards: bool) -> None:
    """What was used is looked up again: as it is known now, or gone; what may be handed on stays."""
    used, alias = Model(id="m"), Model(id="m:x", upstream="m")
    async with Backend() as backend, Upstream(backend.url, "", Timeouts(), user_agent="test") as upstream:
        backend.models = [{"id": "m", "max_model_len": 5}]
        catalog = Catalog(upstream, "127.0.0.1", forward_unknown=forwards)
        assert catalog.latest(used) is used  # there is no list yet
        await catalog.update()
        assert (latest := catalog.latest(used)) is not None
        assert latest.context_length == 5
        backend.models = [{"id": "other"}]
        await catalog.update()
        assert catalog.latest(used) is (used if forwards else None)
        assert catalog.latest(alias) is None


async def test_nothing_is_made_anew_while_nothing_changes() -> None:
    """R19: thousands of models cost a client nothing that an unchanged list has cost before."""
    async with Backend() as backend:
        backend.script(MODELS, listed("a", "b"), listed("a", "b"), listed("a"))
        async with catalog_of(backend) as catalog:
            first = await catalog.models()
            await catalog.update()
            assert await catalog.models() is first
            await catalog.update()
            assert [model.id for model in await catalog.models()] == ["a"]


async def test_nothing_is_told_of_a_model_while_no_list_has_come() -> None:
    """5.6: of a backend that does not even answer nobody knows what it has: an error, and no made up model."""
    async with Backend() as backend:
        backend.script(MODELS, (Hold(),))
        async with catalog_of(backend) as catalog:
            with pytest.raises(UpstreamTimeout):
                await catalog.find("m", asks=False)
            assert (await catalog.find("m")).upstream_id == "m"
