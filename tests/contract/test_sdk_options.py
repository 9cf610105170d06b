"""Every method of the official Python SDK with every option that it can send, and what the backend got of it.

The tables name all parameters of each method: one that the SDK adds makes `test_parameters` fail.
"""

from __future__ import annotations

import inspect
from typing import Any

import ollama
import pytest
from pydantic import BaseModel

from contract.backends import ABLE, TEXT, VECTORS, facing, vectors
from contract.wire import DOT, tool, user
from support.proxy import Proxy
from support.replies import HI, body, completion
from support.scripted import Step


class Pet(BaseModel):
    """A structure to answer in."""

    name: str


# All that `Options` of the SDK can hold (contract 10.1), with what a llama.cpp server is sent for it, if anything.
OPTIONS: dict[str, tuple[Any, dict[str, Any]]] = {
    "numa": (False, {}),
    "num_ctx": (4096, {}),
    "num_batch": (8, {}),
    "num_gpu": (1, {}),
    "main_gpu": (0, {}),
    "low_vram": (False, {}),
    "f16_kv": (True, {}),
    "logits_all": (False, {}),
    "vocab_only": (False, {}),
    "use_mmap": (True, {}),
    "use_mlock": (False, {}),
    "embedding_only": (False, {}),
    "num_thread": (2, {}),
    "num_keep": (5, {"n_keep": 5}),
    "seed": (7, {"seed": 7}),
    "num_predict": (9, {"max_tokens": 9}),
    "top_k": (11, {"top_k": 11}),
    "top_p": (0.5, {"top_p": 0.5}),
    "tfs_z": (1.0, {}),
    "typical_p": (0.75, {"typical_p": 0.75}),
    "repeat_last_n": (16, {"repeat_last_n": 16}),
    "temperature": (0.25, {"temperature": 0.25}),
    "repeat_penalty": (1.5, {"repeat_penalty": 1.5}),
    "presence_penalty": (0.5, {"presence_penalty": 0.5}),
    "frequency_penalty": (0.25, {"frequency_penalty": 0.25}),
    "mirostat": (1, {}),
    "mirostat_tau": (0.5, {}),
    "mirostat_eta": (0.5, {}),
    "penalize_newline": (True, {}),
    "stop": (["\n", "END"], {"stop": ["\n", "END"]}),
}
CHAT: dict[str, Any] = {
    "messages": [user("Hi", images=[DOT])],
    "tools": [tool("f", "a")],
    "think": "high",
    "logprobs": True,
    "top_logprobs": 2,
    "format": Pet.model_json_schema(),
    "options": ollama.Options(**{name: value for name, (value, _) in OPTIONS.items()}),
    "keep_alive": "10m",
}
GENERATE: dict[str, Any] = {
    "prompt": "Hi",
    "suffix": "",
    "system": "Be brief.",
    "template": "",
    "context": [],
    "think": False,
    "logprobs": True,
    "top_logprobs": 1,
    "raw": False,
    "format": "json",
    "images": [DOT],
    "options": {"temperature": None, "seed": 3},
    "keep_alive": 90,
    "width": 512,
    "height": 512,
    "steps": 4,
}
EMBED: dict[str, Any] = {
    "input": ["a", "b"],
    "truncate": True,
    "options": {"num_ctx": 512},
    "keep_alive": -1,
    "dimensions": 2,
}
EMBEDDINGS: dict[str, Any] = {"prompt": "a", "options": {"num_ctx": 512}, "keep_alive": 0}
# Of each method: the parameters that a test here or in another file of this folder sends.
PARAMETERS: dict[str, set[str]] = {
    "chat": {"model", "stream", *CHAT},
    "generate": {"model", "stream", *GENERATE},
    "embed": {"model", *EMBED},
    "embeddings": {"model", *EMBEDDINGS},
    "pull": {"model", "insecure", "stream"},
    "push": {"model", "insecure", "stream"},
    "create": {
        "model",
        "quantize",
        "from_",
        "files",
        "adapters",
        "template",
        "license",
        "system",
        "parameters",
        "messages",
        "stream",
    },
    "create_blob": {"path"},
    "list": set(),
    "ps": set(),
    "show": {"model"},
    "delete": {"model"},
    "copy": {"source", "destination"},
}
# Methods that never ask a local server (contract 10.1), or one that a real server does not have; and `close`.
ELSEWHERE = {"web_search", "web_fetch", "close"}
UNKNOWN = {"systemone"}


@pytest.mark.parametrize("sdk", [ollama.Client, ollama.AsyncClient])
def test_parameters(sdk: type) -> None:
    """No method and no parameter of the SDK goes without a test."""
    methods = {name: function for name, function in inspect.getmembers(sdk, inspect.isfunction) if name[0] != "_"}
    assert {*methods} - ELSEWHERE - UNKNOWN == {*PARAMETERS}
    for name, expected in PARAMETERS.items():
        assert {*inspect.signature(methods[name]).parameters} - {"self"} == expected, name
    assert {*ollama.Options.model_fields} == {*OPTIONS}


def answers(proxy: Proxy, name: str, stream: bool) -> None:
    """Let the backend answer the next requests for a model as they are asked."""
    given: tuple[Step, ...] = tuple(HI if stream else body(completion('{"name":"Tom"}')))
    proxy.upstream.script(name, given)


