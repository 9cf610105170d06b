"""The proxy in front of a backend by script that tells facts of its models, in the loop of the test."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from support.proxy import Proxy, running_proxy
from support.rawclient import Response
from support.replies import body, completion
from support.scripted import Step, Upstream
from support.waiting import no_errors

# What OpenRouter says of a model (https://openrouter.ai/docs/api-reference/list-available-models).
ABLE: dict[str, Any] = {
    "id": "able",
    "context_length": 65536,
    "architecture": {"input_modalities": ["text", "image"], "output_modalities": ["text"]},
    "supported_parameters": ["tools", "reasoning", "include_reasoning", "temperature", "logprobs", "response_format"],
}
PLAIN: dict[str, Any] = {
    "id": "plain",
    "context_length": 8192,
    "architecture": {"input_modalities": ["text"], "output_modalities": ["text"]},
    "supported_parameters": ["temperature"],
}
VECTORS: dict[str, Any] = {
    "id": "vectors",
    "context_length": 512,
    "architecture": {"input_modalities": ["text"], "output_modalities": ["embeddings"]},
    "supported_parameters": [],
}
# What a llama.cpp server says of its model (tools/server/README.md in ggml-org/llama.cpp, GET /v1/models).
LLAMA: dict[str, Any] = {
    "id": "llama-3.2",
    "object": "model",
    "created": 1735142223,
    "owned_by": "llamacpp",
    "meta": {
        "vocab_type": 2,
        "n_vocab": 128256,
        "n_ctx": 16384,
        "n_ctx_train": 131072,
        "n_embd": 3072,
        "n_params": 3212749888,
        "size": 2019393189,
        "ftype": "Q4_K - Medium",
        "architecture": "llama",
    },
}
# Where backends tell more of their models; this one has none of it.
MORE = ("/props", "/v1/props", "/model/info", "/v1/model/info", "/api/v0/models", "/api/v1/models", "/version")
ABSENT = body({"error": {"message": "not found"}}, 404)
# One token of ten letters as a text completion (https://platform.openai.com/docs/api-reference/completions).
TEXT = {
    "object": "text_completion",
    "choices": [{"index": 0, "text": "completion", "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4},
}


def vectors(*rows: Sequence[float], tokens: int = 3) -> dict[str, Any]:
    """The body of an answer to `/embeddings`."""
    data = [{"object": "embedding", "index": index, "embedding": list(row)} for index, row in enumerate(rows)]
    return {"object": "list", "data": data, "usage": {"prompt_tokens": tokens, "total_tokens": tokens}}


@asynccontextmanager
async def facing(*models: Mapping[str, Any], **settings: Any) -> AsyncIterator[Proxy]:
    """Serve the proxy in front of a backend that lists these models, or one that is named `m`."""
    async with Upstream() as upstream:
        upstream.models = [dict(model) for model in models] or upstream.models
        for path in MORE:
            upstream.script(path, ABSENT)
        with no_errors():
            async with running_proxy(upstream.url, **settings) as url:
                proxy = Proxy(url, upstream)
                await proxy.ask("GET", "/api/tags")  # the first list of models is there
                yield proxy


async def ask(proxy: Proxy, path: str, *headers: str, model: str = "m", **fields: Any) -> Response:
    """POST a request that names a model."""
    return await proxy.ask("POST", path, {"model": model, **fields}, *headers)


async def sent(
    proxy: Proxy, path: str, *, model: str = "m", answer: Sequence[Step] | None = None, **fields: Any
) -> dict[str, Any]:
    """Return what the backend was asked for a request; the answer to it is `Hi` unless given, and must go well."""
    proxy.upstream.script(model, answer or body(completion()))
    before = len(proxy.upstream.posts)
    response = await ask(proxy, path, model=model, stream=False, **fields)
    assert response.status == 200, response.body
    (request,) = proxy.upstream.posts[before:]
    found: dict[str, Any] = request.json
    return found


async def refused(proxy: Proxy, path: str, **fields: Any) -> tuple[int, str]:
    """Return the status and words of a refusal, after checking that the backend was not asked."""
    before = len(proxy.upstream.posts)
    response = await ask(proxy, path, **fields)
    assert len(proxy.upstream.posts) == before
    assert (response.header("content-type") or "").startswith("application/json")
    assert [*response.json] == ["error"]
    return response.status, response.json["error"]
