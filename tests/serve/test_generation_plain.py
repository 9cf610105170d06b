"""Plain prompts, end to end: to fill in, raw, or of a template of the request's own (contract 5.7, 11.4)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from support.proxy import Proxy, proxied
from support.rawclient import Response
from support.replies import body, streamed

RECORDINGS = Path(__file__).parents[1] / "recordings"
NO_INSERT = "registry.ollama.ai/library/m:latest does not support insert"


def plain(said: str = "Hi", **choice: object) -> dict[str, Any]:
    """A plain completion that is not streamed."""
    return {
        "object": "text_completion",
        "choices": [{"index": 0, "text": said, "finish_reason": "stop", **choice}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 2},
    }


async def generate(proxy: Proxy, **fields: object) -> Response:
    return await proxy.ask("POST", "/api/generate", {"model": "m", "prompt": "p", **fields})


@pytest.mark.parametrize(
    ("profile", "path"),
    [("auto", "/v1/completions"), ("mistral", "/v1/fim/completions"), ("llamacpp", "/infill")],
)
async def test_suffix(profile: str, path: str) -> None:
    """Contract 11.4: each backend's route for filling in."""
    async with proxied(upstream_profile=profile) as proxy:
        proxy.upstream.script("m", body(plain()))
        response = await generate(proxy, suffix="b", stream=False, options={"num_predict": 5, "seed": 7})
        assert (response.status, response.json["response"]) == (200, "Hi")
        (post,) = proxy.upstream.posts
        assert post.path == path
        names = {"/infill": ("input_prefix", "input_suffix", "n_predict", "seed")}
        seed = "random_seed" if profile == "mistral" else "seed"
        prompt, suffix, most, seed = names.get(path, ("prompt", "suffix", "max_tokens", seed))
        assert post.json == {"model": "m", prompt: "p", suffix: "b", most: 5, seed: 7}


@pytest.mark.parametrize("stream", [True, False])
async def test_infill_of_llama_cpp(stream: bool) -> None:
    """llama.cpp's own shape, streamed and not, from a real server: the answer, its reason and its counts."""
    name = "llamacpp-native.sse" if stream else "llamacpp-native.json"
    recorded = (RECORDINGS / name).read_bytes()
    async with proxied(upstream_profile="llamacpp") as proxy:
        proxy.upstream.script("m", streamed(recorded) if stream else body(recorded))
        response = await generate(proxy, suffix="b", stream=stream)
        lines = response.lines if stream else [response.json]
        whole = json.loads((RECORDINGS / "llamacpp-native.json").read_bytes())["content"]
        assert "".join(line["response"] for line in lines) == whole
        last = lines[-1]
        assert (last["done_reason"], last["prompt_eval_count"], last["eval_count"]) == ("length", 5, 6)
        assert last["context"]


@pytest.mark.parametrize("profile", ["vllm", "openrouter", "lmstudio", "koboldcpp"])
async def test_backend_that_fills_in_nothing(profile: str) -> None:
    """Contract 5.7: refused in Ollama's words, unasked; a template of the request's own needs no route."""
    async with proxied(upstream_profile=profile) as proxy:
        response = await generate(proxy, suffix="b")
        assert (response.status, response.json) == (400, {"error": NO_INSERT})
        assert proxy.upstream.posts == []
        proxy.upstream.script("m", body(plain()))
        response = await generate(proxy, suffix="b", template="<{{ .Prompt }}|{{ .Suffix }}>", stream=False)
        assert response.json["response"] == "Hi"
        assert proxy.upstream.posts[0].json == {"model": "m", "prompt": "<p|b>"}


INFILL_ERROR = (RECORDINGS / "llamacpp-error-infill.json").read_bytes()


@pytest.mark.parametrize(
    ("profile", "answer"),
    [
        ("auto", body({"detail": "Not Found"}, 404)),
        ("auto", body({"detail": "Method Not Allowed"}, 405)),
        ("mistral", body({"message": "no Route matched with those values"}, 404)),
        ("llamacpp", body(INFILL_ERROR, 501)),
    ],
)
async def test_backend_without_the_route(profile: str, answer: Any) -> None:
    """Contract 5.7: a backend that turns out to have no such route; llama.cpp says 501 for a model that can't."""
    async with proxied(upstream_profile=profile) as proxy:
        proxy.upstream.script("m", answer)
        response = await generate(proxy, suffix="b")
        assert (response.status, response.json) == (400, {"error": NO_INSERT})


@pytest.mark.parametrize("asked", [{"raw": True}, {"template": "{{ .Prompt }}"}])
async def test_backend_of_chats_only(asked: dict[str, Any]) -> None:
    """Contract 11.4: a plain prompt to a backend without plain completions is the client's mistake, and says so."""
    async with proxied() as proxy:
        proxy.upstream.script("m", body({"detail": "Not Found"}, 404))
        response = await generate(proxy, **asked)
        assert response.status == 400
        assert response.json["error"].startswith('"m" does not support raw prompts or templates')


async def test_raw() -> None:
    """Contract 5.7: the prompt is untouched, and the answer has no context."""
    async with proxied() as proxy:
        proxy.upstream.script("m", body(plain(logprobs=LISTS)))
        response = await generate(proxy, raw=True, stream=False, logprobs=True, top_logprobs=1, format="json")
        assert list(response.json.items())[2:5] == [("response", "Hi"), ("done", True), ("done_reason", "stop")]
        assert "context" not in response.json
        assert response.json["logprobs"] == [
            {
                "token": "Hi",
                "logprob": -0.5,
                "bytes": [72, 105],
                "top_logprobs": [{"token": "Hi", "logprob": -0.5, "bytes": [72, 105]}],
            }
        ]
        (post,) = proxy.upstream.posts
        assert post.path == "/v1/completions"
        assert post.json == {"model": "m", "prompt": "p", "logprobs": 1, "response_format": {"type": "json_object"}}


LISTS = {"tokens": ["Hi"], "token_logprobs": [-0.5], "top_logprobs": [{"Hi": -0.5, "Ho": -2.0}], "text_offset": [0]}
