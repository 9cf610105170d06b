"""What Ollama's own integration tests assert (contract 12.1): one test for each row, named after the file.

section-12.md lists the rows that can't apply to a proxy. Where the words of an answer matter the test is in
test_section_12_backend.py, in front of a backend by script.
"""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from contract.wire import COUNTERS, DOT, DURATIONS, TIME, calls, chunks, content, tool, user

SKY = "Why is the sky blue? Be brief."


def lines(http: httpx.Client, path: str, **fields: Any) -> list[dict[str, Any]]:
    """The objects of an answer, streamed or not."""
    response = http.post(path, json=fields)
    assert response.status_code == 200, response.text
    return [httpx.Response(200, content=line).json() for line in response.text.split("\n") if line]


def running(http: httpx.Client) -> dict[str, dict[str, Any]]:
    return {model["name"]: model for model in http.get("/api/ps").json()["models"]}


@pytest.mark.parametrize("stream", [True, False])
def test_api_test_go_generate(http: httpx.Client, stream: bool) -> None:
    """Every line names the model, the last has a reason, durations, a count and a context; then ps lists the model."""
    parts = lines(
        http, "/api/generate", model="demo", prompt=SKY, stream=stream, options={"temperature": 0, "seed": 123}
    )
    assert all(part["model"] == "demo" and TIME.fullmatch(part["created_at"]) for part in parts)
    last = parts[-1]
    assert last["done"] is True
    assert last["done_reason"] == "stop"
    assert all(last[key] > 0 for key in (*DURATIONS, "eval_count"))
    assert last["context"]
    assert all(type(number) is int for number in last["context"])
    assert not any("context" in part for part in parts[:-1])
    assert "sky" in "".join(part["response"] for part in parts)
    entry = running(http)["demo:latest"]
    assert entry["model"] == "demo:latest"
    assert entry["digest"]
    assert TIME.fullmatch(entry["expires_at"])
    assert type(entry["size"]) is int
    assert {"format", "family", "parameter_size", "quantization_level"} <= {*entry["details"]}


@pytest.mark.parametrize("stream", [True, False])
def test_api_test_go_chat(http: httpx.Client, stream: bool) -> None:
    """As a generation but without a context, and with the tokens of the prompt and a date on the last line."""
    parts = lines(http, "/api/chat", model="demo", messages=[user(SKY)], stream=stream)
    last = parts[-1]
    assert all(part["model"] == "demo" and part["message"]["role"] == "assistant" for part in parts)
    assert (last["done"], last["done_reason"]) == (True, "stop")
    assert all(last[key] > 0 for key in COUNTERS)
    assert last["created_at"] > "2020"
    assert "context" not in last
    assert "sky" in content(parts)


def test_api_test_go_list(http: httpx.Client) -> None:
    """Each entry has a name, a date, a size and a digest, and four details that are texts."""
    for entry in http.get("/api/tags").json()["models"]:
        assert entry["name"]
        assert TIME.fullmatch(entry["modified_at"])
        assert type(entry["size"]) is int
        assert len(entry["digest"]) == 64
        details = [entry["details"][key] for key in ("format", "family", "parameter_size", "quantization_level")]
        assert all(isinstance(detail, str) for detail in details)


def test_api_test_go_show(http: httpx.Client) -> None:
    """A model that was made with a licence and parameters shows nine members, none of them empty."""
    parts = {"license": "MIT", "parameters": {"temperature": 0.5}, "system": "Be brief."}
    made = http.post("/api/create", json={"model": "shown-121", "from": "demo", "stream": False, **parts})
    assert (made.status_code, made.json()) == (200, {"status": "success"})
    shown = http.post("/api/show", json={"name": "shown-121"}).json()
    for key in ("license", "modelfile", "parameters", "template", "details", "model_info", "modified_at"):
        assert shown[key], key
    assert http.request("DELETE", "/api/delete", json={"model": "shown-121"}).status_code == 200


