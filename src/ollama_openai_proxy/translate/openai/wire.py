"""Chat completions as they come over the wire, whole and in chunks.

https://platform.openai.com/docs/api-reference/chat. Fields that backends disagree on are `Any`:
`reply.py` looks at what they hold. Unknown fields are skipped.
"""

from __future__ import annotations

import json
from typing import Any, TypeVar

import msgspec

from ollama_openai_proxy.errors import UpstreamBroken
from ollama_openai_proxy.translate.events import Odd, note
from ollama_openai_proxy.translate.openai.halves import Halves
from ollama_openai_proxy.translate.text import mend

INVALID = "the upstream sent invalid JSON"
REPLACEMENT = "\ufffd"


class Function(msgspec.Struct, gc=False):
    name: Any = None
    arguments: Any = None


class ToolCall(msgspec.Struct, gc=False):
    index: Any = None
    id: Any = None
    function: Function | None = None


class Message(msgspec.Struct, gc=False):
    """A message, or the delta of one."""

    content: Any = None
    reasoning_content: Any = None
    reasoning: Any = None
    reasoning_details: Any = None
    thinking: Any = None
    refusal: Any = None
    tool_calls: list[ToolCall] | None = None
    function_call: Function | None = None


class Choice(msgspec.Struct, gc=False):
    index: Any = None
    delta: Message | None = None
    message: Message | None = None
    text: Any = None
    finish_reason: Any = None
    logprobs: Any = None


class Chunk(msgspec.Struct, gc=False):
    """A chunk of a streamed completion, or a whole one."""

    choices: list[Choice] | None = None
    usage: Any = None
    timings: Any = None
    error: Any = None
    object: Any = None
    message: Any = None
    code: Any = None


class Native(msgspec.Struct, gc=False):
    """A chunk in llama.cpp's own shape, which `/infill` has."""

    content: Any = None
    stop: Any = None
    stop_type: Any = None
    completion_probabilities: Any = None


Kind = TypeVar("Kind", Chunk, Native)
_native = msgspec.json.Decoder(Native)
strictly = msgspec.json.Decoder(Chunk).decode
UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def decode_chunk(data: bytes, odd: Odd) -> Chunk:
    """Return the chunk. Raises UpstreamBroken when it is none; `odd` counts that, and text that is none."""
    try:
        return strictly(data)
    except UNREADABLE:
        return leniently(data, Chunk, odd)


def native(data: bytes) -> list[Choice]:
    """Return the choice of a chunk that has none of its own, where it is in llama.cpp's shape."""
    try:
        chunk = _native.decode(data)
    except UNREADABLE:
        chunk = leniently(data, Native, {})
    if type(chunk.stop) is not bool or not isinstance(chunk.content, str):
        return []
    reason = ("length" if chunk.stop_type == "limit" else "stop") if chunk.stop else None
    logprobs = {"content": chunk.completion_probabilities} if chunk.completion_probabilities else None
    return [Choice(text=chunk.content, finish_reason=reason, logprobs=logprobs)]


def leniently(data: bytes, kind: type[Kind], odd: Odd, halves: Halves | None = None) -> Kind:
    """Take what only breaks the rules of text: bytes that are no UTF-8, halves of surrogate pairs.

    Some backends cut a character between two tokens. `halves` may join it; else it is lost, and the rest is not.
    """
    text = data.decode("utf-8", "replace")
    try:
        value = json.loads(text)
        if halves:
            halves.join(value)
        found = msgspec.convert(mend(value), kind)
    except (ValueError, msgspec.ValidationError, RecursionError):
        note(odd, "invalid_json")
        raise UpstreamBroken(INVALID) from None
    if REPLACEMENT in text:
        note(odd, "bad_utf8")
    return found
