"""Libraries that can't be installed here, replayed with what their types demand (clients.md 2.5, 2.25 to 2.30)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import httpx
import pytest

from contract.wire import COUNTERS, TIME, calls, chunks, content, no_nulls, tool, user

HELLO = {"messages": [user("Hello")]}
# What the Vercel provider's schemas (ollama-ai-provider-v2) allow for each member of a chunk; one with ? may be absent.
VERCEL: Mapping[str, type | tuple[type, ...]] = {
    "model": str,
    "created_at": str,
    "done": bool,
    "message": dict,
    "done_reason?": str,
    "eval_count?": int,
    "eval_duration?": int,
    "load_duration?": int,
    "prompt_eval_count?": int,
    "prompt_eval_duration?": int,
    "total_duration?": int,
}
VERCEL_MESSAGE: Mapping[str, type | tuple[type, ...]] = {
    "role": str,
    "content": str,
    "thinking?": str,
    "tool_name?": str,
    "images?": list,
    "tool_calls?": list,
}


def fits(value: Mapping[str, Any], schema: Mapping[str, type | tuple[type, ...]]) -> None:
    """Check the members that a schema names: of their type, and absent rather than null."""
    for name, kind in schema.items():
        key = name.rstrip("?")
        if key in value:
            assert isinstance(value[key], kind), key
        else:
            assert name.endswith("?"), key


def stream(http: httpx.Client, path: str, **body: Any) -> list[dict[str, Any]]:
    response = http.post(path, json={"model": "demo", "stream": True, **body})
    assert response.status_code == 200, response.text
    return [json.loads(line) for line in response.text.splitlines()]


def test_ollama4j(http: httpx.Client) -> None:
    """The version has one key, the list one key, and each name a colon to be split at; no line is blank."""
    assert [*http.get("/api/version").json()] == ["version"]
    tags = http.get("/api/tags").json()
    assert [*tags] == ["models"]
    for model in tags["models"]:
        assert model["name"].split(":")[1]
        assert datetime.fromisoformat(model["modified_at"][:19])
    lines = http.post("/api/chat", json={"model": "demo", **HELLO}).text.split("\n")
    assert all(lines[:-1])


def test_ollama4j_keeps_the_last_calls(http: httpx.Client) -> None:
    """It keeps the calls of the last chunk that has any: all of a turn are in one."""
    messages = [user("Call get_weather for Paris and get_weather for Oslo.")]
    parts = stream(http, "/api/chat", messages=messages, tools=[tool("get_weather", "city")])
    last = [part["message"]["tool_calls"] for part in parts if part["message"].get("tool_calls")][-1]
    assert [call["function"]["arguments"]["city"] for call in last] == ["Paris", "Oslo"]


def test_ollama_rs(http: httpx.Client) -> None:
    """`tool_calls` is an array or absent, and the last chunk has all six counters or its data are lost."""
    parts = stream(http, "/api/chat", **HELLO)
    assert not any(part["message"].get("tool_calls", []) is None for part in parts)
    assert all(type(parts[-1][counter]) is int for counter in COUNTERS)
    lines = stream(http, "/api/generate", prompt="Hello")
    assert all(type(lines[-1][counter]) is int for counter in COUNTERS)


def test_llm_ollama(http: httpx.Client) -> None:
    """It joins models that share a digest, and remembers abilities by it: unique, stable, new when a model changes."""
    tags = {model["name"]: model["digest"] for model in http.get("/api/tags").json()["models"]}
    assert len({*tags.values()}) == len(tags)
    assert tags == {model["name"]: model["digest"] for model in http.get("/api/tags").json()["models"]}
    for name in tags:
        shown = http.post("/api/show", json={"model": name}).json()
        assert isinstance(shown["model_info"], dict)
        assert isinstance(shown["capabilities"], list)


def test_digest_of_a_made_model(http: httpx.Client) -> None:
    """A model that was made has a digest of its own, also where nothing but its name differs."""
    http.post("/api/copy", json={"source": "demo", "destination": "same-1"})
    http.post("/api/copy", json={"source": "demo", "destination": "same-2"})
    digests = [model["digest"] for model in http.get("/api/tags").json()["models"]]
    for name in ("same-1", "same-2"):
        assert http.request("DELETE", "/api/delete", json={"model": name}).status_code == 200
    assert len({*digests}) == len(digests)


@pytest.mark.parametrize("model", ["demo", "demo-think"])
def test_vercel_v2(http: httpx.Client, model: str) -> None:
    """Each member that is there has its type: absent, never null; `think: false` comes with every chat."""
    asked = {"model": model, **HELLO, "think": False, "temperature": 0, "top_p": 1, "max_output_tokens": 50}
    for part in stream(http, "/api/chat", **asked):
        fits(part, VERCEL)
        fits(part["message"], VERCEL_MESSAGE)
        assert part["message"]["role"] == "assistant"
    whole = http.post("/api/chat", json={**asked, "stream": False}).json()
    fits(whole, VERCEL)
    fits(whole["message"], VERCEL_MESSAGE)
    found = http.post(
        "/api/chat", json={"model": model, "messages": [user("Call f for A.")], "tools": [tool("f", "a")]}
    )
    for call in calls(chunks(found)):
        fits(call, {"id?": str, "function": dict})
        fits(call["function"], {"name": str, "arguments": dict})


def test_vercel_v2_embeddings(http: httpx.Client) -> None:
    """An answer with vectors has all five members."""
    found = http.post("/api/embed", json={"model": "demo-embed", "input": ["a", "b"]}).json()
    counts = {"total_duration": int, "load_duration": int, "prompt_eval_count": int}
    fits(found, {"model": str, "embeddings": list, **counts})


@pytest.mark.parametrize("model", ["demo", "demo:latest"])
def test_langchain(http: httpx.Client, model: str) -> None:
    """It compares `model` of the list with `x` or `x:latest`, sums counters over chunks, and reads a stream."""
    listed = [entry["model"] for entry in http.get("/api/tags").json()["models"]]
    assert model in listed or f"{model}:latest" in listed
    parts = stream(http, "/api/chat", **{**HELLO, "model": model})
    assert sum(part.get("eval_count", 0) for part in parts) == parts[-1]["eval_count"]
    assert parts[-1]["done_reason"] != "load"
    assert all(isinstance(part["message"]["content"], str) for part in parts)


def test_langchain_js_pulls(http: httpx.Client) -> None:
    """`checkOrPullModel` lists, and pulls by `name` until `success`."""
    progress = stream(http, "/api/pull", name="demo")
    assert progress[-1] == {"status": "success"}


def test_langchain4j(http: httpx.Client) -> None:
    """It joins arguments of calls with one index: each has its own; dates have an offset; a deletion is by `model`."""
    messages = [user("Call f for A and f for B and f for C.")]
    found = calls(
        chunks(http.post("/api/chat", json={"model": "demo", "messages": messages, "tools": [tool("f", "a")]}))
    )
    assert [call["function"]["index"] for call in found] == [0, 1, 2]
    assert TIME.fullmatch(http.post("/api/generate", json={"model": "demo"}).json()["created_at"])


def test_ollama_sharp(http: httpx.Client) -> None:
    """It makes an exception of its own of `does not support tools`, and reads errors as text."""
    response = http.post("/api/chat", json={"model": "demo-embed", **HELLO, "tools": [tool("f")]})
    assert response.status_code == 400
    assert isinstance(response.json()["error"], str)
    for method, path in (("GET", "/api/version"), ("GET", "/api/tags"), ("GET", "/api/ps")):
        assert http.request(method, path).status_code == 200


def test_spring_ai(http: httpx.Client) -> None:
    """Its decoder is chosen by application/x-ndjson; at its start it waits for the `success` of a pull."""
    headers = {"Accept": "application/x-ndjson, application/json"}
    pulled = http.post("/api/pull", json={"model": "demo", "insecure": False, "stream": True}, headers=headers)
    assert pulled.headers["content-type"] == "application/x-ndjson"
    assert json.loads(pulled.text.splitlines()[-1])["status"] == "success"
    for model in http.get("/api/tags").json()["models"]:
        assert TIME.fullmatch(model["modified_at"])


def test_gptel(http: httpx.Client) -> None:
    """It reads one object after another, and sends null for the content of a turn that only called."""
    body = http.post("/api/chat", json={"model": "demo", **HELLO}).text
    decoder, position, found = json.JSONDecoder(), 0, []
    while position < len(body):
        part, position = decoder.raw_decode(body, position)
        found.append(part)
        position += 1
    assert [part["done"] for part in found] == [False] * (len(found) - 1) + [True]
    turns = [
        user("Weather?"),
        {"role": "assistant", "content": None, "tool_calls": [{"function": {"name": "f", "arguments": {}}}]},
        {"role": "tool", "content": "rain"},
    ]
    parts = chunks(http.post("/api/chat", json={"model": "demo", "messages": turns, "tools": [tool("f")]}))
    assert content(parts) == "The tool said: rain"


def test_litellm(http: httpx.Client) -> None:
    """It shows by `name`: tools by the template's words, the context by the first key with `context_length`."""
    shown = http.post("/api/show", content=b'{"name": "demo"}').json()
    assert "tools" in shown["template"].lower()
    lengths = [value for key, value in shown["model_info"].items() if "context_length" in key]
    assert lengths == [8192]
    body = {"model": "demo", "prompt": "Hello", "images": [], "stream": False, "options": {}}
    reply = http.post("/api/generate", content=json.dumps(body).encode()).json()
    assert reply["done"] is True
    assert isinstance(reply["response"], str)