@pytest.mark.parametrize("path", ["/api/generate", "/api/chat"])
def test_api_test_go_logprobs(http: httpx.Client, path: str) -> None:
    """None unless asked for; tokens with their bytes, at most as many alternatives as asked for, best first."""
    ask = {"model": "demo", "prompt": SKY, "messages": [user(SKY)], "options": {"num_predict": 5}}
    assert not any("logprobs" in part for part in lines(http, path, **ask))
    for stream in (True, False):
        parts = lines(http, path, **ask, stream=stream, logprobs=True, top_logprobs=3)
        entries = [entry for part in parts for entry in part.get("logprobs", ())]
        assert entries
        for entry in entries:
            assert entry["token"]
            assert entry["logprob"] <= 0
            assert bytes(entry["bytes"]) == entry["token"].encode()
            others = [other["logprob"] for other in entry["top_logprobs"]]
            assert 0 < len(others) <= 3
            assert others == sorted(others, reverse=True)


def test_basic_test_go(http: httpx.Client) -> None:
    """Emoji and CJK go in and come out; `num_predict: 10` gives exactly ten entries of logprobs."""
    text = "😀 👩‍👩‍👧 日本語 한국어"
    assert text in content(chunks(http.post("/api/chat", json={"model": "demo", "messages": [user(text)]})))
    ask = {"model": "demo", "prompt": "Count to a hundred. " * 20, "logprobs": True, "options": {"num_predict": 10}}
    (part,) = lines(http, "/api/generate", **ask, stream=False)
    assert (len(part["logprobs"]), part["eval_count"], part["done_reason"]) == (10, 10, "length")


def test_context_test_go_over_long(http: httpx.Client) -> None:
    """A prompt beyond `num_ctx` is answered on topic, or refused with 4xx and `context` with one of four words."""
    ask = {"model": "demo", "prompt": "sky " * 500, "stream": False, "options": {"num_ctx": 128, "num_predict": 256}}
    response = http.post("/api/generate", json=ask)
    if response.status_code == 200:
        assert "sky" in response.json()["response"]
    else:
        error = response.json()["error"]
        assert 400 <= response.status_code < 500
        assert "context" in error
        assert any(word in error for word in ("exceed", "too large", "longer", "too long"))


def test_context_test_go_preload(http: httpx.Client) -> None:
    """An empty generation with `keep_alive` "10s" loads the model: ps lists it."""
    lines(http, "/api/generate", model="Demo-Large", keep_alive="10s")
    assert "Demo-Large:latest" in running(http)


def test_concurrency_test_go(http: httpx.Client) -> None:
    """Chats at once with several models are each answered, and ps lists all of those models."""
    names = ["demo", "acme/demo:free", "Demo-Large"] * 3
    with ThreadPoolExecutor(len(names)) as pool:
        asked = [
            pool.submit(http.post, "/api/chat", json={"model": name, "messages": [user(f"word{number}")]})
            for number, name in enumerate(names)
        ]
    for number, answer in enumerate(asked):
        assert content(chunks(answer.result())).startswith(f"You said: word{number}\n")
    assert {"demo:latest", "acme/demo:free", "Demo-Large:latest"} <= {*running(http)}


def test_embed_test_go(http: httpx.Client) -> None:
    """Vectors have length 1 and the order of the inputs, whatever `truncate` says; tokens add up over a batch."""
    texts = ["why is the sky blue?", "why is the grass green?"]
    single = http.post("/api/embed", json={"model": "demo-embed", "input": texts[0]}).json()
    for more in ({}, {"truncate": True}, {"truncate": False}):
        batch = http.post("/api/embed", json={"model": "demo-embed", "input": texts, **more}).json()
        assert batch["embeddings"][0] == pytest.approx(single["embeddings"][0])
        assert all(math.hypot(*vector) == pytest.approx(1) for vector in batch["embeddings"])
        assert batch["prompt_eval_count"] == 10
    assert single["prompt_eval_count"] == 5
    legacy = http.post("/api/embeddings", json={"model": "demo-embed", "prompt": texts[0]}).json()
    cosine = sum(a * b for a, b in zip(legacy["embedding"], single["embeddings"][0], strict=True))
    assert cosine / math.hypot(*legacy["embedding"]) > 0.99


