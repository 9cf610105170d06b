"""Vectors as `/api/embed` and `/api/embeddings` send them (contract 5.9, 5.10)."""

from __future__ import annotations

import math

import msgspec
from msgspec import Raw

from ollama_openai_proxy.errors import UpstreamBroken
from ollama_openai_proxy.translate.text import escape_separators

NOT_FINITE = "embedding contains NaN or Inf values"
# A unit vector whose numbers were rounded to float32 is off by less than this.
_ROUNDING = 1e-4

_floats = msgspec.json.Decoder(list[float])


def loaded(model: str) -> bytes:
    """Return the answer to a request without input, which only loads the model."""
    return _json({"model": model, "embeddings": []})


def embed_answer(
    model: str, vectors: list[Raw], *, dimensions: int | None, prompt_tokens: int | None, opened: int, elapsed: int
) -> bytes:
    """Return the body of `/api/embed`: unit vectors, cut to `dimensions`.

    `opened` and `elapsed` are nanoseconds since the request arrived. Raises UpstreamBroken.
    """
    answer = {
        "model": model,
        "embeddings": [_unit(vector, dimensions) for vector in vectors],
        "total_duration": max(elapsed, 1),
        "load_duration": max(opened, 1),
    }
    if prompt_tokens:
        answer["prompt_eval_count"] = prompt_tokens
    return _json(answer)


def embeddings_answer(vectors: list[Raw]) -> bytes:
    """Return the body of `/api/embeddings`: the one vector as it came."""
    return b'{"embedding":' + (bytes(vectors[0]) if vectors else b"[]") + b"}"


def _unit(vector: Raw, dimensions: int | None) -> Raw | list[float]:
    """Return the vector with length 1, untouched when it has that already."""
    try:
        values = _floats.decode(vector)
    except msgspec.DecodeError:
        raise UpstreamBroken(NOT_FINITE, status=400) from None
    cut = dimensions if dimensions and 0 < dimensions < len(values) else None
    values = values[:cut]
    length = math.sqrt(sum(value * value for value in values))
    if not math.isfinite(length):
        raise UpstreamBroken(NOT_FINITE, status=400)
    if length == 0:
        return values
    if cut is None and abs(length - 1) < _ROUNDING:
        return vector
    return [value / length for value in values]


def _json(value: dict[str, object]) -> bytes:
    return escape_separators(msgspec.json.encode(value))
