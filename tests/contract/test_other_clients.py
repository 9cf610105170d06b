"""Clients that can't be installed here: the requests that they send, replayed, and what each needs of the answer.

What they send and where they break was read in their sources: docs of the Ollama CLI, Home Assistant, Open WebUI,
LiteLLM, LangChain.js, the Vercel AI SDK, Spring AI and gptel. Editors are in test_editors.py.
"""

import json
import re
import time
from contextlib import closing
from http.client import HTTPConnection
from typing import Any

import httpx
import pytest

from contract.running import Proxy
from contract.wire import COUNTERS, DOT, TIME, calls, chunks, content, no_nulls, tool, user

# What Go's client sends for what is not set.
GO_SHOW = {"model": "", "system": "", "template": "", "verbose": False, "options": None}
GO_UNSET: dict[str, Any] = {"suffix": "", "system": "", "template": "", "context": None, "options": {}}
GO = {"Accept": "application/x-ndjson", "Content-Type": "application/json", "User-Agent": "ollama/0.14.0 (amd64 linux)"}
WEATHER = tool("get_weather", "city")


def tags(http: httpx.Client) -> list[dict[str, Any]]:
    response = http.get("/api/tags")
    assert (response.status_code, [*response.json()]) == (200, ["models"])
    models: list[dict[str, Any]] = response.json()["models"]
    return models


def running(http: httpx.Client) -> dict[str, dict[str, Any]]:
    return {model["name"]: model for model in http.get("/api/ps").json()["models"]}


@pytest.mark.parametrize("path", ["/", "/api/version", "/api/tags"])
def test_cli_head(http: httpx.Client, path: str) -> None:
    """The CLI begins each command with HEAD / and stops unless it is 200 (R2); a query is none of our business."""
    response = http.head(path, params={"ts": "1764000000"})
    assert (response.status_code, response.content) == (200, b"")


def test_alive(http: httpx.Client) -> None:
    """Page Assist and AnythingLLM look for the sentence at the root."""
    response = http.get("/")
    assert (response.status_code, response.text) == (200, "Ollama is running")
    assert response.headers["content-type"] == "text/plain; charset=utf-8"


def test_cli_list(http: httpx.Client) -> None:
    """`ollama list` cuts twelve digits off each digest, and panics when there are fewer."""
    for model in tags(http):
        assert re.fullmatch("[0-9a-f]{64}", model["digest"])
        assert model["name"] == model["model"]
        assert isinstance(model["size"], int)


@pytest.mark.parametrize(
    "body", [{**GO_SHOW, "name": "demo"}, {**GO_SHOW, "model": "demo", "name": ""}], ids=["name", "model"]
)
def test_cli_show(http: httpx.Client, body: dict[str, Any]) -> None:
    """`ollama show` sends `model` and `name`, one of them empty: the other counts."""
    shown = http.post("/api/show", json=body, headers=GO)
    assert shown.status_code == 200
    assert {"completion", "tools"} <= {*shown.json()["capabilities"]}
    assert isinstance(shown.json()["details"], dict)
    no_nulls(shown.json())


def test_cli_run(http: httpx.Client) -> None:
    """`ollama run` shows the model, loads it by a prompt that is empty, then chats with all fields, unset ones too."""
    assert http.post("/api/show", json={**GO_SHOW, "name": "nope"}, headers=GO).status_code == 404  # it would pull
    load = http.post("/api/generate", json={"model": "demo", "prompt": "", **GO_UNSET}, headers=GO).json()
    assert (load["done"], load["done_reason"], load["response"]) == (True, "load", "")
    history = [
        user("Hi", images=None, tool_calls=None),
        {"role": "assistant", "content": "Hello", "thinking": ""},
        user("Hello"),
    ]
    chat: dict[str, Any] = {
        "model": "demo",
        "messages": history,
        "stream": None,
        "format": None,
        "options": {},
        "think": None,
    }
    assert content(chunks(http.post("/api/chat", json=chat, headers=GO))).startswith("You said: Hello")
    assert "demo:latest" in running(http)


def test_cli_preload_of_a_chat(http: httpx.Client) -> None:
    """A chat of which the messages are null only loads."""
    reply = http.post("/api/chat", json={"model": "demo", "messages": None, "options": None}, headers=GO).json()
    assert (reply["message"], reply["done"], reply["done_reason"]) == (
        {"role": "assistant", "content": ""},
        True,
        "load",
    )


