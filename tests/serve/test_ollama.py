"""Ollama's native routes, end to end (contract 5): what each answers, and in which order it refuses."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import pytest

from support.proxy import HELLO, Proxy, chat, proxied, running_proxy
from support.replies import HI, body, completion, delta, finish, streamed, usage
from support.scripted import Upstream

JSON = "application/json; charset=utf-8"
# What OpenRouter says of a model (https://openrouter.ai/docs/api-reference/list-available-models).
TEXT_ONLY = {
    "id": "plain",
    "supported_parameters": ["temperature"],
    "architecture": {"input_modalities": ["text"], "output_modalities": ["text"]},
}
EMBEDDER = {
    "id": "vectors",
    "supported_parameters": [],
    "architecture": {"input_modalities": ["text"], "output_modalities": ["embeddings"]},
}


@asynccontextmanager
async def with_models(*models: Mapping[str, object]) -> AsyncIterator[Proxy]:
    async with Upstream() as upstream:
        upstream.models = [dict(model) for model in models]
        async with running_proxy(upstream.url) as url:
            yield Proxy(url, upstream)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_root(method: str) -> None:
    """5.1, R2: `/` is plain text that clients look for, and answers HEAD."""
    async with proxied() as proxy:
        response = await proxy.ask(method, "/")
        assert response.status == 200
        assert response.all("content-type") == ["text/plain; charset=utf-8"]
        assert response.body == (b"" if method == "HEAD" else b"Ollama is running")


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_version(method: str) -> None:
    """5.2, R11: the version is exactly one key without a space."""
    async with proxied(ollama_version="0.14.2") as proxy:
        response = await proxy.ask(method, "/api/version")
        assert (response.status, response.header("content-type")) == (200, JSON)
        assert response.header("content-length") == "20"
        assert response.body == (b"" if method == "HEAD" else b'{"version":"0.14.2"}')


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_tags(method: str) -> None:
    """5.4: the list has a tag in each name, and answers HEAD."""
    async with proxied() as proxy:
        response = await proxy.ask(method, "/api/tags")
        assert (response.status, response.header("content-type")) == (200, JSON)
        assert method == "HEAD" or [entry["name"] for entry in response.json["models"]] == ["m:latest"]


async def test_show() -> None:
    """5.6, R13: each listed model can be shown, by `model` or by `name`."""
    async with proxied() as proxy:
        for asked in ({"model": "m:latest"}, {"name": "m"}, {"model": "", "name": "m"}):
            response = await proxy.ask("POST", "/api/show", asked)
            assert response.status == 200
            assert response.json["capabilities"] == ["completion", "tools"]
            assert isinstance(response.json["model_info"], dict)


NAMES: dict[str, tuple[str, dict[str, object], int, str]] = {
    "chat, none": ("/api/chat", {"messages": HELLO}, 400, "model is required"),
    "chat, blank": ("/api/chat", {"model": " ", "messages": HELLO}, 400, "model is required"),
    "chat, grammar": ("/api/chat", chat("a b"), 400, "invalid model name"),
    "chat, nobody's": ("/api/chat", chat("nope"), 404, "model 'nope' not found"),
    "generate, none": ("/api/generate", {"prompt": "a"}, 404, "model '' not found"),
    "generate, grammar": ("/api/generate", {"model": "a/b/c/d/e", "prompt": "a"}, 400, "invalid model name"),
    "generate, nobody's": ("/api/generate", {"model": "N", "prompt": "a"}, 404, "model 'N' not found"),
    "embed, none": ("/api/embed", {"input": "a"}, 404, "model '' not found"),
    "embed, nobody's": (
        "/api/embed",
        {"model": "n:1", "input": "a"},
        404,
        'model "n:1" not found, try pulling it first',
    ),
    "embeddings, none": ("/api/embeddings", {"prompt": "a"}, 400, "model is required"),
    "embeddings, nobody's": (
        "/api/embeddings",
        {"model": "n", "prompt": "a"},
        404,
        'model "n" not found, try pulling it first',
    ),
    "show, none": ("/api/show", {}, 400, "model is required"),
    "show, nobody's": ("/api/show", {"model": "nope"}, 404, "model 'nope:latest' not found"),
    "show, nobody's tag": ("/api/show", {"model": "a/b:c"}, 404, "model 'a/b:c' not found"),
}


@pytest.mark.parametrize(("path", "asked", "status", "message"), NAMES.values(), ids=NAMES.keys())
async def test_names(path: str, asked: dict[str, object], status: int, message: str) -> None:
    """2.6: what is wrong with a name is told in the words of each route, without a call."""
    async with proxied() as proxy:
        response = await proxy.ask("POST", path, asked)
        assert (response.status, response.json) == (status, {"error": message})
        assert response.all("content-type") == [JSON]
        assert proxy.upstream.posts == []


ORDER: dict[str, tuple[str, dict[str, object], int, str]] = {
    "5.8 top_logprobs before the name": (
        "/api/chat",
        {"top_logprobs": 21},
        400,
        "top_logprobs must be between 0 and 20",
    ),
    "5.8 keep_alive before the model": (
        "/api/chat",
        {"model": "nope", "keep_alive": "abc"},
        400,
        'time: invalid duration "abc"',
    ),
    "5.8 the model before options": ("/api/chat", chat("nope", options={"seed": "x"}), 404, "model 'nope' not found"),
    "5.8 options before a load": (
        "/api/chat",
        {"model": "m", "options": {"seed": "x"}},
        500,
        'option "seed" must be of type integer',
    ),
    "5.7 options before a load": (
        "/api/generate",
        {"model": "m", "options": {"stop": 1}},
        500,
        'option "stop" must be of type array',
    ),
    "5.9 input before the model": ("/api/embed", {"model": "nope", "input": 5}, 400, "invalid input type"),
    "5.9 keep_alive before the model": (
        "/api/embed",
        {"model": "nope", "keep_alive": "300"},
        400,
        'time: missing unit in duration "300"',
    ),
    "5.10 keep_alive before the model": (
        "/api/embeddings",
        {"model": "nope", "keep_alive": True},
        400,
        "Unsupported type: 'bool'",
    ),
}


@pytest.mark.parametrize(("path", "asked", "status", "message"), ORDER.values(), ids=ORDER.keys())
async def test_order_of_refusals(path: str, asked: dict[str, object], status: int, message: str) -> None:
    """The first failure wins, in Ollama's order; nothing is called and nothing counts as loaded."""
    async with proxied() as proxy:
        response = await proxy.ask("POST", path, asked)
        assert (response.status, response.json) == (status, {"error": message})
        assert (await proxy.ask("GET", "/api/ps")).json == {"models": []}
        assert proxy.upstream.posts == []


