"""Vectors as `/api/embed` and `/api/embeddings` send them (contract 5.9, 5.10)."""

from __future__ import annotations

import math
import re
from itertools import repeat
from operator import truediv

import msgspec

from ollama_openai_proxy.errors import UpstreamBroken
from ollama_openai_proxy.translate.text import escape_separators

NOT_FINITE = "embedding contains NaN or Inf values"
NO_NUMBERS = "the upstream sent an embedding that is no list of numbers"
# What a backend is told that an input is too long for it, by whether it was to cut it.
TOO_LONG = "the input length exceeds the context length"
NOT_TRUNCATED = "input exceeds maximum context length and cannot be truncated further"
# A unit vector whose numbers were rounded to float32 is off by less than this.
_ROUNDING = 1e-4
# What writers of JSON make of a number that is none.
_NOT_FINITE = re.compile(rb"null|nan|inf|\de\+?\d{3}", re.IGNORECASE)

_floats = msgspec.json.Decoder(list[float])


def loaded(model: str) -> bytes:
    """Return the answer to a request without input, which only loads the model."""
    return _json({"model": model, "embeddings": []})


def unit(vector: bytes, dimensions: int | None = None) -> bytes:
    """Return the vector, cut to `dimensions`, with length 1: untouched when it has that already.

    Raises UpstreamBroken. Numbers that had to be computed are written as float64: the shortest texts of float32
    take six times as long to find, and save a client less than that.
    """
    try:
        values = _floats.decode(vector)
    except msgspec.DecodeError:
        raise _fault(vector) from None
    cut = dimensions is not None and 0 < dimensions < len(values)
    if cut:
        values = values[:dimensions]
    length = math.hypot(*values)
    if not math.isfinite(length):
        raise UpstreamBroken(NOT_FINITE, status=400)
    if not cut and (abs(length - 1) < _ROUNDING or not length):
        return vector
    return msgspec.json.encode(list(map(truediv, values, repeat(length))) if length else values)


def checked(vector: bytes) -> bytes:
    """Return the vector as it came. Raises UpstreamBroken if it is no list of numbers."""
    try:
        _floats.decode(vector)
    except msgspec.DecodeError:
        raise _fault(vector) from None
    return vector


def embed_answer(model: str, vectors: list[bytes], *, prompt_tokens: int | None, opened: int, elapsed: int) -> bytes:
    """Return the body of `/api/embed`.

    `opened` and `elapsed` are nanoseconds since the request arrived.
    """
    facts = {"total_duration": max(elapsed, 1), "load_duration": max(opened, 1)}
    if prompt_tokens:
        facts["prompt_eval_count"] = prompt_tokens
    head, tail = loaded(model).removesuffix(b"]}"), b"]," + _json(facts)[1:]
    if len(vectors) < 2:
        return b"".join((head, *vectors, tail))
    # The vectors are megabytes: they are copied once.
    vectors = [head + vectors[0], *vectors[1:]]
    vectors[-1] += tail
    return b",".join(vectors)


def embeddings_answer(vectors: list[bytes]) -> bytes:
    """Return the body of `/api/embeddings`: the one vector as it came."""
    return b'{"embedding":' + (vectors[0] if vectors else b"[]") + b"}"


def _fault(vector: bytes) -> UpstreamBroken:
    if _NOT_FINITE.search(vector):
        return UpstreamBroken(NOT_FINITE, status=400)
    return UpstreamBroken(NO_NUMBERS)


def _json(value: object) -> bytes:
    return escape_separators(msgspec.json.encode(value))
