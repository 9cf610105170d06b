"""Making aliases (contract 5.13)."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from support.proxy import HELLO, Proxy, proxied, running_proxy
from support.replies import HI
from support.scripted import Upstream
from support.waiting import SECONDS

SYSTEM = "Answer in rhymes."


@pytest.fixture
async def proxy() -> AsyncIterator[Proxy]:
    async with proxied() as running:
        running.upstream.script("m", HI)
        yield running


async def create(proxy: Proxy, model: str, base: str = "m", **fields: Any) -> list[dict[str, Any]]:
    answer = await proxy.ask("POST", "/api/create", {"model": model, "from": base, **fields})
    assert (answer.status, answer.header("content-type")) == (200, "application/x-ndjson")
    return answer.lines


async def shown(proxy: Proxy, name: str) -> dict[str, Any]:
    answer = await proxy.ask("POST", "/api/show", {"model": name})
    assert answer.status == 200
    found: dict[str, Any] = answer.json
    return found


async def test_statuses(proxy: Proxy) -> None:
    """Contract 5.13: each layer is named by the sha256 of what is kept, then the manifest and success."""
    tags = (await proxy.ask("GET", "/api/tags")).json["models"]
    system = hashlib.sha256(SYSTEM.encode()).hexdigest()
    assert await create(proxy, "poet", system=SYSTEM) == [
        {"status": f"using existing layer sha256:{tags[0]['digest']}"},
        {"status": f"creating new layer sha256:{system}"},
        {"status": "writing manifest"},
        {"status": "success"},
    ]
    again = await create(proxy, "poet2", "poet", parameters={"seed": 1})
    assert {"status": f"using existing layer sha256:{system}"} in again


async def test_not_streamed(proxy: Proxy) -> None:
    """Contract 5.13, 12.2: without streaming it is one object with `application/json`; `name` is the older key."""
    answer = await proxy.ask("POST", "/api/create", {"name": "poet", "from": "M", "stream": False})
    assert (answer.status, answer.json) == (200, {"status": "success"})
    assert answer.header("content-type") == "application/json"


async def test_is_used(proxy: Proxy) -> None:
    """Contract 5.13: an alias is listed and shown, answers under its name, and stands before each of its requests."""
    example = [{"role": "user", "content": "Sky?"}, {"role": "assistant", "content": "High."}]
    await create(proxy, "poet", system=SYSTEM, parameters={"temperature": 0.5, "seed": 1}, messages=example)
    await create(proxy, "bard:v1", "POET", parameters={"seed": 2, "stop": ["\n"]})
    assert {each["name"] for each in (await proxy.ask("GET", "/api/tags")).json["models"]} == {
        *("m:latest", "poet:latest", "bard:v1")
    }
    found = await shown(proxy, "bard:v1")
    assert found["system"] == SYSTEM
    assert {line.split()[0] for line in found["parameters"].splitlines()} == {"temperature", "seed", "stop"}
    assert [message["content"] for message in found["messages"]] == ["Sky?", "High."]
    answer = await proxy.chat("bard:v1", options={"temperature": 1}, stream=False)
    assert answer.json["model"] == "bard:v1"
    sent = proxy.upstream.posts[-1].json
    assert sent["model"] == "m"
    assert [message["content"] for message in sent["messages"]] == [SYSTEM, "Sky?", "High.", HELLO[0]["content"]]
    assert (sent["temperature"], sent["seed"], sent["stop"]) == (1, 2, ["\n"])
    running = (await proxy.ask("GET", "/api/ps")).json["models"]
    assert [each["name"] for each in running] == ["bard:v1"]


async def test_generates(proxy: Proxy) -> None:
    """Contract 5.7, 5.13: a generation with an alias has its system prompt, too, and the backend's name."""
    await create(proxy, "poet", system=SYSTEM)
    answer = await proxy.ask("POST", "/api/generate", {"model": "poet", "prompt": "Hi", "stream": False})
    assert (answer.status, answer.json["model"]) == (200, "poet")
    sent = proxy.upstream.posts[-1].json
    assert sent["model"] == "m"
    assert sent["messages"][0] == {"role": "system", "content": SYSTEM}


async def test_over_the_base(proxy: Proxy) -> None:
    """Contract 5.13: a model may be made anew from itself; it then hides the backend's, until it is deleted."""
    await create(proxy, "m", system=SYSTEM)
    assert (await shown(proxy, "m"))["system"] == SYSTEM
    await create(proxy, "M", system="B", parameters={"seed": 1})
    await create(proxy, "m", system="")
    assert (await shown(proxy, "m"))["system"] == "B"
    assert len((await proxy.ask("GET", "/api/tags")).json["models"]) == 1
    await proxy.chat("m")
    assert proxy.upstream.posts[-1].json["model"] == "m"
    await proxy.ask("DELETE", "/api/delete", {"model": "m"})
    assert "system" not in await shown(proxy, "m")