@pytest.mark.parametrize("stream", [False, True])
async def test_chat(stream: bool) -> None:
    """A chat with every option: what has a meaning to the backend is sent in its words, and nothing else is."""
    async with (
        facing(ABLE, upstream_profile="llamacpp") as proxy,
        ollama.AsyncClient(proxy.url, trust_env=False) as sdk,
    ):
        answers(proxy, "able", stream)
        reply = await sdk.chat("able", stream=stream, **CHAT)
        parts = [part async for part in reply] if stream else [reply]
        assert parts[-1].done
        (request,) = proxy.upstream.posts
        asked = request.json
        for value, expected in OPTIONS.values():
            assert expected.items() <= asked.items(), value
        assert not {*OPTIONS} & {*asked} - {key for _, expected in OPTIONS.values() for key in expected}
        assert asked["tools"] == [tool("f", "a")]
        assert (asked["logprobs"], asked["top_logprobs"]) == (True, 2)
        assert asked["response_format"]["json_schema"]["schema"] == Pet.model_json_schema()
        assert asked.get("stream", False) is stream
        assert not {"keep_alive", "options", "think", "format"} & {*asked}
        (running,) = (await sdk.ps()).models
        assert running.model == "able:latest"


@pytest.mark.parametrize("stream", [False, True])
async def test_generate(stream: bool) -> None:
    """A generation with every option, also those that are empty, or of image models, or null within the options."""
    async with facing(ABLE, upstream_profile="openai") as proxy, ollama.AsyncClient(proxy.url, trust_env=False) as sdk:
        answers(proxy, "able", stream)
        reply = await sdk.generate("able", stream=stream, **GENERATE)
        parts = [part async for part in reply] if stream else [reply]
        assert parts[-1].done
        (request,) = proxy.upstream.posts
        asked = request.json
        assert {"role": "system", "content": "Be brief."} in asked["messages"]
        assert asked["messages"][-1]["content"][0] == {"type": "text", "text": "Hi"}
        assert asked["response_format"] == {"type": "json_object"}
        assert (asked["seed"], asked["logprobs"], asked["top_logprobs"]) == (3, True, 1)
        assert not {"width", "height", "steps", "suffix", "template", "context", "raw", "temperature"} & {*asked}


@pytest.mark.parametrize("more", [{"suffix": "return"}, {"raw": True}, {"suffix": "return", "raw": True}])
async def test_completions(more: dict[str, Any]) -> None:
    """A suffix and a raw prompt go to the completions of the backend."""
    async with facing() as proxy, ollama.AsyncClient(proxy.url, trust_env=False) as sdk:
        proxy.upstream.script("m", body(TEXT))
        assert (await sdk.generate("m", "def f(", **more)).response == "completion"
        (request,) = proxy.upstream.posts
        assert (request.path, request.json["prompt"]) == ("/v1/completions", "def f(")
        assert request.json.get("suffix") == more.get("suffix")


async def test_context() -> None:
    """The context of an answer, given to the next generation, continues it (contract 5.7)."""
    async with facing() as proxy, ollama.AsyncClient(proxy.url, trust_env=False) as sdk:
        proxy.upstream.script("m", body(completion("Salt")))
        first = await sdk.generate("m", "Name a mineral.")
        assert first.context
        await sdk.generate("m", "Another?", context=first.context)
        said = [turn["content"] for turn in proxy.upstream.posts[1].json["messages"]]
        assert said == ["Name a mineral.", "Salt", "Another?"]


async def test_template() -> None:
    """A template is never an error of the server, and the prompt reaches the backend."""
    async with facing() as proxy, ollama.AsyncClient(proxy.url, trust_env=False) as sdk:
        proxy.upstream.script("m", body(completion()), body(TEXT))
        reply = await sdk.generate("m", "Name a mineral.", template="Q: {{ .Prompt }} A:")
        assert reply.done
        assert b"Name a mineral." in proxy.upstream.posts[0].body


async def test_embed() -> None:
    """A batch with every option is one call; the vectors have length 1 and as many numbers as were asked for."""
    async with facing(VECTORS) as proxy, ollama.AsyncClient(proxy.url, trust_env=False) as sdk:
        proxy.upstream.script("vectors", body(vectors([3, 4], [4, 3])))
        reply = await sdk.embed("vectors", **EMBED)
        assert [list(vector) for vector in reply.embeddings] == [pytest.approx([0.6, 0.8]), pytest.approx([0.8, 0.6])]
        (request,) = proxy.upstream.posts
        assert request.json["input"] == ["a", "b"]
        assert not {"keep_alive", "options", "truncate"} & {*request.json}


async def test_embeddings() -> None:
    """The older call gives the vector as the backend made it."""
    async with facing(VECTORS) as proxy, ollama.AsyncClient(proxy.url, trust_env=False) as sdk:
        proxy.upstream.script("vectors", body(vectors([3, 4])))
        assert list((await sdk.embeddings("vectors", **EMBEDDINGS)).embedding) == [3, 4]
        assert (await sdk.ps()).models == []


async def test_unknown_route() -> None:
    """A method for a route that a real server does not have is a clean 404."""
    async with facing() as proxy, ollama.AsyncClient(proxy.url, trust_env=False) as sdk:
        question = {"type": "choice", "question": "Which?", "choices": ["a", "b"]}
        with pytest.raises((ollama.ResponseError, ValueError)) as raised:
            await sdk.systemone("m", "state", [question])
        if isinstance(raised.value, ollama.ResponseError):
            assert (raised.value.status_code, raised.value.error) == (404, "404 page not found")
