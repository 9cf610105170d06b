"""Pulling what is there, and what is not (contract 5.11)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from support.proxy import Proxy, proxied, running_proxy
from support.rawclient import Response
from support.scripted import Hold, Upstream
from support.waiting import SECONDS

MISSING = {"error": "pull model manifest: file does not exist"}
PULLING = {"status": "pulling manifest"}


@pytest.fixture
async def proxy() -> AsyncIterator[Proxy]:
    async with proxied() as running:
        yield running
        assert running.upstream.posts == []


async def pulled(proxy: Proxy, name: str, until: str, **fields: object) -> Response:
    """Pull until the answer holds a word: a list that was had a moment ago is not asked for again."""
    async with asyncio.timeout(SECONDS):
        while True:
            answer = await proxy.ask("POST", "/api/pull", {"model": name, **fields})
            if until in answer.body.decode():
                return answer
            await asyncio.sleep(0.05)


async def digest_of(proxy: Proxy, name: str) -> str:
    (model,) = [each for each in (await proxy.ask("GET", "/api/tags")).json["models"] if each["name"] == name]
    return str(model["digest"])


@pytest.mark.parametrize("name", ["m", "m:latest", " M "])
@pytest.mark.parametrize("key", ["model", "name"])
async def test_of_what_is_there(proxy: Proxy, key: str, name: str) -> None:
    """Contract 5.11: a model that is there is told as one whose layer is complete, and ends in success."""
    answer = await proxy.ask("POST", "/api/pull", {"model": "", key: name, "insecure": True})
    manifest, layer, *rest = answer.lines
    found = await digest_of(proxy, "m:latest")
    assert manifest == PULLING
    assert (layer["status"], layer["digest"]) == (f"pulling {found[:12]}", f"sha256:{found}")
    assert layer.get("total") == layer.get("completed")
    assert rest == [{"status": "verifying sha256 digest"}, {"status": "writing manifest"}, {"status": "success"}]


async def test_of_an_alias(proxy: Proxy) -> None:
    """Contract 5.11: an alias is there as well."""
    await proxy.ask("POST", "/api/create", {"model": "x", "from": "m", "system": "A"})
    lines = (await proxy.ask("POST", "/api/pull", {"model": "x"})).lines
    assert lines[1]["digest"] == f"sha256:{await digest_of(proxy, 'x:latest')}"
    assert lines[-1] == {"status": "success"}


async def test_of_what_nobody_has(proxy: Proxy) -> None:
    """Contract 5.11, rule R10: the failure is a line after the first under 200; a 500 when it is not streamed."""
    streamed = await proxy.ask("POST", "/api/pull", {"model": "No"})
    assert (streamed.status, streamed.lines) == (200, [PULLING, MISSING])
    whole = await proxy.ask("POST", "/api/pull", {"model": "No", "stream": False})
    assert (whole.status, whole.json, whole.header("content-type")) == (500, MISSING, "application/json")


async def test_of_what_is_new(proxy: Proxy) -> None:
    """Contract 5.11: a model that the backend has since a moment ago is found."""
    proxy.upstream.models.append({"id": "fresh"})
    answer = await pulled(proxy, "fresh", "success", stream=False)
    assert (answer.status, answer.json) == (200, {"status": "success"})


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b"", "missing request body"),
        (b"{", "unexpected EOF"),
        ({}, "invalid model name"),
        ({"model": " "}, "invalid model name"),
        ({"model": "a b"}, "invalid model name"),
        ({"model": "@x/y"}, "invalid model name"),
    ],
)
async def test_bad_names(proxy: Proxy, body: object, error: str) -> None:
    """Contract 2.6: what can be no name is a 400, and the backend is not asked."""
    before = len(proxy.upstream.requests)
    answer = await proxy.ask("POST", "/api/pull", body)
    assert (answer.status, answer.json) == (400, {"error": error})
    assert len(proxy.upstream.requests) == before


async def test_while_the_backend_is_away(proxy: Proxy) -> None:
    """Contract 1.10: that the backend can't be asked is another failure than that it has no such model."""
    await proxy.upstream.stop()
    streamed = await pulled(proxy, "No", "upstream")
    assert (streamed.status, streamed.lines[0], len(streamed.lines)) == (200, PULLING, 2)
    whole = await proxy.ask("POST", "/api/pull", {"model": "No", "stream": False})
    assert (whole.status, whole.json) == (502, streamed.lines[1])
    known = await proxy.ask("POST", "/api/pull", {"model": "m"})
    assert known.lines[-1] == {"status": "success"}


async def test_before_the_first_list() -> None:
    """Contract 5.11: while the list was never had, nothing is taken for a model; a pull waits for a time only."""
    async with Upstream() as upstream:
        upstream.script("/v1/models", (Hold(),))
        async with running_proxy(upstream.url) as url:
            proxy = Proxy(url, upstream)
            answer = await proxy.ask("POST", "/api/pull", {"model": "m", "stream": False})
            assert (answer.status, list(answer.json)) == (504, ["error"])


async def test_names_that_are_handed_on() -> None:
    """FORWARD_UNKNOWN_MODELS: where the backend alone knows its models, `/api/show` has any, and so has a pull."""
    async with proxied(forward_unknown_models=True) as proxy:
        answer = await proxy.ask("POST", "/api/pull", {"model": "deployment"})
        assert answer.lines[-1] == {"status": "success"}
