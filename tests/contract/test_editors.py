"""Editors: the requests that they send, replayed, and what each needs of the answer (read in their sources)."""

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from contract.wire import calls, chunks, content, no_nulls, tool, user

COPILOT = {"User-Agent": "GitHubCopilotChat/0.41.0", "Authorization": "Bearer"}


def names(http: httpx.Client) -> list[str]:
    return [model["name"] for model in http.get("/api/tags").json()["models"]]


def show(http: httpx.Client, body: dict[str, Any], headers: dict[str, str] | None = None) -> dict[str, Any]:
    response = http.post("/api/show", json=body, headers=headers)
    assert response.status_code == 200
    shown: dict[str, Any] = response.json()
    no_nulls(shown)
    return shown


def test_vs_code(http: httpx.Client) -> None:
    """VS Code refuses versions below 0.6.4, then shows each model: its abilities, its context, its name."""
    version = http.get("/api/version", headers=COPILOT).json()["version"]
    assert tuple(map(int, version.split("."))) >= (0, 6, 4)
    listed = [model["model"] for model in http.get("/api/tags", headers=COPILOT).json()["models"]]
    shown = {name: show(http, {"model": name}, COPILOT) for name in listed}
    for name, model in shown.items():
        info = model["model_info"]
        assert info[f"{info['general.architecture']}.context_length"] == 8192
        assert info["general.basename"] == name  # what the picker shows: one name twice would be two equal rows
        assert isinstance(model["capabilities"], list)
    assert {"tools", "vision"} <= {*shown["demo:latest"]["capabilities"]}


def test_no_common_basename(http: httpx.Client) -> None:
    """Other clients get no basename: none is known, and one that models share would name them all alike."""
    assert "general.basename" not in show(http, {"model": "demo"})["model_info"]


def test_zed(http: httpx.Client) -> None:
    """Zed needs every string of `details`, a `show` of every model that is listed, and ids to answer calls by."""
    for model in http.get("/api/tags").json()["models"]:
        details = model["details"]
        assert all(
            isinstance(details[key], str) for key in ("format", "family", "parameter_size", "quantization_level")
        )
        assert all(isinstance(family, str) for family in details["families"])
        assert type(model["size"]) is int
        assert model["size"] >= 0
        info = show(http, {"model": model["name"]})["model_info"]
        assert [value for key, value in info.items() if key.endswith(".context_length")] == [8192]
    ask: dict[str, Any] = {
        "model": "demo:latest",
        "messages": [{"role": "system", "content": "Edit."}, user("Call read_file for README.")],
        "stream": True,
        "keep_alive": -1,
        "options": {"num_ctx": 8192, "stop": []},
        "think": None,
        "tools": [tool("read_file", "path")],
    }
    (call,) = calls(chunks(http.post("/api/chat", json=ask)))
    turn = [
        {"role": "assistant", "content": "", "tool_calls": [call], "images": None, "thinking": None},
        {"role": "tool", "tool_name": "read_file", "content": "# Title"},
    ]
    answered = chunks(http.post("/api/chat", json={**ask, "messages": [*ask["messages"], *turn]}))
    assert content(answered) == "The tool said: # Title"


def test_continue(http: httpx.Client) -> None:
    """Continue asks by `name`, splits `parameters` if there are any, and fills in the middle if `.Suffix` is named."""
    shown = show(http, {"name": "demo"}, {"Authorization": "Bearer undefined"})
    assert isinstance(shown.get("parameters", ""), str)
    assert ".Suffix" not in shown["template"]  # the demo does not say that it fills in, but does if it is asked
    body = {
        "model": "demo",
        "messages": [user("Hello")],
        "options": {"num_predict": 4096, "num_ctx": 8192, "stop": None},
        "keep_alive": 1800,
        "stream": True,
    }
    response = http.post("/api/chat", json=body, headers={"Authorization": "Bearer undefined"})
    assert content(chunks(response)).startswith("You said: Hello")
    middle = http.post("/api/generate", json={"model": "demo", "prompt": "def f(", "suffix": ")", "raw": True})
    lines = [json.loads(line) for line in middle.text.splitlines()]
    assert "".join(line["response"] for line in lines) == 'Between "def f(" and ")".'


def test_roo(http: httpx.Client) -> None:
    """Roo shows all models at once, drops those without `tools`, and takes the first context length."""
    for model in http.get("/api/tags").json()["models"]:
        assert isinstance(model["details"]["family"], str)
        assert isinstance(model["details"]["parameter_size"], str)
    with ThreadPoolExecutor(8) as pool:
        shown = dict(zip(names(http), pool.map(lambda name: show(http, {"model": name}), names(http)), strict=True))
    assert {"demo:latest", "demo-think:latest"} <= {
        name for name, model in shown.items() if "tools" in model["capabilities"]
    }
    assert "tools" not in shown["demo-embed:latest"]["capabilities"]
    lengths = [value for key, value in shown["demo:latest"]["model_info"].items() if "context_length" in key]
    assert lengths == [8192]
    results = [user("Use the tools."), {"role": "assistant", "content": "<read/>"}, user("[read] Result: ok")]
    reply = chunks(http.post("/api/chat", json={"model": "demo", "messages": results, "stream": True}))
    assert content(reply).startswith("You said: [read] Result: ok")


@pytest.mark.parametrize("think", [True, False])
def test_reasoning_switch(http: httpx.Client, think: bool) -> None:
    """Editors with a switch for reasoning send `think` either way, and read it beside the content (R8)."""
    body = {"model": "demo-think", "messages": [user("Hello")], "think": think}
    parts = chunks(http.post("/api/chat", json=body))
    assert any(part["message"].get("thinking") for part in parts) is think
    assert content(parts).startswith("You said: Hello")
