"""Managing models: copying, deleting, names, and the log (contract 2.6, 5.14, 5.15)."""

from __future__ import annotations

import asyncio
import fcntl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ollama_openai_proxy.translate.aliases import decode
from support.lines import logged
from support.proxy import Proxy, proxied, running_proxy
from support.replies import HI
from support.scripted import Upstream
from support.waiting import SECONDS, no_errors

DIGEST = "sha256:" + 64 * "a"


@pytest.fixture
async def proxy() -> AsyncIterator[Proxy]:
    """Before a backend with models whose names are in another case, and outside the grammar."""
    async with Upstream() as upstream:
        upstream.models = [{"id": "m"}, {"id": "Big"}, {"id": "@cf/meta/llama"}]
        with no_errors():
            async with running_proxy(upstream.url) as url:
                yield Proxy(url, upstream)
        assert upstream.posts == []


async def names(proxy: Proxy) -> set[str]:
    return {model["name"] for model in (await proxy.ask("GET", "/api/tags")).json["models"]}


async def copy(proxy: Proxy, source: str, destination: str) -> None:
    answer = await proxy.ask("POST", "/api/copy", {"source": source, "destination": destination})
    assert (answer.status, answer.body, answer.header("content-length")) == (200, b"", "0")


async def test_copy(proxy: Proxy) -> None:
    """Contract 5.14, rule R14: a copy is there at once, under its name with the tag; the answer is 200 and empty."""
    await copy(proxy, "m", "mine")
    assert await names(proxy) == {"m:latest", "Big:latest", "@cf/meta/llama:latest", "mine:latest"}
    await copy(proxy, "mine:latest", "ME/mine:x")
    await copy(proxy, "@cf/meta/llama", "llama")
    assert await names(proxy) >= {"ME/mine:x", "llama:latest"}


async def test_local_and_cloud(proxy: Proxy) -> None:
    """Contract 2.5: `:local` is a marker of where to look, `:cloud` here a name like others, and both together none."""
    await copy(proxy, "m:local", "x:7b:LOCAL")
    await copy(proxy, "x:7b:local", "x:cloud")
    assert await names(proxy) >= {"x:7b", "x:cloud"}
    error = {"error": 'use either :local or :cloud, not both: "x:cloud:local"'}
    both = "x:cloud:local"
    for method, path, body in (
        ("POST", "/api/copy", {"source": both, "destination": "y"}),
        ("POST", "/api/copy", {"source": "m", "destination": both}),
        ("POST", "/api/create", {"model": both, "from": "m"}),
        ("POST", "/api/create", {"model": "y", "from": both}),
        ("POST", "/api/pull", {"model": both}),
        ("POST", "/api/push", {"model": both}),
        ("DELETE", "/api/delete", {"model": both}),
    ):
        answer = await proxy.ask(method, path, body)
        assert (answer.status, answer.json) == (400, error), path
    missing = await proxy.ask("DELETE", "/api/delete", {"model": "No:7b:local"})
    assert (missing.status, missing.json) == (404, {"error": "model 'No:7b:local' not found"})


async def test_copy_is_the_backends_model() -> None:
    """Contract 5.14: what is asked of a copy, the backend is asked under its own name; the client reads the copy's."""
    async with proxied() as proxy:
        proxy.upstream.script("m", HI)
        await copy(proxy, "m", "a")
        await copy(proxy, "a", "b")
        answer = await proxy.chat("b", stream=False)
        assert (answer.status, answer.json["model"]) == (200, "b")
        assert proxy.upstream.posts[0].json["model"] == "m"


async def test_copy_onto_itself(proxy: Proxy) -> None:
    """Contract 5.14: a copy onto itself, in whatever case or form, is a success that changes nothing."""
    for destination in ("m", "m:latest", "M", "library/m", "registry.ollama.ai/library/M:LATEST"):
        await copy(proxy, "m", destination)
    assert (await proxy.ask("DELETE", "/api/delete", {"model": "m"})).status == 400  # it is no alias


