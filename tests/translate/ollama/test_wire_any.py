"""Any request at all: it is read and translated, or refused; nothing else is ever raised."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ollama_openai_proxy.errors import InvalidRequest, ProxyError
from ollama_openai_proxy.translate.models import Model
from ollama_openai_proxy.translate.ollama.request import chat, check, inputs_of
from ollama_openai_proxy.translate.ollama.wire import (
    MAX_IMAGES,
    MAX_MESSAGES,
    MAX_TOOLS,
    ChatRequest,
    EmbeddingsRequest,
    EmbedRequest,
    GenerateRequest,
    ModelRequest,
    ShowRequest,
    decode,
)

FIELDS = [
    *("model", "messages", "role", "content", "images", "tool_calls", "function", "arguments", "name", "id", "index"),
    *("tools", "type", "parameters", "properties", "required", "items", "anyOf", "enum", "description", "format"),
    *("options", "stop", "seed", "temperature", "num_predict", "keep_alive", "think", "stream", "prompt", "input"),
    *("context", "raw", "suffix", "system", "template", "top_logprobs", "dimensions", "Messages", "ROLE", "api_base"),
]
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.sampled_from(["", "user", "tool", "system", "AAAA", "A===", "5m", "1e", "json", "high", "\ud800", "\x00", "{"])
    | st.text(max_size=4)
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(FIELDS), inner, max_size=4),
    max_leaves=12,
)
OBJECTS = st.dictionaries(st.sampled_from(FIELDS), VALUES, max_size=5)
REQUESTS = (
    OBJECTS
    | OBJECTS.map(lambda fields: {"messages": [{"role": "user", **fields}]})
    | OBJECTS.map(lambda fields: {"messages": [{"role": "assistant", "tool_calls": [{"function": fields}]}]})
    | OBJECTS.map(lambda fields: {"tools": [{"type": "function", "function": fields}]})
    | OBJECTS.map(lambda fields: {"tools": [{"function": {"name": "f", "parameters": {"properties": {"a": fields}}}}]})
    | OBJECTS.map(lambda fields: {"options": fields})
)
KINDS: list[type[ModelRequest]] = [ChatRequest, GenerateRequest, EmbedRequest, EmbeddingsRequest, ShowRequest]


@settings(max_examples=300, deadline=None)
@given(REQUESTS, st.sampled_from(KINDS))
def test_b2_b4_t21_any_request(fields: dict[str, Any], kind: type[ModelRequest]) -> None:
    """B2, B4, T21: what no type, no table and no decoder takes is a refusal with words, on one line."""
    refused: ProxyError | None = None
    try:
        request = decode(json.dumps(fields).encode(), kind)
        if isinstance(request, ChatRequest):
            check(request)
            chat(request, Model("m"))
        if isinstance(request, EmbedRequest):
            inputs_of(request)
    except InvalidRequest as refusal:
        refused = refusal
    assert refused is None or (refused.status in (400, 500) and refused.message)


@pytest.mark.parametrize(
    ("field", "item", "most", "words"),
    [
        ("messages", {"role": "user"}, MAX_MESSAGES, "too many messages: at most 10000 are taken"),
        ("tools", {}, MAX_TOOLS, "too many tools: at most 512 are taken"),
        ("messages", {"images": ["AAAA"] * 64}, MAX_IMAGES // 64, "too many images: at most 256 are taken"),
    ],
)
def test_b4_b12_too_many(field: str, item: object, most: int, words: str) -> None:
    """B4, B12: as many as that are taken, and not one more."""
    decode(json.dumps({field: [item] * most}).encode(), ChatRequest)
    with pytest.raises(InvalidRequest) as caught:
        decode(json.dumps({field: [item] * (most + 1)}).encode(), ChatRequest)
    assert caught.value.message == words


@pytest.mark.parametrize("kind", [ChatRequest, GenerateRequest, EmbedRequest, EmbeddingsRequest, ShowRequest])
def test_b4_long_name(kind: type[ModelRequest]) -> None:
    """B4: a name of 256 characters is taken, a longer one is none, whether or not the backend is asked for any name."""
    for field in ("model", "name") if kind is ShowRequest else ("model",):
        decode(json.dumps({field: "é" * 256}).encode(), kind)
        with pytest.raises(InvalidRequest) as caught:
            decode(json.dumps({field: "é" * 257}).encode(), kind)
        assert (caught.value.status, caught.value.message) == (400, "invalid model name")
