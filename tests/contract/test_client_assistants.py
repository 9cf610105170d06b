"""Assistants and web UIs that can't be installed here, replayed (clients.md 2.9, 2.10, 2.21 to 2.24, 2.30)."""

from __future__ import annotations

import json
import re
import time
from datetime import datetime
from typing import Any

import httpx
import pytest

from contract.wire import COUNTERS, DOT, TIME, calls, chunks, content, no_nulls, tool, user

# What the Python library 0.5.1, which Home Assistant pins, sends with each request.
HOME = {
    "Content-Type": "application/json",
    "Accept": "application/json",
    "User-Agent": "ollama-python/0.5.1 (x86_64 linux) Python/3.13.2",
}
EXTENSION = {"Origin": "chrome-extension://jfgfiigpkhlkbnfnbobbkinehhfdhndo"}


def bodies(response: httpx.Response) -> list[dict[str, Any]]:
    """The objects of a stream that may end in anything."""
    *lines, rest = response.text.split("\n")
    assert rest == ""
    return [json.loads(line) for line in lines]


def test_home_assistant_setup(http: httpx.Client) -> None:
    """The list comes within five seconds, and its entries have the shape that library 0.5.1 checks."""
    started = time.monotonic()
    response = http.get("/api/tags", headers=HOME)
    assert time.monotonic() - started < 5
    assert response.status_code == 200
    for model in response.json()["models"]:
        assert isinstance(model["model"], str)
        assert datetime.fromisoformat(model["modified_at"][:19])
        assert re.fullmatch("[0-9a-f]{64}", model["digest"])
        assert model["size"] >= 0
        details = model["details"]
        texts = ("parent_model", "format", "family", "parameter_size", "quantization_level")
        assert all(isinstance(details[key], str) for key in texts)
        assert isinstance(details["families"], list)


def test_home_assistant_downloads(http: httpx.Client) -> None:
    """A model that is chosen is pulled, not streamed: one object whose status is `success`, or an error."""
    body: dict[str, Any] = {"model": "demo", "insecure": False, "stream": False}
    pulled = http.post("/api/pull", json=body, headers=HOME)
    assert (pulled.status_code, pulled.json()) == (200, {"status": "success"})
    failed = http.post("/api/pull", json={**body, "model": "nope"}, headers=HOME)
    assert failed.status_code >= 400
    assert failed.json() == {"error": "pull model manifest: file does not exist"}


def test_home_assistant_conversation(http: httpx.Client) -> None:
    """Streamed with tools, `think` false, "-1s" and 8192: arguments as an object, results that name only the tool."""
    ask: dict[str, Any] = {
        "model": "demo",
        "messages": [{"role": "system", "content": "You are a voice assistant."}, user("Call HassTurnOn for Kitchen.")],
        "tools": [tool("HassTurnOn", "name"), tool("GetLiveContext")],
        "stream": True,
        "think": False,
        "options": {"num_ctx": 8192},
        "keep_alive": "-1s",
    }
    (call,) = calls(chunks(http.post("/api/chat", json=ask, headers=HOME)))
    assert call["function"]["arguments"] == {"name": "Kitchen"}
    made = {"role": "assistant", "tool_calls": [{"function": {"name": "HassTurnOn", "arguments": {"name": "Kitchen"}}}]}
    result = {"role": "tool", "content": '{"success": true}', "tool_name": "HassTurnOn"}
    ask["messages"] += [made, result]
    answered = chunks(http.post("/api/chat", json=ask, headers=HOME))
    assert content(answered) == 'The tool said: {"success": true}'
    running = {model["model"]: model for model in http.get("/api/ps", headers=HOME).json()["models"]}
    assert int(running["demo:latest"]["expires_at"][:4]) > 2200


def test_home_assistant_structured(http: httpx.Client) -> None:
    """A task with a structure sends its schema as `format`: the answer is JSON that fits."""
    schema = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}
    body = {"model": "demo", "messages": [user("Name Tom.")], "stream": True, "format": schema, "keep_alive": "-1s"}
    found = json.loads(content(chunks(http.post("/api/chat", json={**body, "tools": [], "think": False}))))
    assert [*found] == ["name"]