async def test_unload_comes_before_options() -> None:
    """5.7, 5.8: an unload is answered before options and capabilities are looked at."""
    async with with_models(EMBEDDER) as proxy:
        for path in ("/api/chat", "/api/generate"):
            asked = {"model": "vectors", "keep_alive": 0, "options": {"seed": "x"}, "think": True}
            response = await proxy.ask("POST", path, asked)
            assert (response.status, response.json["done_reason"]) == (200, "unload")


CAPABILITIES: dict[str, tuple[str, dict[str, object], str]] = {
    "chat": ("/api/chat", chat("vectors"), '"vectors" does not support chat'),
    "load for a chat": ("/api/chat", {"model": "vectors"}, '"vectors" does not support chat'),
    "generate": ("/api/generate", {"model": "vectors", "prompt": "a"}, '"vectors" does not support generate'),
    "load for a generation": ("/api/generate", {"model": "vectors"}, '"vectors" does not support generate'),
    "thinking": ("/api/chat", chat("plain", think=True), '"plain" does not support thinking'),
    "tools": (
        "/api/chat",
        chat("plain", tools=[{"type": "function", "function": {"name": "f"}}]),
        "registry.ollama.ai/library/plain:latest does not support tools",
    ),
}


@pytest.mark.parametrize(("path", "asked", "message"), CAPABILITIES.values(), ids=CAPABILITIES.keys())
async def test_capabilities(path: str, asked: dict[str, object], message: str) -> None:
    """5.7, 5.8: what the model is known not to do is refused before it is loaded or called."""
    async with with_models(TEXT_ONLY, EMBEDDER) as proxy:
        response = await proxy.ask("POST", path, asked)
        assert (response.status, response.json) == (400, {"error": message})
        assert proxy.upstream.posts == []


@pytest.mark.parametrize("stream", [None, True, False])
@pytest.mark.parametrize(
    ("path", "answer"),
    [("/api/chat", {"message": {"role": "assistant", "content": ""}}), ("/api/generate", {"response": ""})],
)
async def test_load(path: str, answer: dict[str, object], stream: bool | None) -> None:
    """R15, 5.7, 5.8: without a prompt the model is loaded: one JSON object without metrics, and no call."""
    async with proxied() as proxy:
        response = await proxy.ask("POST", path, {"model": "M", "stream": stream})
        assert response.all("content-type") == [JSON]
        created = response.json["created_at"]
        expected = {"model": "M", "created_at": created, **answer, "done": True, "done_reason": "load"}
        assert list(response.json.items()) == list(expected.items())
        assert proxy.upstream.posts == []


