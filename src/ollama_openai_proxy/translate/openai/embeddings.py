"""Embeddings as they come over the wire (https://platform.openai.com/docs/api-reference/embeddings)."""

from __future__ import annotations

import base64
import re
import struct
from collections.abc import Callable
from typing import Any, Protocol

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
# What strings, objects, null and true have, and large exponents may. Lists and false are found with other things.
_OTHERS = (b'"', b"{", b"u", b"E")
_MINUS = ord("-")
_FEW = 64  # exponents; to look at more of them one by one takes as long as to read the numbers

Convert = Callable[[bytes], bytes]


class Checks(Protocol):
    """Says which vectors have to be looked at, number by number; it is told what became of each of those."""

    def due(self, count: int, *, first: bool) -> bool:
        """Whether to look at a vector: of a reply of so many, and whether it is the first of them."""

    def saw(self, *, kept: bool) -> None:
        """One was looked at. `kept`: it could stay as it came."""


class All:
    """All of them have to be looked at."""

    def due(self, count: int, *, first: bool) -> bool:
        return True

    def saw(self, *, kept: bool) -> None:
        pass


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
_json = msgspec.json.Decoder(msgspec.Raw)


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

    def __init__(self, count: int, convert: Convert, secrets: Secrets = (), checks: Checks | None = None) -> None:
        """`count`: how many inputs there were. `convert` takes the JSON of a vector, and returns what to keep of it:
        the same object if it may stay as it is. It is left out for lists of numbers that are not due."""
        self._count = count
        self._convert = convert
        self._secrets = secrets
        self._checks = checks or All()
        self._vectors: list[bytes] = []
        self._first: bytes | None = None
        self._commas: int | None = None  # in each vector
        self._body = bytearray()  # what has been read, with places instead of vectors
        self._rest = b""  # what comes after it, and may be the beginning of a key
        self._part = bytearray()  # of a vector
        self._closing = b""  # what will end that; empty between vectors

    def feed(self, read: bytes) -> None:
        """Take in bytes. Raises what `convert` does."""
        at = 0
        if self._closing:
            at = read.find(self._closing) + 1
            if not at:
                self._part += read
                return
            self._part += memoryview(read)[:at]
            self._vectors.append(self._converted(bytes(self._part)))
            self._part.clear()
            self._closing = b""
        elif self._rest:
            read = self._rest + read
        while match := _VECTOR.search(read, at):
            opening = match.end() - 1
            self._body += b'%b{"vector":%d}' % (read[at:opening], len(self._vectors))
            closing = _CLOSING[match[1]]
            at = read.find(closing, opening + 1) + 1
            if not at:
                self._part += memoryview(read)[opening:]
                self._closing, self._rest = closing, b""
                return
            self._vectors.append(self._converted(read[opening:at]))
        start = max(len(read) - _LONGEST_KEY, at)
        self._body += memoryview(read)[at:start]
        self._rest = read[start:]

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
            return self._listed(vector)
        try:
            packed = base64.b64decode(msgspec.json.decode(vector, type=str), validate=True)
            floats = struct.unpack(f"<{len(packed) // 4}f", packed)
        except (msgspec.DecodeError, ValueError, struct.error):
            raise UpstreamBroken(INVALID) from None
        return self._listed(msgspec.json.encode(floats))

    def _listed(self, vector: bytes) -> bytes:
        if not self._checks.due(self._count, first=self._first is None) and only_numbers(vector):
            return self._even(vector)
        kept = self._convert(vector)
        self._checks.saw(kept=kept is vector)
        return self._even(kept)

    def _even(self, vector: bytes) -> bytes:
        if self._first is None:
            self._first = vector  # often there is no other, and they are long to count in
            return vector
        if self._commas is None:
            self._commas = self._first.count(b",")
        if vector.count(b",") != self._commas:
            raise UpstreamBroken(UNEVEN)
        return vector


def only_numbers(vector: bytes) -> bool:
    """Whether a list has nothing but numbers in it; it says no, too, if they have many exponents or large ones.

    It takes a sixth of the time of reading the numbers: a check of the syntax, and some bytes that must not be there.
    """
    find = vector.find
    if find(b"[", 1) >= 0:
        return False
    for other in _OTHERS:
        if find(other) >= 0:
            return False
    exponents = 0  # or the ends of true and false
    at = find(b"e")
    while at >= 0:
        exponents += 1
        if vector[at + 1] != _MINUS or exponents > _FEW:
            return False
        at = find(b"e", at + 1)
    try:
        _json.decode(vector)
    except msgspec.DecodeError:
        return False
    return True


def _prompt_tokens(usage: Any) -> int | None:
    """Return the prompt tokens; some tell them only as the total, and there is nothing else to a total here."""
    total = usage.get("total_tokens") if isinstance(usage, dict) else None
    return merge(Usage(), usage, None).prompt_tokens or merge(Usage(), {"prompt_tokens": total}, None).prompt_tokens