@pytest.mark.parametrize(
    ("destination", "name"),
    [("BIG", "Big:latest"), ("big:Small", "Big:Small"), ("library/x", "x:latest"), ("x:cloud", "x:cloud")],
)
async def test_spelling(proxy: Proxy, destination: str, name: str) -> None:
    """Contract 2.2, 2.3: a spelling that is there is kept, part by part, and the name is kept in its short form."""
    await copy(proxy, "m", destination)
    assert name in await names(proxy)
    assert len(await names(proxy)) == (3 if name == "Big:latest" else 4)


async def test_alias_hides_a_model() -> None:
    """Contract 5.14, 5.15: a copy onto another model's name takes its place, until the copy is deleted."""
    async with proxied(forward_unknown_models=True) as proxy:
        proxy.upstream.script("m", HI)
        proxy.upstream.script("Big", HI)
        await copy(proxy, "Big", "old")
        await copy(proxy, "m", "BIG")
        await proxy.chat("Big")
        assert (await proxy.ask("DELETE", "/api/delete", {"model": "big"})).status == 200
        await proxy.chat("Big")
        await proxy.chat("old")
        assert [request.json["model"] for request in proxy.upstream.posts] == ["m", "Big", "Big"]


@pytest.mark.parametrize(
    ("body", "status", "error"),
    [
        (b"", 400, "missing request body"),
        ({}, 400, 'source "" is invalid'),
        ({"source": "a b", "destination": "x"}, 400, 'source "a b" is invalid'),
        ({"source": "m", "destination": ""}, 400, 'destination "" is invalid'),
        ({"source": "m", "destination": 'a"b'}, 400, 'destination "a\\"b" is invalid'),
        ({"source": "m", "destination": "@cf/meta/llama"}, 400, 'destination "@cf/meta/llama" is invalid'),
        ({"source": "No", "destination": "x"}, 404, 'model "No" not found'),
        ({"source": "No", "destination": " "}, 400, 'destination " " is invalid'),
    ],
)
async def test_copy_that_fails(proxy: Proxy, body: object, status: int, error: str) -> None:
    """Contract 2.6: who copies wrongly is told so in Ollama's words."""
    answer = await proxy.ask("POST", "/api/copy", body)
    assert (answer.status, answer.json) == (status, {"error": error})


async def test_delete(proxy: Proxy) -> None:
    """Contract 5.15: an alias is gone at once, by either key and in any case; the answer is 200 and empty."""
    for key, name in (("model", "X"), ("name", "x:latest")):
        await copy(proxy, "m", "x")
        answer = await proxy.ask("DELETE", "/api/delete", {"model": "", key: name})
        assert (answer.status, answer.body, answer.header("content-length")) == (200, b"", "0")
        assert "x:latest" not in await names(proxy)


@pytest.mark.parametrize(
    ("body", "status", "error"),
    [
        (b" ", 400, "missing request body"),
        ({}, 400, "model is required"),
        ({"model": " "}, 400, "model is required"),
        ({"name": "a b"}, 400, 'name "a b" is invalid'),
        ({"model": "No"}, 404, "model 'No' not found"),
        ({"model": "m"}, 400, '"m" does not support delete'),
        ({"model": "@cf/meta/llama"}, 400, '"@cf/meta/llama" does not support delete'),
    ],
)
async def test_delete_that_fails(proxy: Proxy, body: object, status: int, error: str) -> None:
    """Contract 2.6: a wrong name is told in Ollama's words, and a backend's model is no client's to delete."""
    answer = await proxy.ask("DELETE", "/api/delete", body)
    assert (answer.status, answer.json) == (status, {"error": error})


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/api/pull", "POST"),
        ("GET", "/api/push", "POST"),
        ("HEAD", "/api/create", "POST"),
        ("GET", "/api/copy", "POST"),
        ("POST", "/api/delete", "DELETE"),
        ("GET", f"/api/blobs/{DIGEST}", "HEAD, POST"),
    ],
)
async def test_other_methods(proxy: Proxy, method: str, path: str, allowed: str) -> None:
    """Contract 1.2: another method is a 405 with those that there are."""
    answer = await proxy.ask(method, path)
    assert (answer.status, answer.header("allow")) == (405, allowed)