def test_llama_index(http: httpx.Client) -> None:
    """It iterates the items of model_info and takes `message.content` of every chunk, thoughts or not."""
    info = http.post("/api/show", json={"model": "demo-think"}).json()["model_info"]
    assert next(value for key, value in info.items() if "context_length" in key) == 8192
    parts = stream(http, "/api/chat", model="demo-think", **HELLO, think=True)
    assert all(isinstance(part["message"]["content"], str) for part in parts)
    found = http.post("/api/embed", json={"model": "demo-embed", "input": ["a", "b"], "options": {}}).json()
    assert len(found["embeddings"]) == 2


def test_codex(http: httpx.Client) -> None:
    """`--oss` needs three numbers of a version and the exact name in the tags, or it pulls until `success`."""
    version = tuple(map(int, http.get("/api/version").json()["version"].split(".")))
    assert len(version) == 3
    assert version >= (0, 13, 4)
    assert stream(http, "/api/pull")[-1]["status"] == "success"


def test_base_path(http: httpx.Client) -> None:
    """Doubled slashes of clients that join strings lead to the path or are unknown: never another page."""
    response = http.get("//api/tags")
    if response.status_code in (301, 307, 308):
        assert response.headers["location"] == "/api/tags"
    else:
        assert (response.status_code, response.text) == (404, "404 page not found")
    no_nulls(http.get("/api/tags").json())
