"""Embeddings as they come over the wire (https://platform.openai.com/docs/api-reference/embeddings)."""

from __future__ import annotations

import base64
import re
import struct
from collections.abc import Callable
from typing import Any

import msgspec

from ollama_openai_proxy.errors import UpstreamBroken
from ollama_openai_proxy.translate.events import Usage
from ollama_openai_proxy.translate.openai.errors import Secrets, stream_error
from ollama_openai_proxy.translate.openai.profile import Profile
from ollama_openai_proxy.translate.openai.usage import merge
from ollama_openai_proxy.translate.openai.wire import INVALID

MISMATCH = "the upstream answered with the wrong number of embeddings"
UNEVEN = "the upstream answered with embeddings of different lengths"
# Within a string the quotes would be escaped: this is a key.
_VECTOR = re.compile(rb'"embedding"\s*:\s*([\["])')
_CLOSING = {b"[": b"]", b'"': b'"'}
_LONGEST_KEY = 32  # bytes; a key with more space around its colon is found at the end

Convert = Callable[[bytes], bytes]


class _Item(msgspec.Struct):
    embedding: msgspec.Raw
    index: Any = None


class _Body(msgspec.Struct):
    data: list[_Item] | None = None
    usage: Any = None
    error: Any = None


class _Place(msgspec.Struct):
    """What stands where a vector was taken out."""

    vector: int


class Embeddings(msgspec.Struct, frozen=True):
    """Vectors in the order of the inputs, as the client gets them, and the prompt tokens if they are told."""

    vectors: list[bytes]
    prompt_tokens: int | None


_decoder = msgspec.json.Decoder(_Body)
_place = msgspec.json.Decoder(_Place)


def truncation(profile: Profile, context_length: int | None) -> dict[str, Any]:
    """Return the parameters by which this backend cuts what is too long for a context of so many tokens.

    It keeps the beginning of a text, as Ollama does. Nothing where the backend has no such parameters, or where
    nobody knows the length: old versions of vLLM take no other number than that.
    """
    if not profile.truncation or not context_length:
        return {}
    return {profile.truncation: context_length, "truncation_side": "right"}


class Decoder:
    """A reply, as it comes.

    Each vector is converted when its last byte is there, so that no read costs more than its own bytes: to
    convert two thousand at once would hold up everybody's streams for half a second.
    """

    def __init__(self, count: int, convert: Convert, secrets: Secrets = ()) -> None:
        """`count`: how many inputs there were. `convert` takes the JSON of a vector, and returns what to keep of it."""
        self._count = count
        self._convert = convert
        self._secrets = secrets
        self._vectors: list[bytes] = []
        self._first: bytes | None = None
        self._commas: int | None = None  # in each vector
        self._rest = bytearray()
        self._body = bytearray()  # what has been read, with places instead of vectors
        self._start = 0  # where in the rest a vector may begin
        self._end = 0  # where in the rest it may end

    def feed(self, read: bytes) -> None:
        """Take in bytes. Raises what `convert` does."""
        rest = self._rest
        rest += read
        while match := _VECTOR.search(rest, self._start):
            end = rest.find(_CLOSING[match[1]], max(self._end, match.end())) + 1
            if not end:
                self._start, self._end = match.start(), len(rest)
                return
            opening = match.end() - 1
            self._body += rest[:opening] + b'{"vector":%d}' % len(self._vectors)
            self._vectors.append(self._converted(bytes(rest[opening:end])))
            del rest[:end]
            self._start = self._end = 0
        self._start = max(len(rest) - _LONGEST_KEY, 0)

    def close(self) -> Embeddings:
        """Return the vectors, now that the reply is whole. Raises UpstreamError."""
        try:
            reply = _decoder.decode(self._body + self._rest)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise UpstreamBroken(INVALID) from None
        if reply.error:
            raise stream_error(reply.error, self._secrets)
        items = reply.data or []
        order = {item.index: item for item in items if type(item.index) is int}
        if sorted(order) == list(range(len(items))):
            items = [order[index] for index in range(len(items))]
        if len(items) != self._count:
            raise UpstreamBroken(MISMATCH)
        return Embeddings([self._vector(item.embedding) for item in items], _prompt_tokens(reply.usage))

    def _vector(self, raw: msgspec.Raw) -> bytes:
        if bytes(memoryview(raw)[:1]) != b"{":
            return self._converted(bytes(raw))
        try:
            return self._vectors[_place.decode(raw).vector]
        except (msgspec.DecodeError, IndexError):
            raise UpstreamBroken(INVALID) from None

    def _converted(self, vector: bytes) -> bytes:
        """Return what to keep of a vector; some backends send base64 of float32 whatever was asked for."""
        if vector.startswith(b"["):
            return self._even(self._convert(vector))
        try:
            packed = base64.b64decode(msgspec.json.decode(vector, type=str), validate=True)
            floats = struct.unpack(f"<{len(packed) // 4}f", packed)
        except (msgspec.DecodeError, ValueError, struct.error):
            raise UpstreamBroken(INVALID) from None
        return self._even(self._convert(msgspec.json.encode(floats)))

    def _even(self, vector: bytes) -> bytes:
        if self._first is None:
            self._first = vector  # often there is no other, and they are long to count in
            return vector
        if self._commas is None:
            self._commas = self._first.count(b",")
        if vector.count(b",") != self._commas:
            raise UpstreamBroken(UNEVEN)
        return vector


def _prompt_tokens(usage: Any) -> int | None:
    """Return the prompt tokens; some tell them only as the total, and there is nothing else to a total here."""
    total = usage.get("total_tokens") if isinstance(usage, dict) else None
    return merge(Usage(), usage, None).prompt_tokens or merge(Usage(), {"prompt_tokens": total}, None).prompt_tokens