def test_open_webui(http: httpx.Client) -> None:
    """It makes numbers of the version, joins tags and ps by `model`, unloads by a generation of nothing, embeds."""
    version = http.get("/api/version").json()["version"]
    assert len([int(part) for part in re.sub(r"^v|-.*", "", version).split(".")]) == 3
    chunks(http.post("/api/chat", json={"model": "demo", "messages": [user("Hi")], "stream": True, "options": {}}))
    tags = {model["model"]: model for model in http.get("/api/tags").json()["models"]}
    for model in http.get("/api/ps").json()["models"]:
        assert model["model"] in tags
        assert int(datetime.fromisoformat(model["expires_at"][:19]).timestamp())
    unload = http.post("/api/generate", json={"model": "demo:latest", "keep_alive": 0, "prompt": ""})
    assert unload.json()["done_reason"] == "unload"
    assert "demo:latest" not in [model["model"] for model in http.get("/api/ps").json()["models"]]
    embedded = http.post("/api/embed", json={"model": "demo-embed", "input": ["a", "b"], "truncate": True}).json()
    assert len(embedded["embeddings"]) == 2


def test_open_webui_figures(http: httpx.Client) -> None:
    """What it shows of an answer is made by int() and division of the last chunk's counters."""
    last = chunks(http.post("/api/chat", json={"model": "demo", "messages": [user("Hi")]}))[-1]
    assert int(last["eval_count"]) / (int(last["eval_duration"]) / 1e9) > 0
    assert all(int(last.get(counter, 0) or 0) > 0 for counter in COUNTERS)


def test_open_webui_manages(http: httpx.Client) -> None:
    """Its settings create, copy, show and delete models: JSON while it creates, and errors by their text."""
    made = bodies(http.post("/api/create", json={"model": "webui", "from": "demo", "system": "Hi.", "stream": True}))
    assert made[-1] == {"status": "success"}
    assert http.post("/api/copy", json={"source": "webui", "destination": "webui-2"}).status_code == 200
    assert http.post("/api/show", json={"model": "webui-2"}).json()["system"] == "Hi."
    for name in ("webui", "webui-2"):
        assert http.request("DELETE", "/api/delete", json={"model": name}).status_code == 200
    gone = http.request("DELETE", "/api/delete", json={"model": "webui"})
    assert gone.json()["error"] == "model 'webui' not found"


def test_page_assist(http: httpx.Client) -> None:
    """A page's light is the root; families named bert are hidden; a stream is split at line breaks, each complete."""
    assert http.get("/", headers={"Accept": "*/*"}).status_code == 200
    for model in http.get("/api/tags").json()["models"]:
        if "embedding" not in model["capabilities"]:
            assert not {"bert", "nomic-bert"} & {*(model["details"]["families"] or ())}
    generated = http.post("/api/generate", json={"model": "demo", "prompt": "Hi", "stream": True, "options": {}})
    assert "".join(line["response"] for line in bodies(generated)).startswith("You said: Hi")
    pulled = bodies(http.post("/api/pull", json={"model": "demo", "stream": True}))
    assert all(line["status"] for line in pulled)
    assert http.post("/api/copy", json={"source": "demo", "destination": "page"}).status_code == 200
    assert http.request("DELETE", "/api/delete", json={"name": "page"}).status_code == 200


def test_page_assist_origin(http: httpx.Client) -> None:
    """The origin of an extension is not among Ollama's own: 403, and OLLAMA_ORIGINS allows it (contract 1.5)."""
    refused = http.get("/api/tags", headers=EXTENSION)
    assert (refused.status_code, refused.content) == (403, b"")


def test_anything_llm(http: httpx.Client) -> None:
    """All models are shown at once: `capabilities.includes` and a context; the speed is eval_count by eval_duration."""
    assert http.get("/").status_code == 200
    for model in http.get("/api/tags").json()["models"]:
        shown = http.post("/api/show", json={"model": model["name"]}).json()
        assert isinstance(shown["capabilities"], list)
        assert ("embedding" in shown["capabilities"]) == (model["name"] == "demo-embed:latest")
        assert [value for key, value in shown["model_info"].items() if key.endswith(".context_length")] == [8192]
    body = {
        "model": "demo-think",
        "messages": [user("Hi")],
        "stream": True,
        "keep_alive": 300,
        "options": {"num_ctx": 8192},
    }
    parts = chunks(http.post("/api/chat", json=body))
    assert parts[-1]["eval_count"] / (parts[-1]["eval_duration"] / 1e9) > 0
    assert parts[-1]["message"]["content"] == ""  # it ignores what the last chunk says


