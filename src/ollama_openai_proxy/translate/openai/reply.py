"""Every way a backend has of saying a chat completion, decoded to events."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

from ollama_openai_proxy.errors import UpstreamBroken
from ollama_openai_proxy.translate.events import (
    Event,
    Finish,
    Logprobs,
    TextDelta,
    ThinkingDelta,
    Usage,
)
from ollama_openai_proxy.translate.openai import usage
from ollama_openai_proxy.translate.openai.errors import Secrets, named_error, stream_error
from ollama_openai_proxy.translate.openai.logprobs import entries
from ollama_openai_proxy.translate.openai.thinktags import ThinkTags
from ollama_openai_proxy.translate.openai.toolcalls import ToolCalls
from ollama_openai_proxy.translate.openai.wire import INVALID, Choice, Chunk, Message, ToolCall, decode_chunk, native
from ollama_openai_proxy.translate.sse import BOM, Splitter

TRUNCATED = "the upstream closed the stream before finishing"
EMPTY = "empty response from upstream"
UNEXPECTED = "unexpected content type from upstream"
MAX_EVENT = 16 * 1024 * 1024
MAX_BODY = 64 * 1024 * 1024
_MAX_START = 64 * 1024

# The finish reasons of generations that did not finish.
_FAILED = {"error": "the upstream failed while generating", "abort": "the upstream aborted the generation"}


class Decoder(Protocol):
    """Reply bytes in, events out."""

    @property
    def finishing(self) -> bool:
        """Whether the finish reason is known and only trailing facts are awaited."""

    @property
    def ended(self) -> bool:
        """Whether the last event was `Finish`."""

    def feed(self, read: bytes, out: list[Event]) -> None:
        """Append what `read` completes. Raises UpstreamError, after what came before it."""

    def close(self, out: list[Event]) -> None:
        """Append the rest, now that no more bytes come. Raises UpstreamError if it was cut."""


def tells(start: bytes) -> bool:
    """Whether these bytes are enough to choose a decoder by."""
    rest = start.removeprefix(BOM).lstrip()
    return rest[:1] in (b"{", b"[", b"<") or len(rest) >= len(b"event:") or len(start) > _MAX_START


def decoder_for(content_type: str, start: bytes, secrets: Secrets = ()) -> Decoder:
    """Return the decoder for a reply whose body begins with `start`.

    The content type is only a hint: event streams come as text/plain or without a type, and some
    backends answer whole although a stream was asked for.
    """
    kind = content_type.partition(";")[0].strip().lower()
    if kind.startswith(("text/html", "image/", "audio/")):
        raise UpstreamBroken(UNEXPECTED)
    start = start.removeprefix(BOM).lstrip()
    first = start[:1]
    if first in (b"{", b"["):  # no event begins like that, whatever the type says
        return WholeDecoder(secrets)
    if kind == "text/event-stream" or start.startswith((b"data:", b"event:", b":")):
        return StreamDecoder(secrets)
    if first == b"<":
        raise UpstreamBroken(UNEXPECTED)
    return WholeDecoder(secrets) if kind == "application/json" else StreamDecoder(secrets)


class _Completion:
    """What the chunks of one completion add up to."""

    def __init__(self, secrets: Secrets) -> None:
        self._secrets = secrets
        self._tools = ToolCalls()
        self._tags = ThinkTags()
        self._reason = ""
        self._usage = Usage()
        self._has_content = False
        self._terminated = False
        self._any = False
        self.ended = False

    @property
    def finishing(self) -> bool:
        return (bool(self._reason) or self._terminated) and not self.ended

    def add(self, chunk: Chunk, out: list[Event], data: bytes) -> None:
        """Append what a chunk says; `data` is the JSON that it was read from."""
        if chunk.error:
            raise stream_error(chunk.error, self._secrets)
        if chunk.object == "error":
            raise stream_error({"message": chunk.message, "code": chunk.code}, self._secrets)
        choices = chunk.choices or native(data)
        for choice in choices:
            if not choice.index or choice.index == "0":  # others answer what nobody asked
                self._any = True
                self._choice(choice, out)
        if chunk.usage or chunk.timings:
            self._usage = usage.merge(self._usage, chunk.usage, chunk.timings)
            self._terminated = self._terminated or (self._has_content and not choices)
            if self._reason and chunk.usage and not choices:  # the last of all facts
                self.end(out)

    def end(self, out: list[Event]) -> None:
        """Finish: all that can follow has come, or nothing more will."""
        if self.ended:
            return
        if not self._any:
            raise UpstreamBroken(EMPTY, outcome="up_empty")
        self.ended = True
        out.extend(self._tags.close())
        if self._usage != Usage():
            out.append(self._usage)
        out.append(Finish(self._reason or "stop"))

    def cut(self, out: list[Event]) -> None:
        """The bytes ended: finish if the backend had said so, fail if not."""
        if self._reason or self._terminated:
            self.end(out)
        elif not self.ended:
            broken = UpstreamBroken(TRUNCATED, outcome="up_truncated")
            raise broken if self._any else UpstreamBroken(EMPTY, outcome="up_empty")

    def _choice(self, choice: Choice, out: list[Event]) -> None:
        if choice.logprobs and (found := entries(choice.logprobs)):
            out.append(Logprobs(found))
        message = choice.delta or choice.message
        if message:
            self._message(message, out)
        elif choice.text and isinstance(choice.text, str):
            self._has_content = True
            out.append(TextDelta(choice.text))
        reason = choice.finish_reason
        if reason and isinstance(reason, str):
            if reason in _FAILED:
                raise UpstreamBroken(_FAILED[reason], outcome="up_midstream_error")
            self._reason = reason

    def _message(self, message: Message, out: list[Event]) -> None:
        if thinking := _thinking(message):
            self._has_content = True
            out.append(ThinkingDelta(thinking))
        content = message.content
        if content:
            self._has_content = True
            if type(content) is not str:
                out.extend(_parts(content))
            elif self._tags.passive:
                out.append(TextDelta(content))
            else:
                out.extend(self._tags.feed(content))
        if message.refusal and isinstance(message.refusal, str):
            self._has_content = True
            out.append(TextDelta(message.refusal))
        if message.tool_calls:
            self._has_content = True
            out.extend(self._tools.add(message.tool_calls))
        elif message.function_call:
            self._has_content = True
            out.extend(self._tools.add([ToolCall(index=0, function=message.function_call)]))


class StreamDecoder:
    """Server-sent events with chunks."""

    def __init__(self, secrets: Secrets = ()) -> None:
        self._splitter = Splitter(MAX_EVENT)
        self._completion = _Completion(secrets)
        self._secrets = secrets

    @property
    def finishing(self) -> bool:
        return self._completion.finishing

    @property
    def ended(self) -> bool:
        return self._completion.ended

    def feed(self, read: bytes, out: list[Event]) -> None:
        events: list[tuple[bytes, bytes]] = []
        try:
            self._splitter.feed(read, events)
        finally:
            for name, data in events:
                self._event(name, data, out)

    def close(self, out: list[Event]) -> None:
        events: list[tuple[bytes, bytes]] = []
        self._splitter.close(events)
        try:
            for name, data in events:
                self._event(name, data, out)
        except UpstreamBroken as broken:
            # Half an event: whether the stream had finished before it is what counts.
            if broken.message != INVALID:
                raise
        self._completion.cut(out)

    def _event(self, name: bytes, data: bytes, out: list[Event]) -> None:
        completion = self._completion
        if completion.ended:
            return
        if name == b"error":
            raise named_error(data, self._secrets)
        if data.startswith(b"{"):
            completion.add(decode_chunk(data), out, data)
        elif data.strip(b" \t\"'").upper() == b"[DONE]":
            completion.end(out)
        elif data.strip():
            completion.add(decode_chunk(data), out, data)


class WholeDecoder:
    """One JSON object."""

    def __init__(self, secrets: Secrets = ()) -> None:
        self._parts: list[bytes] = []
        self._size = 0
        self._completion = _Completion(secrets)
        self.finishing = False

    @property
    def ended(self) -> bool:
        return self._completion.ended

    def feed(self, read: bytes, out: list[Event]) -> None:
        self._parts.append(read)
        self._size += len(read)
        if self._size > MAX_BODY:
            raise UpstreamBroken("the upstream's response is too large")

    def close(self, out: list[Event]) -> None:
        body = b"".join(self._parts).removeprefix(BOM)
        self._completion.add(decode_chunk(body), out, body)
        self._completion.end(out)


def _thinking(message: Message) -> str:
    """Return the reasoning, which some backends send under two names at once."""
    for value in (message.reasoning_content, message.reasoning, message.thinking):
        if value and isinstance(value, str):
            return value
    details = message.reasoning_details
    if not isinstance(details, list):
        return ""
    return "".join(_string(part, "text") or _string(part, "summary") for part in details)


def _parts(content: Any) -> Iterator[Event]:
    """Yield content that comes as a list of parts: text, and with Mistral thinking, itself in parts."""
    for part in content if isinstance(content, list) else ():
        if isinstance(part, dict) and (thought := part.get("thinking")):
            pieces = thought if isinstance(thought, list) else [thought]
            if thinking := "".join(_string(piece, "text") for piece in pieces):
                yield ThinkingDelta(thinking)
        elif text := _string(part, "text"):
            yield TextDelta(text)


def _string(part: Any, key: str) -> str:
    value = part.get(key) if isinstance(part, dict) else part
    return value if isinstance(value, str) else ""
