"""What there is: `/api/tags`, `/api/show`, `/api/ps` over real sockets (contract 5.4 to 5.6, rules R12, R13, R19)."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from support.proxy import Proxy, proxied
from support.replies import HI
from support.scripted import Close, Wait
from support.waiting import eventually

MODELS = """
[[model]]
match = "m"
alias = "short"
system = "Be brief."
family = "llama"

[model.options]
temperature = 0.25
seed = 3

[[model]]
match = "hidden"
upstream = "vendor/hidden-1"
context_length = 1234
capabilities = ["completion"]
"""


@pytest.fixture
def models_file(tmp_path: Path) -> Path:
    path = tmp_path / "models.toml"
    path.write_text(MODELS)
    return path


async def shown(proxy: Proxy, name: str, **asked: object) -> Any:
    response = await proxy.ask("POST", "/api/show", {"model": name, **asked})
    assert response.status == 200
    return response.json


async def told(proxy: Proxy, name: str) -> set[int]:
    """Return the context lengths that tags, show and ps tell of a model that is loaded."""
    (tagged,) = [each for each in (await proxy.ask("GET", "/api/tags")).json["models"] if each["name"] == name]
    (running,) = [each for each in (await proxy.ask("GET", "/api/ps")).json["models"] if each["name"] == name]
    info = (await shown(proxy, name))["model_info"]
    (length,) = [value for key, value in info.items() if key.endswith(".context_length")]
    assert running["digest"] == tagged["digest"]
    assert running["size"] == running["size_vram"] == tagged["size"] > 0
    return {tagged["details"]["context_length"], running["context_length"], length}


@pytest.mark.parametrize(
    ("settings", "expected"), [({}, 32768), ({"ollama_context_length": 0}, 32768), ({"ollama_context_length": 9}, 9)]
)
async def test_default_context_length(settings: dict[str, Any], expected: int) -> None:
    """Section 5 of clients.md: tags, show and ps say one number; nobody told it: OLLAMA_CONTEXT_LENGTH, 0 is 32768."""
    async with proxied(**settings) as proxy:
        await proxy.ask("POST", "/api/chat", {"model": "m"})
        assert await told(proxy, "m:latest") == {expected}


async def test_context_length_of_the_file(models_file: Path) -> None:
    """Section 5 of clients.md: the models file comes before the default, in all three."""
    async with proxied(models_file=models_file) as proxy:
        await proxy.ask("POST", "/api/chat", {"model": "hidden"})
        assert await told(proxy, "hidden:latest") == {1234}


async def test_models_of_the_file(models_file: Path) -> None:
    """R13: what the file offers is listed, and each can be shown, under any spelling."""
    async with proxied(models_file=models_file) as proxy:
        listed = (await proxy.ask("GET", "/api/tags")).json["models"]
        assert {entry["name"] for entry in listed} == {"short:latest", "hidden:latest", "m:latest"}
        assert len({entry["digest"] for entry in listed}) == 3
        for asked in ({"model": "SHORT"}, {"name": "short:latest"}, {"model": "", "name": "Short"}):
            response = await proxy.ask("POST", "/api/show", asked)
            assert (response.status, response.json["details"]["parent_model"]) == (200, "m:latest")
            assert response.json["parameters"].splitlines() == [f"{'temperature':30} 0.25", f"{'seed':30} 3"]
            assert response.json["system"] == "Be brief."


async def test_what_the_backend_is_asked(models_file: Path) -> None:
    """A model of the file is asked for by the backend's own name, with the options of the file below the request's."""
    async with proxied(models_file=models_file) as proxy:
        proxy.upstream.script("m", HI)
        proxy.upstream.script("vendor/hidden-1", HI)
        short = await proxy.chat("short", options={"seed": 4})
        assert {line["model"] for line in short.lines} == {"short"}
        assert (await proxy.chat("hidden")).status == 200
        asked, other = (json.loads(request.body) for request in proxy.upstream.posts)
        assert (asked["model"], asked["temperature"], asked["seed"]) == ("m", 0.25, 4)
        assert other["model"] == "vendor/hidden-1"


async def test_what_the_file_denies(models_file: Path) -> None:
    """Contract 3.2, 3.7: a list of capabilities in the file is as good as the backend's: what it lacks is refused."""
    async with proxied(models_file=models_file) as proxy:
        thinking = await proxy.chat("hidden", think=True)
        assert (thinking.status, thinking.json) == (400, {"error": '"hidden" does not support thinking'})
        tool = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}
        error = "registry.ollama.ai/library/hidden:latest does not support tools"
        tools = await proxy.chat("hidden", tools=[tool])
        assert (tools.status, tools.json) == (400, {"error": error})
        assert proxy.upstream.posts == []