def test_cli_ps_and_stop(http: httpx.Client) -> None:
    """`ollama ps` makes columns of what is loaded, `ollama stop` unloads it by a time of "0s"."""
    http.post("/api/generate", json={"model": "Demo-Large", "prompt": "", "keep_alive": "5m0s"}, headers=GO)
    entry = running(http)["Demo-Large:latest"]
    assert len(entry["digest"]) >= 12
    assert all(type(entry[key]) is int for key in ("size", "size_vram", "context_length"))
    assert TIME.fullmatch(entry["expires_at"])
    http.post("/api/show", json={**GO_SHOW, "name": "Demo-Large"}, headers=GO)
    stop = {"model": "Demo-Large", "prompt": "", **GO_UNSET, "keep_alive": "0s"}
    assert http.post("/api/generate", json=stop, headers=GO).json()["done_reason"] == "unload"
    assert "Demo-Large:latest" not in running(http)


def test_home_assistant(http: httpx.Client) -> None:
    """Home Assistant gives a list five seconds, walks arguments as an object, and sends results without any id."""
    started = time.monotonic()
    assert "demo:latest" in [model["model"] for model in tags(http)]
    assert time.monotonic() - started < 5
    ask: dict[str, Any] = {
        "model": "demo",
        "messages": [{"role": "system", "content": "You are a home."}, user("Call HassTurnOn for Kitchen.")],
        "tools": [tool("HassTurnOn", "name"), tool("HassTurnOff", "name")],
        "stream": True,
        "think": False,
        "options": {"num_ctx": 8192},
        "keep_alive": "-1s",
    }
    (call,) = calls(chunks(http.post("/api/chat", json=ask)))
    assert call["function"]["arguments"] == {"name": "Kitchen"}
    function = {"name": "HassTurnOn", "arguments": {"name": "Kitchen"}}
    turn = [
        {"role": "assistant", "tool_calls": [{"function": function}]},
        {"role": "tool", "content": '{"done": true}'},
    ]
    answered = chunks(http.post("/api/chat", json={**ask, "messages": [*ask["messages"], *turn]}))
    assert content(answered) == 'The tool said: {"done": true}'
    assert int(running(http)["demo:latest"]["expires_at"][:4]) > 2300


def test_open_webui(http: httpx.Client) -> None:
    """Open WebUI makes numbers of the version's parts, reads only application/json, and unloads by a time of 0."""
    version = http.get("/api/version", headers={"Authorization": "Bearer"})
    assert [*version.json()] == ["version"]
    parts = [int(part) for part in re.sub(r"^v|-.*", "", version.json()["version"]).split(".")]
    assert len(parts) == 3
    assert parts >= [0, 14, 0]  # R11
    for path in ("/api/version", "/api/tags", "/api/ps"):
        assert http.get(path).headers["content-type"].startswith("application/json")
    assert all(model["name"] and model["model"] for model in tags(http))
    last = chunks(http.post("/api/chat", json={"model": "demo", "messages": [user("Hello")]}))[-1]
    assert all(int(last[counter]) > 0 for counter in COUNTERS)
    unload = http.post("/api/generate", json={"model": "demo", "keep_alive": 0, "prompt": ""})
    assert unload.json()["done_reason"] == "unload"
    assert "demo:latest" not in running(http)


def test_litellm(http: httpx.Client) -> None:
    """LiteLLM names no content type, sends lists that are empty, and looks for `tools` in the template."""
    body = {"model": "demo", "messages": [user("Hello", images=[])], "tools": [], "options": {}, "stream": False}
    request = http.build_request("POST", "/api/chat", content=json.dumps(body).encode())
    assert "content-type" not in request.headers
    reply = http.send(request)
    assert reply.headers["content-type"].startswith("application/json")
    assert reply.json()["done"] is True
    assert reply.json()["message"]["content"].startswith("You said: Hello")
    templates = {
        name: http.post("/api/show", json={"name": name}).json()["template"] for name in ("demo", "demo-embed")
    }
    assert "tools" in templates["demo"].lower()
    assert "tools" not in templates["demo-embed"].lower()


@pytest.mark.parametrize(
    "content_type", ["application/x-www-form-urlencoded", "text/plain", "application/octet-stream", "application/json"]
)
def test_content_types(http: httpx.Client, content_type: str) -> None:
    """`curl -d` calls JSON a form, others call it text: it is read all the same (R1)."""
    body = json.dumps({"model": "demo", "messages": [user("Hello")]}).encode()
    response = http.post(
        "/api/chat", content=body, headers={"Content-Type": content_type, "Accept": "application/json"}
    )
    assert content(chunks(response)).startswith("You said: Hello")