def test_embed_cases_test_go(http: httpx.Client) -> None:
    """A large batch and a large input are embedded, each text once, in order."""
    many = [f"word{number % 7}" for number in range(300)]
    found = http.post("/api/embed", json={"model": "demo-embed", "input": many}).json()
    assert len(found["embeddings"]) == 300
    assert all(found["embeddings"][number] == found["embeddings"][number % 7] for number in range(300))
    assert found["prompt_eval_count"] == 300
    large = http.post("/api/embed", json={"model": "demo-embed", "input": "word " * 100_000}).json()
    assert (len(large["embeddings"]), large["prompt_eval_count"]) == (1, 100_000)


def test_llm_image_and_vision_test_go(http: httpx.Client) -> None:
    """An image in a chat, a second turn without one, and several at once."""
    first = [user("What is this?", images=[DOT])]
    ask: dict[str, Any] = {"model": "demo", "stream": False}
    reply = http.post("/api/chat", json={**ask, "messages": first}).json()
    assert "I see 1 image: image/png, 70 bytes." in reply["message"]["content"]
    second = [*first, reply["message"], user("And the colour?")]
    assert "And the colour?" in http.post("/api/chat", json={**ask, "messages": second}).json()["message"]["content"]
    several = http.post("/api/chat", json={**ask, "messages": [user("Compare.", images=[DOT, DOT])]}).json()
    assert "I see 2 images" in several["message"]["content"]
    generated = http.post("/api/generate", json={**ask, "prompt": "What is this?", "images": [DOT]}).json()
    assert "I see 1 image" in generated["response"]


@pytest.mark.parametrize("path", ["/api/generate", "/api/chat"])
def test_thinking_test_go(http: httpx.Client, path: str) -> None:
    """`think: true` gives thoughts and an answer without tags, `think: false` only the answer."""
    ask = {"model": "demo-think", "prompt": SKY, "messages": [user(SKY)], "stream": False}
    for think in (True, False):
        (part,) = lines(http, path, **ask, think=think)
        answer = part.get("message") or {"content": part["response"], "thinking": part.get("thinking")}
        assert "sky" in answer["content"]
        assert bool(answer.get("thinking")) is think
        assert "<think>" not in str(answer)
        assert "</think>" not in str(answer)
        assert part["done_reason"] == "stop"


def test_tools_test_go(http: httpx.Client) -> None:
    """A streamed chat calls `get_weather` with a `location`."""
    ask = {
        "model": "demo",
        "messages": [user("Call get_weather for Paris.")],
        "tools": [tool("get_weather", "location")],
    }
    (call,) = calls(chunks(http.post("/api/chat", json={**ask, "stream": True})))
    assert (call["function"]["name"], call["function"]["arguments"]) == ("get_weather", {"location": "Paris"})


def test_tools_stress_test_go(http: httpx.Client) -> None:
    """A long system prompt, forty tools, two turns of calls: each call is valid and none leaks into the text."""
    tools = [tool(f"tool_{number}", "path", "text") for number in range(40)]
    messages = [
        {"role": "system", "content": "You edit files. " * 2000},
        user("Call tool_7 for Readme and tool_31 for Makefile."),
    ]
    for expected in (["tool_7", "tool_31"], ["tool_12"]):
        parts = chunks(http.post("/api/chat", json={"model": "demo", "messages": messages, "tools": tools}))
        found = calls(parts)
        assert [call["function"]["name"] for call in found] == expected
        assert all({*call["function"]["arguments"]} == {"path", "text"} for call in found)
        assert content(parts) == ""
        messages += [{"role": "assistant", "content": "", "tool_calls": found}]
        messages += [{"role": "tool", "tool_name": call["function"]["name"], "content": "done"} for call in found]
        messages += [user("Call tool_12 for Readme.")]


def test_utils_test_go_do_chat(http: httpx.Client) -> None:
    """The role is taken from every line, so it is on each."""
    parts = lines(http, "/api/chat", model="demo", messages=[user(SKY)], stream=True)
    assert len(parts) > 2
    assert {part["message"]["role"] for part in parts} == {"assistant"}