def test_lobehub(http: httpx.Client) -> None:
    """It lists, chats, embeds each text by the older route, and waits for `success` of a pull."""
    assert http.get("/api/tags").json()["models"]
    for text in ("a boat", "tea"):
        vector = http.post("/api/embeddings", json={"model": "demo-embed", "prompt": text}).json()
        assert [*vector] == ["embedding"]
        assert len(vector["embedding"]) == 64
    progress = bodies(http.post("/api/pull", json={"name": "demo", "stream": True, "insecure": False}))
    assert progress[-1]["status"] == "success"
    assert all(line["completed"] <= line["total"] for line in progress if "completed" in line)


def test_smart_connections(http: httpx.Client) -> None:
    """It ends a stream at the first text with "done_reason", and wants the vectors' length of an embedder."""
    body = {"model": "demo", "messages": [user("Hi")], "stream": True}
    response = http.post("/api/chat", json=body)
    assert "done_reason" not in response.text.rpartition('"done":false')[0]
    shown = http.post("/api/show", json={"model": "demo-embed"}).json()
    assert "embedding" in shown["capabilities"]
    assert [value for key, value in shown["model_info"].items() if key.endswith(".context_length")] == [8192]


def test_frigate(http: httpx.Client) -> None:
    """It shows its model for `thinking`, then describes pictures: a generation with several images, in JSON."""
    assert "thinking" not in http.post("/api/show", json={"model": "demo"}).json()["capabilities"]
    body = {"model": "demo", "prompt": "Describe.", "images": [DOT, DOT, DOT], "stream": False, "keep_alive": "1h"}
    assert "I see 3 images" in http.post("/api/generate", json=body).json()["response"]


def test_dify(http: httpx.Client) -> None:
    """It splits at line breaks and stops at `done`; a generation has its `response` as text in each line."""
    body = {"model": "demo", "prompt": "Hi", "images": [], "stream": True, "options": {"num_ctx": 4096}}
    lines = bodies(http.post("/api/generate", json=body))
    assert all(isinstance(line["response"], str) for line in lines)
    assert [line["done"] for line in lines] == [False] * (len(lines) - 1) + [True]
    bad = http.post("/api/chat", json={"model": "nope", "messages": [user("Hi")], "stream": True})
    assert (bad.status_code, "not found" in bad.text) == (404, True)


@pytest.mark.parametrize("stream", [True, False])
def test_n8n(http: httpx.Client, stream: bool) -> None:
    """It tests a key with the tags, sends `tools: []`, and answers calls by `tool_name`."""
    headers = {"Authorization": "Bearer key"}
    assert http.get("/api/tags", headers=headers).status_code == 200
    turns: list[dict[str, Any]] = [user("Call get_weather for Paris.")]
    body = {"model": "demo", "messages": turns, "stream": stream, "tools": [], "options": {}}
    assert http.post("/api/chat", json=body).status_code == 200
    body["tools"] = [tool("get_weather", "city")]
    response = http.post("/api/chat", json=body)
    message = next(part for part in bodies_of(response) if part["message"].get("tool_calls"))["message"]
    body["messages"] = [*turns, message, {"role": "tool", "content": "rain", "tool_name": "get_weather"}]
    answer = "".join(part["message"]["content"] for part in bodies_of(http.post("/api/chat", json=body)))
    assert answer == "The tool said: rain"


def bodies_of(response: httpx.Response) -> list[dict[str, Any]]:
    """The objects of an answer, streamed or not."""
    return [json.loads(line) for line in response.text.split("\n") if line]


def test_nothing_is_null(http: httpx.Client) -> None:
    """What these clients read has no null in it, and dates in one form."""
    for path in ("/api/tags", "/api/ps", "/api/version"):
        no_nulls(http.get(path).json())
    for model in http.get("/api/tags").json()["models"]:
        shown = http.post("/api/show", json={"model": model["name"]}).json()
        no_nulls(shown)
        assert TIME.fullmatch(shown["modified_at"])