def test_langchain_js(http: httpx.Client) -> None:
    """LangChain.js sends images as turns of their own without text, and results that name neither id nor tool."""
    images = [user("What is this?"), user("", images=[DOT])]
    seen = content(chunks(http.post("/api/chat", json={"model": "demo", "messages": images, "stream": True})))
    assert "I see 1 image: image/png, 70 bytes." in seen
    messages = [user("Call get_weather for Paris and get_weather for Oslo.")]
    ask = {"model": "demo", "messages": messages, "tools": [WEATHER], "stream": True}
    found = calls(chunks(http.post("/api/chat", json=ask)))
    turn = [
        {"role": "assistant", "content": "", "tool_calls": [{"function": call["function"]} for call in found]},
        {"role": "tool", "content": "rain"},
        {"role": "tool", "content": "snow"},
    ]
    answered = chunks(http.post("/api/chat", json={**ask, "messages": [*messages, *turn]}))
    assert content(answered) == "The tool said: rain\nThe tool said: snow"


def test_vercel(http: httpx.Client) -> None:
    """The Vercel AI SDK sends `think: false` and keys that Ollama does not know, and checks every field."""
    extras = {"temperature": 0.5, "top_p": 1, "max_output_tokens": 100, "think": False}
    parts = chunks(http.post("/api/chat", json={"model": "demo-think", "messages": [user("Hello")], **extras}))
    assert content(parts).startswith("You said: Hello")
    assert not any("thinking" in part["message"] for part in parts)
    embedded = http.post("/api/embed", json={"model": "demo-embed", "input": ["a boat", "tea"]}).json()
    assert [*embedded] == ["model", "embeddings", "total_duration", "load_duration", "prompt_eval_count"]
    assert embedded["prompt_eval_count"] == 3
    no_nulls(embedded)


def test_spring(http: httpx.Client) -> None:
    """Spring AI makes Instants of all times, and selects its decoder by the media type of streams."""
    headers = {"Accept": "application/x-ndjson", "Content-Type": "application/json"}
    chunks(http.post("/api/chat", json={"model": "demo", "messages": [user("Hello")], "stream": True}, headers=headers))
    assert all(TIME.fullmatch(model["modified_at"]) for model in tags(http))
    assert all(TIME.fullmatch(model["expires_at"]) for model in running(http).values())
    assert TIME.fullmatch(http.post("/api/show", json={"model": "demo"}).json()["modified_at"])
    for path, body in (("/api/generate", {"prompt": "Hello"}), ("/api/chat", {"messages": []})):
        reply = http.post(path, json={"model": "demo", "stream": False, **body}).json()
        assert TIME.fullmatch(reply["created_at"])


def test_gptel(http: httpx.Client) -> None:
    """gptel sends a null for the content of a turn that only called tools."""
    function = {"name": "get_weather", "arguments": {"city": "Paris"}}
    messages = [
        user("Weather?"),
        {"role": "assistant", "content": None, "tool_calls": [{"function": function}]},
        {"role": "tool", "content": "rain"},
    ]
    body = {"model": "demo", "messages": messages, "tools": [WEATHER]}
    assert content(chunks(http.post("/api/chat", json=body))) == "The tool said: rain"


@pytest.mark.parametrize("key", ["Bearer default-key", "Bearer ", "Bearer undefined", "Basic dTpw"])
def test_placeholder_keys(proxy: Proxy, key: str) -> None:
    """A key that a client sends by habit is no reason to refuse it, not even an empty one (R17)."""
    with closing(HTTPConnection(proxy.url.partition("//")[2])) as connection:
        connection.request("GET", "/api/tags", headers={"Authorization": key})
        assert connection.getresponse().status == 200


@pytest.mark.parametrize("path", ["/api/unknown", "/v1/systemone", "/nope", "/api/web_search"])
def test_unknown_path(http: httpx.Client, path: str) -> None:
    """What is not served is a plain 404: LM Studio's 200 for everything misleads clients (contract 1.2)."""
    response = http.get(path)
    assert (response.status_code, response.text) == (404, "404 page not found")
    assert response.headers["content-type"] == "text/plain"


def test_wrong_method(http: httpx.Client) -> None:
    """What is served to another method is a 405 that names it (contract 1.2, 5.18)."""
    response = http.get("/api/experimental/web_search")
    assert (response.status_code, response.text) == (405, "405 method not allowed")
    assert (response.headers["content-type"], response.headers["allow"]) == ("text/plain", "POST")


def test_one_chunk_for_each_line(http: httpx.Client) -> None:
    """A stream is not compressed or held back, whatever the client could take (R4)."""
    body = {"model": "demo", "messages": [user("Hello")]}
    response = http.post("/api/chat", json=body, headers={"Accept-Encoding": "gzip, deflate, br"})
    chunks(response)
    assert response.headers["cache-control"] == "no-cache"
    assert response.headers["x-accel-buffering"] == "no"
    assert "content-length" not in response.headers