async def test_model_that_is_no_more() -> None:
    """5.5: a loaded model that the backend offers no longer is not listed."""
    async with proxied(models_refresh=1) as proxy:
        await proxy.ask("POST", "/api/chat", {"model": "m"})
        assert len((await proxy.ask("GET", "/api/ps")).json["models"]) == 1
        proxy.upstream.models = [{"id": "other"}]
        await eventually(lambda: len(proxy.upstream.requests) > 1)
        async with asyncio.timeout(5):
            while (await proxy.ask("GET", "/api/tags")).json["models"][0]["name"] != "other:latest":
                pass
        assert (await proxy.ask("GET", "/api/ps")).json == {"models": []}


async def test_alias_that_was_deleted() -> None:
    """5.5: a loaded alias is listed with what it is now, and no more once it was deleted."""
    async with proxied() as proxy:
        for length in (5, 6):
            made = {"model": "a", "from": "m", "info": {"context_length": length}, "stream": False}
            assert (await proxy.ask("POST", "/api/create", made)).status == 200
            await proxy.ask("POST", "/api/chat", {"model": "a"})
            assert await told(proxy, "a:latest") == {length}
        assert (await proxy.ask("DELETE", "/api/delete", {"model": "a"})).status == 200
        assert (await proxy.ask("GET", "/api/ps")).json == {"models": []}


async def test_lists_do_not_wait_for_the_backend() -> None:
    """R19: once there is a list, tags, show and ps answer while the backend hangs."""
    barrier = asyncio.Event()
    async with proxied(models_refresh=1) as proxy:
        proxy.upstream.script("/v1/models", (Wait(barrier), Close()))
        seen = len(proxy.upstream.requests)
        await eventually(lambda: len(proxy.upstream.requests) > seen)
        assert len((await proxy.ask("GET", "/api/tags")).json["models"]) == 1
        assert (await proxy.ask("GET", "/api/ps")).status == 200
        await shown(proxy, "m")
        barrier.set()


async def test_show_takes_all_that_clients_send() -> None:
    """5.6: the Go client sends each key, null options too; system and options change what is shown."""
    async with proxied() as proxy:
        go = {"name": "m", "model": "", "verbose": False, "system": "", "template": "", "options": None}
        assert (await proxy.ask("POST", "/api/show", go)).json == await shown(proxy, "m", verbose=True)
        changed = await shown(proxy, "m", system="Be long.", options={"seed": 1})
        assert changed["system"] == "Be long."
        assert changed["modelfile"].endswith("FROM m:latest\nSYSTEM Be long.\nPARAMETER seed 1\n")


async def test_basename() -> None:
    """5.6: Copilot is given the name as it asked for it."""
    async with proxied() as proxy:
        response = await proxy.ask("POST", "/api/show", {"model": "M"}, "User-Agent: GitHubCopilotChat/0.41.0")
        assert response.json["model_info"]["general.basename"] == "M"
        assert "general.basename" not in (await shown(proxy, "M"))["model_info"]


async def test_tags_follow_the_list() -> None:
    """5.4: what was answered once is answered no longer when anything has changed."""
    async with proxied() as proxy:
        for name in ("one", "two"):
            assert (await proxy.ask("POST", "/api/copy", {"source": "m", "destination": name})).status == 200
            entries = (await proxy.ask("GET", "/api/tags")).json["models"]
            assert f"{name}:latest" in {entry["name"] for entry in entries}