async def test_what_stays_when_switched_off(tmp_path: Path) -> None:
    """MANAGEMENT_ENABLED=false: aliases of before serve on, and a pull, which changes nothing, is answered."""
    async with proxied(data_dir=tmp_path) as proxy:
        await copy(proxy, "m", "x")
    async with proxied(data_dir=tmp_path, management_enabled=False) as proxy:
        assert await names(proxy) == {"m:latest", "x:latest"}
        pulled = await proxy.ask("POST", "/api/pull", {"model": "x", "stream": False})
        assert (pulled.status, pulled.json) == (200, {"status": "success"})
        assert (await proxy.ask("HEAD", f"/api/blobs/{DIGEST}")).status == 404


async def test_audit() -> None:
    """Each change is one line that says what was done to which name; a refusal and a pull are none."""
    with logged() as lines:
        async with proxied() as proxy:
            await copy(proxy, "m", "x")
            await proxy.ask("POST", "/api/create", {"model": "y", "from": "x", "system": "secret-of-a-prompt"})
            await proxy.ask("DELETE", "/api/delete", {"model": "X"})
            await proxy.ask("DELETE", "/api/delete", {"model": "m"})
            await proxy.ask("POST", "/api/pull", {"model": "m", "username": "u-name", "password": "p-word"})
        told = lines.read()
    changes = [line for line in told if line["message"] == "models changed"]
    assert [(line["level"], line["action"], line["model"], line.get("source")) for line in changes] == [
        ("INFO", "copy", "x:latest", "m:latest"),
        ("INFO", "create", "y:latest", "x:latest"),
        ("INFO", "delete", "x:latest", None),
    ]
    assert all(line["request_id"] for line in changes)
    assert not {word for word in ("secret-of-a-prompt", "u-name", "p-word") if word in lines.text()}


async def test_log_of_requests() -> None:
    """The log names what was made, and not what it was made of; a blob that is not there was not found."""
    with logged() as lines:
        async with proxied() as proxy:
            await proxy.ask("POST", "/api/create", {"model": "y", "from": "m"})
            await proxy.ask("HEAD", f"/api/blobs/{DIGEST}")
        told = [line for line in lines.read() if line["message"] == "exchange"]
    assert [(line.get("model"), line["status"], line["outcome"]) for line in told[1:]] == [
        ("y:latest", 200, "ok"),
        (None, 404, "not_found"),
    ]


async def test_while_there_is_no_list() -> None:
    """While the backend never told its models, what is no alias is neither there nor missing: the answer says why."""
    async with running_proxy("http://127.0.0.1:1/v1") as url, Upstream() as unused:
        proxy = Proxy(url, unused)
        for method, path, body in (
            ("DELETE", "/api/delete", {"model": "x"}),
            ("POST", "/api/copy", {"source": "x", "destination": "y"}),
            ("POST", "/api/push", {"model": "x"}),
            ("POST", "/api/create", {"model": "y", "from": "x"}),
        ):
            answer = await proxy.ask(method, path, body)
            assert (answer.status, list(answer.json)) == (502, ["error"]), path


async def test_two_who_delete_one(tmp_path: Path) -> None:
    """Contract 5.15: of two who delete an alias at once, one is told that it was there, the other that it is not."""
    async with proxied(data_dir=tmp_path) as proxy:
        await copy(proxy, "m", "x")
        with (tmp_path / "aliases.lock").open() as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            asked = [asyncio.create_task(proxy.ask("DELETE", "/api/delete", {"model": "x"})) for _ in range(2)]
            async with asyncio.timeout(SECONDS):
                while (await proxy.ask("GET", "/health")).json["in_flight"] < 2:
                    pass
        assert sorted([(await answer).status for answer in asked]) == [200, 404]


async def test_client_that_leaves(tmp_path: Path) -> None:
    """A client that leaves amid its request, or before its answer, leaves a table that is whole, and no task."""
    body = b'{"model": "x", "from": "m"}'
    head = f"POST /api/create HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    async with proxied(data_dir=tmp_path) as proxy:
        for sent in (body[:-1], body):
            async with proxy.client() as client:
                await client.send(head + sent)
                client.reset()
        made = await proxy.ask("POST", "/api/create", {"model": "z", "from": "m"})
        assert made.lines[-1] == {"status": "success"}
    kept = {alias.name for alias in decode((tmp_path / "aliases.json").read_bytes())}
    assert kept - {"x:latest"} == {"z:latest"}
