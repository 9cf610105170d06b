"""Editors that can't be installed here, replayed beyond test_editors.py (clients.md 2.11 to 2.16, contract 10.3)."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from contract.backends import ABLE, LLAMA, PLAIN, TEXT, ask, facing
from contract.wire import calls, chunks, content, no_nulls, tool, user
from support.replies import body

COPILOT = {"User-Agent": "GitHubCopilotChat/0.41.0", "Authorization": "Bearer"}
EXTENSION = {
    "Accept": "application/json",
    "Content-Type": "application/json",
    "User-Agent": "ollama-js/0.6.3 (x64 linux Node.js/v22.19.0)",
}
SMALLEST_CONTEXT = 65536  # below it the extension of Ollama for VS Code tells people that it is small
INTEGERS = ("size", "size_vram", "context_length")


def names(http: httpx.Client, **headers: str) -> list[str]:
    return [model["model"] for model in http.get("/api/tags", headers=headers).json()["models"]]


def test_vs_code_copilot(http: httpx.Client) -> None:
    """Version, tags, then show of each: the context by the architecture, a name of its own, an array of abilities."""
    version = http.get("/api/version", headers=COPILOT).json()["version"]
    assert [*map(int, version.split("."))] >= [0, 6, 4]
    picked = {}
    for name in names(http, **COPILOT):
        shown = http.post("/api/show", json={"model": name}, headers=COPILOT).json()
        info = shown["model_info"]
        picked[info.get("general.basename", name)] = info[f"{info['general.architecture']}.context_length"]
        assert isinstance(shown["capabilities"], list)
    assert {*picked} == {*names(http)}  # no name twice
    assert {*picked.values()} == {8192}


def test_vs_code_copilot_chat(http: httpx.Client) -> None:
    """It chats by a route that is not served: a clean 404, as the real server gives for what it does not have."""
    request = {"model": "demo", "messages": [user("Hi")], "stream": True, "stream_options": {"include_usage": True}}
    response = http.post("/v1/chat/completions", json=request, headers=COPILOT)
    assert (response.status_code, response.text) == (404, "404 page not found")
    assert response.headers["content-type"] == "text/plain"


def test_ollama_extension(http: httpx.Client) -> None:
    """Version, list, recommendations that may be missing, show of each, then ps beside a streamed chat."""
    assert http.get("/api/version", headers=EXTENSION).status_code == 200
    assert http.get("/api/experimental/model-recommendations", headers=EXTENSION).status_code in (200, 404)
    for name in names(http, **EXTENSION):
        shown = http.post("/api/show", json={"model": name}, headers=EXTENSION)
        assert shown.status_code == 200
        no_nulls(shown.json())
    request = {"model": "demo:latest", "messages": [user("Hi")], "stream": True, "options": {}}
    assert content(chunks(http.post("/api/chat", json=request, headers=EXTENSION))).startswith("You said: Hi")
    running = {model["name"]: model for model in http.get("/api/ps", headers=EXTENSION).json()["models"]}
    assert all(type(running["demo:latest"][key]) is int for key in INTEGERS)


async def test_ollama_extension_context() -> None:
    """It nags below 65536: what ps says is what the backend told, not a default that is too small."""
    async with facing(ABLE, LLAMA) as proxy:
        for model in ("able", "llama-3.2"):
            await ask(proxy, "/api/generate", model=model)
        running = {model["name"]: model for model in (await proxy.ask("GET", "/api/ps")).json["models"]}
        assert running["able:latest"]["context_length"] >= SMALLEST_CONTEXT
        assert running["llama-3.2:latest"]["context_length"] == 16384


def test_zed(http: httpx.Client) -> None:
    """All details are texts, each show succeeds, and calls have ids that come back."""
    for model in http.get("/api/tags").json()["models"]:
        details = model["details"]
        for key in ("parent_model", "format", "family", "parameter_size", "quantization_level"):
            assert isinstance(details[key], str)
        assert isinstance(details["families"], list)
        assert 0 <= model["size"] < 2**64
        shown = http.post("/api/show", json={"model": model["name"]}, headers={"Authorization": "Bearer key"})
        assert shown.status_code == 200
        assert isinstance(shown.json()["capabilities"], list)
    turns: list[dict[str, Any]] = [
        {"role": "system", "content": "Edit."},
        {"role": "user", "content": "Call read_file for Readme.", "images": None},
    ]
    request = {
        "model": "demo:latest",
        "messages": turns,
        "stream": True,
        "keep_alive": -1,
        "think": None,
        "options": {"num_ctx": 8192, "stop": [], "temperature": 1.0},
        "tools": [tool("read_file", "path")],
    }
    (call,) = calls(chunks(http.post("/api/chat", json=request)))
    turns += [
        {"role": "assistant", "content": "", "tool_calls": [call], "images": None, "thinking": None},
        {"role": "tool", "tool_name": "read_file", "content": "# Title", "tool_call_id": call["id"]},
    ]
    assert content(chunks(http.post("/api/chat", json=request))) == "The tool said: # Title"


async def test_zed_hides_all_if_one_fails() -> None:
    """Each listed model is shown, whatever the backend says or does not say of it: one that fails hides all."""
    odd = [{"id": "a/b/c:d"}, {"id": "UPPER"}, {"id": "sp ace"}, {"id": "é"}, {"id": "x" * 200}, {"id": "@cf/m"}]
    async with facing(*odd, ABLE, PLAIN) as proxy:
        listed = (await proxy.ask("GET", "/api/tags")).json["models"]
        assert len(listed) == len(odd) + 2
        for model in listed:
            assert (await ask(proxy, "/api/show", model=model["name"])).status == 200


def test_jetbrains(http: httpx.Client) -> None:
    """AI Assistant takes the URL of the server: it asks for tags and show, and chats in a stream."""
    for model in http.get("/api/tags").json()["models"]:
        assert model["name"] == model["model"]
        assert http.post("/api/show", json={"name": model["name"]}).status_code == 200
    request = {"model": "demo:latest", "messages": [user("Hi")], "stream": True, "options": {"temperature": 0.2}}
    parts = chunks(http.post("/api/chat", json=request))
    assert content(parts).startswith("You said: Hi")


async def test_jetbrains_proxyai() -> None:
    """The plugin ProxyAI fills in the middle: raw, with a suffix, not streamed."""
    async with facing() as proxy:
        proxy.upstream.script("m", body(TEXT))
        fields: dict[str, Any] = {
            "prompt": "def f(",
            "suffix": "):",
            "stream": False,
            "raw": True,
            "options": {"stop": ["\n\n"]},
        }
        reply = await ask(proxy, "/api/generate", **fields)
        assert (reply.status, reply.json["response"]) == (200, "completion")
        (request,) = proxy.upstream.posts
        assert (request.path, request.json["suffix"]) == ("/v1/completions", "):")


def test_continue_selects(http: httpx.Client) -> None:
    """It shows by `name`: `parameters` are lines of a key and a value, `num_ctx` a number, stops in quotes."""
    parameters = {"num_ctx": 4096, "stop": ["<|end|>", '"']}
    made = {"model": "continued", "from": "demo", "parameters": parameters, "stream": False}
    assert http.post("/api/create", json=made).json() == {"status": "success"}
    shown = http.post("/api/show", json={"name": "continued"}, headers={"Authorization": "Bearer undefined"}).json()
    http.request("DELETE", "/api/delete", json={"name": "continued"})
    found: dict[str, list[str]] = {}
    for line in shown["parameters"].split("\n"):
        key, value = line.split(maxsplit=1)
        found.setdefault(key, []).append(value)
    assert found["num_ctx"] == ["4096"]
    assert [json.loads(value) for value in found["stop"]] == ["<|end|>", '"']


async def test_continue_fills_in() -> None:
    """It fills in the middle only where the template has `.Suffix`, which is where `insert` is listed and works."""
    async with facing(ABLE, {"id": "m"}) as proxy:
        proxy.upstream.script("m", body(TEXT))
        for model in ("able", "m"):
            shown = (await ask(proxy, "/api/show", model=model)).json
            assert (".Suffix" in shown["template"]) == ("insert" in shown["capabilities"])
        request: dict[str, Any] = {"prompt": "a", "suffix": "b", "raw": True, "stream": False, "keep_alive": 1800}
        reply = await ask(proxy, "/api/generate", "Authorization: Bearer undefined", **request)
        assert (reply.status, reply.json["response"]) == (200, "completion")


def test_continue_tail(http: httpx.Client) -> None:
    """It drops what comes after the last line break, and reads a `type` at the top as another protocol."""
    request = {"model": "demo", "messages": [user("Hi")], "stream": True, "keep_alive": 1800}
    for path, more in (("/api/chat", {}), ("/api/generate", {"prompt": "Hi", "raw": True})):
        response = http.post(path, json={**request, **more})
        assert response.text.endswith("\n")
        assert not any("type" in json.loads(line) for line in response.text.splitlines())


@pytest.mark.parametrize("found", ["name", "model"])
def test_cline_and_roo(http: httpx.Client, found: str) -> None:
    """They list by `name` or `model`, show all, and drop those without `tools`."""
    listed = [model[found] for model in http.get("/api/tags").json()["models"]]
    able = [name for name in listed if "tools" in http.post("/api/show", json={"model": name}).json()["capabilities"]]
    assert {"demo:latest", "demo-think:latest", "acme/demo:free"} <= {*able}
    assert "demo-embed:latest" not in able
