"""Embeddings as they come over the wire (https://platform.openai.com/docs/api-reference/embeddings)."""

from __future__ import annotations

import base64
import struct
from typing import Any

import msgspec

from ollama_openai_proxy.errors import UpstreamBroken
from ollama_openai_proxy.translate.events import Usage
from ollama_openai_proxy.translate.openai.errors import Secrets, stream_error
from ollama_openai_proxy.translate.openai.usage import merge
from ollama_openai_proxy.translate.openai.wire import INVALID

MISMATCH = "the upstream answered with the wrong number of embeddings"


class _Item(msgspec.Struct):
    embedding: msgspec.Raw
    index: Any = None


class _Body(msgspec.Struct):
    data: list[_Item] | None = None
    usage: Any = None
    error: Any = None


class Embeddings(msgspec.Struct, frozen=True):
    """Vectors as JSON arrays, in the order of the inputs, and the prompt tokens if they are told."""

    vectors: list[msgspec.Raw]
    prompt_tokens: int | None


_decoder = msgspec.json.Decoder(_Body)


def decode(body: bytes, count: int, secrets: Secrets = ()) -> Embeddings:
    """Return the vectors of `count` inputs. Raises UpstreamError."""
    try:
        reply = _decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise UpstreamBroken(INVALID) from None
    if reply.error:
        raise stream_error(reply.error, secrets)
    items = reply.data or []
    order = {item.index: item for item in items if type(item.index) is int}
    if sorted(order) == list(range(len(items))):
        items = [order[index] for index in range(len(items))]
    if len(items) != count:
        raise UpstreamBroken(MISMATCH)
    prompt_tokens = merge(Usage(), reply.usage, None).prompt_tokens
    return Embeddings([_vector(item.embedding) for item in items], prompt_tokens)


def _vector(raw: msgspec.Raw) -> msgspec.Raw:
    """Return the JSON array; some backends send base64 of float32 whatever was asked for."""
    if bytes(memoryview(raw)[:1]) == b"[":
        return raw
    try:
        packed = base64.b64decode(msgspec.json.decode(raw, type=str), validate=True)
        floats = struct.unpack(f"<{len(packed) // 4}f", packed)
    except (msgspec.DecodeError, ValueError, struct.error):
        raise UpstreamBroken(INVALID) from None
    return msgspec.Raw(msgspec.json.encode(floats))