async def test_alias_outlives_its_parent(proxy: Proxy) -> None:
    """Contract 5.13: an alias of an alias is the backend's model, and stays when the other is deleted."""
    await create(proxy, "a", system=SYSTEM)
    await create(proxy, "b", "a")
    await proxy.ask("DELETE", "/api/delete", {"model": "a"})
    await proxy.chat("b")
    sent = proxy.upstream.posts[-1].json
    assert (sent["model"], sent["messages"][0]["content"]) == ("m", SYSTEM)


async def test_from_one_of_two(proxy: Proxy) -> None:
    """Contract 2.1, 5.13: of `x` and `x:latest`, an alias is made of the one that a chat by that name gets."""
    proxy.upstream.models[:] = [{"id": "x:latest"}, {"id": "x"}]
    names = ("x", "x:latest")
    for name in names:
        proxy.upstream.script(name, HI)
    async with running_proxy(proxy.upstream.url) as url:
        other = Proxy(url, proxy.upstream)
        await other.ask("GET", "/api/tags")
        for name in names:
            await create(other, "alias", name)
            for asked in (name, "alias"):
                await other.chat(asked)
                assert proxy.upstream.posts[-1].json["model"] == name


@pytest.mark.parametrize("base", ["library/m", "registry.ollama.ai/library/M:latest"])
async def test_from_a_whole_name(proxy: Proxy, base: str) -> None:
    """Contract 2.1, 5.13: `from` may have the default host and namespace."""
    assert (await create(proxy, "library/poet", base))[-1] == {"status": "success"}
    assert (await shown(proxy, "poet"))["details"]["parent_model"] == "m:latest"


async def test_from_what_nobody_has(proxy: Proxy) -> None:
    """Contract 5.13: Ollama would pull it first, so that failure is a pull's; nothing is made."""
    error = {"error": "pull model manifest: file does not exist"}
    assert await create(proxy, "x", "No") == [{"status": "pulling manifest"}, error]
    whole = await proxy.ask("POST", "/api/create", {"model": "x", "from": "No", "stream": False})
    assert (whole.status, whole.json) == (500, error)
    assert (await proxy.ask("POST", "/api/show", {"model": "x"})).status == 404


async def test_from_what_is_new(proxy: Proxy) -> None:
    """Contract 5.13: a model that the backend has since a moment ago will do."""
    proxy.upstream.models.append({"id": "fresh"})
    async with asyncio.timeout(SECONDS):
        while (await create(proxy, "x", "fresh"))[-1] != {"status": "success"}:  # noqa: ASYNC110  # nothing tells
            await asyncio.sleep(0.05)  # a list that was had a moment ago is not asked for again


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b"", "missing request body"),
        ({"from": "m"}, "invalid model name"),
        ({"model": "a b", "from": "m"}, "invalid model name"),
        ({"model": "a b", "files": {"/x": ""}}, "file path must be relative"),
        ({"model": "x", "files": {"x": ""}}, "invalid digest format"),
        ({"model": "x", "from": "m", "draft_quantize": "q4_0"}, "--draft-quantize requires a DRAFT model"),
        ({"model": "x"}, "neither 'from' or 'files' was specified"),
        ({"model": "x", "from": "a b"}, "invalid model name"),
        ({"model": "x", "from": "m", "info": {"context_length": "1"}}, 'info field "context_length" must be a number'),
        ({"model": "x", "from": "m", "template": "{{ .Prompt"}, "template error: unclosed action"),
        ({"model": "x", "from": "m", "parameters": {"seed": "1"}}, 'option "seed" must be of type integer'),
        (
            {"model": "x", "from": "m", "system": "x" * 2**20},
            "the alias can't be stored: it has more than 1048576 bytes",
        ),
    ],
)
@pytest.mark.parametrize("stream", [True, False])
async def test_bad_requests(proxy: Proxy, body: Any, error: str, stream: bool) -> None:
    """Contract 5.13: what is wrong is a 400 before any line, streamed or not, and nothing is made or asked."""
    before = len(proxy.upstream.requests)
    answer = await proxy.ask("POST", "/api/create", {**body, "stream": stream} if isinstance(body, dict) else body)
    assert (answer.status, answer.json) == (400, {"error": error})
    assert len(proxy.upstream.requests) == before
    assert len((await proxy.ask("GET", "/api/tags")).json["models"]) == 1


async def test_ignored(proxy: Proxy) -> None:
    """Contract 5.13: what only Ollama's own runner has a use for is taken and ignored, as are unknown fields."""
    ignored = {"renderer": "qwen3-coder", "parser": "qwen3-coder", "requires": "0.14.0", "modelfile": "FROM x"}
    assert (await create(proxy, "x", **ignored))[-1] == {"status": "success"}


async def test_that_can_not_be_stored() -> None:
    """A folder that can't be written is a 500 before any line, and there is no such alias."""
    async with Upstream() as upstream, running_proxy(upstream.url, data_dir=Path("/proc/self")) as url:
        proxy = Proxy(url, upstream)
        answer = await proxy.ask("POST", "/api/create", {"model": "x", "from": "m"})
        assert (answer.status, answer.header("content-type")) == (500, "application/json")
        assert answer.json["error"].startswith("the alias can't be stored: ")
        assert len((await proxy.ask("GET", "/api/tags")).json["models"]) == 1