async def test_generate() -> None:
    """5.7: a generation is a chat of one turn for the upstream, and comes back as `response`."""
    async with proxied() as proxy:
        proxy.upstream.script("m", HI)
        response = await proxy.ask("POST", "/api/generate", {"model": "m", "prompt": "p", "system": "s"})
        assert [line["response"] for line in response.lines] == ["Hi", ""]
        sent = proxy.upstream.posts[0]
        assert sent.path == "/v1/chat/completions"
        assert sent.json["messages"] == [{"role": "system", "content": "s"}, {"role": "user", "content": "p"}]


async def test_raw_generate() -> None:
    """5.7: a raw prompt goes to the plain completions, untouched."""
    async with proxied() as proxy:
        proxy.upstream.script("m", body({"choices": [{"index": 0, "text": "Hi", "finish_reason": "stop"}]}))
        asked = {"model": "m", "prompt": "<s>p", "raw": True, "stream": False}
        assert (await proxy.ask("POST", "/api/generate", asked)).json["response"] == "Hi"
        sent = proxy.upstream.posts[0]
        assert (sent.path, sent.json["prompt"]) == ("/v1/completions", "<s>p")


async def test_stream_is_the_default() -> None:
    """5.8: absent, null and true stream; the upstream is asked for the same, with usage."""
    async with proxied() as proxy:
        proxy.upstream.script("m", HI, HI, HI, body(completion()))
        for stream in ({}, {"stream": None}, {"stream": True}):
            assert (await proxy.chat(**stream)).header("content-type") == "application/x-ndjson"
        assert (await proxy.chat(stream=False)).header("content-type") == JSON
        sent = [request.json.get("stream") for request in proxy.upstream.posts]
        assert sent == [True, True, True, None]
        accepts = [request.headers["accept"] for request in proxy.upstream.posts]
        assert accepts == ["text/event-stream"] * 3 + ["application/json"]
        assert proxy.upstream.posts[0].json["stream_options"] == {"include_usage": True}


async def test_tool_call() -> None:
    """R9: the calls of a turn come on one line before the last, each with an object of arguments."""
    parts = ({"index": 0, "id": "c1", "function": {"name": "f", "arguments": ""}},)
    rest = ({"index": 0, "function": {"arguments": '{"a":'}}, {"index": 0, "function": {"arguments": "1}"}})
    events = [delta(tool_calls=[part]) for part in (*parts, *rest)]
    async with proxied() as proxy:
        proxy.upstream.script("m", streamed(*events, finish("tool_calls"), usage()))
        first, last = (await proxy.chat(tools=[{"type": "function", "function": {"name": "f"}}])).lines
        assert first["message"]["tool_calls"] == [
            {"id": "c1", "function": {"index": 0, "name": "f", "arguments": {"a": 1}}}
        ]
        assert (first["done"], last["done"], last["done_reason"]) == (False, True, "stop")


async def test_failed_call_loads_nothing() -> None:
    """5.5: /api/ps lists what was used; a call that the backend refused used nothing."""
    async with proxied() as proxy:
        proxy.upstream.script("m", body({"error": {"message": "no"}}, 500))
        assert (await proxy.chat()).status == 500
        assert (await proxy.ask("GET", "/api/ps")).json == {"models": []}


@pytest.mark.parametrize(
    "refusal",
    [
        {"error": {"message": "Unknown parameter: 'stream_options'.", "type": "invalid_request_error"}},
        {"detail": [{"loc": ["body", "stream_options"], "msg": "Extra inputs are not permitted"}]},
    ],
    ids=["openai", "fastapi"],
)
async def test_backend_that_refuses_to_be_asked_for_usage(refusal: dict[str, object]) -> None:
    """11.1: a backend that does not know stream_options is asked again without, and the client sees no error."""
    async with proxied() as proxy:
        proxy.upstream.script("m", body(refusal, 422), HI)
        assert (await proxy.chat()).lines[-1]["done"] is True
        first, second = (post.json for post in proxy.upstream.posts)
        assert first.pop("stream_options") == {"include_usage": True}
        assert first == second
