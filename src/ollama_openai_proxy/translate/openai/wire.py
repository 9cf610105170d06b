"""Chat completions as they come over the wire, whole and in chunks.

https://platform.openai.com/docs/api-reference/chat. Fields that backends disagree on are `Any`:
`reply.py` looks at what they hold. Unknown fields are skipped.
"""

from __future__ import annotations

import json
from typing import Any

import msgspec

from ollama_openai_proxy.errors import UpstreamBroken
from ollama_openai_proxy.translate.text import mend

INVALID = "the upstream sent invalid JSON"


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


_chunk = msgspec.json.Decoder(Chunk)


def decode_chunk(data: bytes) -> Chunk:
    """Return the chunk. Raises UpstreamBroken when it is none."""
    try:
        return _chunk.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _decode_leniently(data)


def _decode_leniently(data: bytes) -> Chunk:
    """Take what only breaks the rules of text: bytes that are no UTF-8, halves of surrogate pairs.

    Some backends cut a character between two tokens. It is lost either way; the rest is not.
    """
    try:
        value = json.loads(data.decode("utf-8", "replace"))
        return msgspec.convert(mend(value), Chunk)
    except (ValueError, msgspec.ValidationError, RecursionError):
        raise UpstreamBroken(INVALID) from None
