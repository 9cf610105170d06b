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
from ollama_openai_proxy.translate.openai.thinktags import ThinkTags
from ollama_openai_proxy.translate.openai.toolcalls import ToolCalls
from ollama_openai_proxy.translate.openai.wire import Choice, Chunk, Message, ToolCall, decode_chunk
from ollama_openai_proxy.translate.sse import BOM, Splitter

TRUNCATED = "the upstream closed the stream before finishing"
EMPTY = "empty response from upstream"
UNEXPECTED = "unexpected content type from upstream"
MAX_EVENT = 16 * 1024 * 1024
MAX_BODY = 64 * 1024 * 1024

# The finish reasons of generations that did not finish.
_FAILED = {"error": "the upstream failed while generating", "abort": "the upstream aborted the generation"}


class Decoder(Protocol):
    """Reply bytes in, events out."""

    @property
    def finishing(self) -> bool:
        """Whether the finish reason is known and only trailing facts are awaited."""

    @property
    def ended(self) -> bool:
        """Whether `Finish` was yielded."""

    def feed(self, read: bytes) -> Iterator[Event]:
        """Yield what `read` completes. Raises UpstreamError."""

    def close(self) -> Iterator[Event]:
        """Yield the rest, now that no more bytes come. Raises UpstreamError if it was cut."""


def decoder_for(content_type: str, start: bytes, secrets: Secrets = ()) -> Decoder:
    """Return the decoder for a reply whose body begins with `start`.

    The content type is only a hint: event streams come as text/plain or without a type, and some
    backends answer whole although a stream was asked for.
    """
    kind = content_type.partition(";")[0].strip().lower()
    if kind == "text/event-stream":
        return StreamDecoder(secrets)
    if kind.startswith(("text/html", "image/", "audio/")):
        raise UpstreamBroken(UNEXPECTED)
    if start.removeprefix(BOM).lstrip()[:1] in (b"{", b"["):
        return WholeDecoder(secrets)
    if start.lstrip()[:1] == b"<":
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
        return bool(self._reason) and not self.ended

    def add(self, chunk: Chunk) -> Iterator[Event]:
        if chunk.error:
            raise stream_error(chunk.error, self._secrets)
        if chunk.object == "error":
            raise stream_error({"message": chunk.message, "code": chunk.code}, self._secrets)
        choice = _first(chunk.choices)
        if choice:
            self._any = True
            yield from self._choice(choice)
        if chunk.usage or chunk.timings:
            self._usage = usage.merge(self._usage, chunk.usage, chunk.timings)
            self._terminated = self._terminated or (self._has_content and not chunk.choices)
            if self._reason:
                yield from self.end()

    def end(self) -> Iterator[Event]:
        """Finish: all that can follow has come, or nothing more will."""
        if self.ended:
            return
        if not self._any:
            raise UpstreamBroken(EMPTY, outcome="up_empty")
        self.ended = True
        yield from self._tags.close()
        if self._usage != Usage():
            yield self._usage
        yield Finish(self._reason or "stop")

    def cut(self) -> Iterator[Event]:
        """The bytes ended: finish if the backend had said so, fail if not."""
        if self._reason or self._terminated:
            yield from self.end()
        elif not self.ended:
            broken = UpstreamBroken(TRUNCATED, outcome="up_truncated")
            raise broken if self._any else UpstreamBroken(EMPTY, outcome="up_empty")

    def _choice(self, choice: Choice) -> Iterator[Event]:
        if isinstance(choice.logprobs, dict) and (entries := choice.logprobs.get("content")):
            yield Logprobs(entries)
        message = choice.delta or choice.message
        if message:
            yield from self._message(message)
        elif choice.text and isinstance(choice.text, str):
            self._has_content = True
            yield TextDelta(choice.text)
        reason = choice.finish_reason
        if reason and isinstance(reason, str):
            if reason in _FAILED:
                raise UpstreamBroken(_FAILED[reason], outcome="up_midstream_error")
            self._reason = reason

    def _message(self, message: Message) -> Iterator[Event]:
        if thinking := _thinking(message):
            self._has_content = True
            yield ThinkingDelta(thinking)
        content = message.content
        if content:
            self._has_content = True
            if type(content) is str:
                yield from self._text(content)
            else:
                yield from _parts(content)
        if message.refusal and isinstance(message.refusal, str):
            yield TextDelta(message.refusal)
        if message.tool_calls:
            yield from self._tools.add(message.tool_calls)
        elif message.function_call:
            yield from self._tools.add([ToolCall(index=0, function=message.function_call)])

    def _text(self, text: str) -> Iterator[Event]:
        if self._tags.passive:
            yield TextDelta(text)
        else:
            yield from self._tags.feed(text)


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

    def feed(self, read: bytes) -> Iterator[Event]:
        for name, data in self._splitter.feed(read):
            yield from self._event(name, data)

    def close(self) -> Iterator[Event]:
        try:
            for name, data in self._splitter.close():
                yield from self._event(name, data)
        except UpstreamBroken:
            # Half an event: whether the stream had finished before it is what counts.
            pass
        yield from self._completion.cut()

    def _event(self, name: bytes, data: bytes) -> Iterator[Event]:
        completion = self._completion
        if completion.ended:
            return
        if name == b"error":
            raise named_error(data, self._secrets)
        if data.startswith(b"{"):
            yield from completion.add(decode_chunk(data))
        elif data.strip(b" \"'").upper() == b"[DONE]":
            yield from completion.end()
        elif data.strip():
            yield from completion.add(decode_chunk(data))


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

    def feed(self, read: bytes) -> Iterator[Event]:
        self._parts.append(read)
        self._size += len(read)
        if self._size > MAX_BODY:
            raise UpstreamBroken("the upstream's response is too large")
        return iter(())

    def close(self) -> Iterator[Event]:
        body = b"".join(self._parts).removeprefix(BOM)
        yield from self._completion.add(decode_chunk(body))
        yield from self._completion.end()


def _first(choices: list[Choice] | None) -> Choice | None:
    """Return choice 0; others answer what nobody asked."""
    for choice in choices or ():
        if choice.index in (0, None, "0"):
            return choice
    return None


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
    """Yield content that comes as a list of parts: text, and with Mistral thinking."""
    for part in content if isinstance(content, list) else ():
        if isinstance(part, dict) and isinstance(part.get("thinking"), list):
            if thinking := "".join(_string(piece, "text") for piece in part["thinking"]):
                yield ThinkingDelta(thinking)
        elif text := _string(part, "text"):
            yield TextDelta(text)


def _string(part: Any, key: str) -> str:
    value = part.get(key) if isinstance(part, dict) else part
    return value if isinstance(value, str) else ""
