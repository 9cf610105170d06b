"""Events, encoded as the replies of `/api/chat` and `/api/generate` (contract 3.5 to 3.10, 5.7, 5.8).

A streamed reply is NDJSON: one object a line, no blank lines. A whole one is a single object.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import msgspec

from ollama_openai_proxy.translate.events import (
    NO_USAGE,
    NOTHING_ODD,
    Event,
    Facts,
    Finish,
    Logprobs,
    Pieces,
    TextDelta,
    ThinkingDelta,
    ToolCallDelta,
    Usage,
)
from ollama_openai_proxy.translate.ollama.context import Conversation
from ollama_openai_proxy.translate.ollama.errors import error_record
from ollama_openai_proxy.translate.ollama.metrics import Stopwatch
from ollama_openai_proxy.translate.ollama.times import date, timestamp
from ollama_openai_proxy.translate.ollama.toolcalls import ToolCallCollector
from ollama_openai_proxy.translate.text import escape_separators

NDJSON = "application/x-ndjson"
JSON = "application/json; charset=utf-8"
# Ollama's Go client takes lines of 8 MB; a character may become twelve bytes.
_MAX_PIECE = 64 * 1024
_SECOND = 10**9  # nanoseconds
_NEVER = 2**63
# Entries of log probabilities in a line: with 20 alternatives each they are half a megabyte.
_MAX_ENTRIES = 256

_GOES_ON = b',"done":false'
_DONE = b',"done":true,"done_reason":"stop"'
_DONE_LENGTH = b',"done":true,"done_reason":"length"'

_encode = msgspec.json.encode


class Shape(NamedTuple):
    """What tells a chat's answer from a generation's: what stands around the text, and what comes last."""

    before: bytes
    after: bytes
    metrics_first: bool

    def answer(
        self,
        content: bytes,
        done: bytes,
        thinking: bytes = b"",
        calls: bytes = b"",
        metrics: bytes = b"",
        *,
        logprobs: bytes = b"",
    ) -> bytes:
        """Return the members from the text on. `done` has its reason, `metrics` and `logprobs` have their names."""
        thinking = b',"thinking":' + thinking if thinking else b""
        calls = b',"tool_calls":' + calls if calls else b""
        if self.metrics_first:
            return b"".join((self.before, content, thinking, self.after, done, metrics, calls, logprobs))
        return b"".join((self.before, content, thinking, calls, self.after, done, logprobs, metrics))


CHAT = Shape(b'"message":{"role":"assistant","content":', b"}", metrics_first=False)
GENERATE = Shape(b'"response":', b"", metrics_first=True)


class Reply(NamedTuple):
    """What a reply depends on beside the events.

    `model` is as the client spelled it, `arrived` the time of the request in nanoseconds since
    1970, `top_logprobs` how many alternatives were asked for, None for no logprobs at all.
    """

    shape: Shape
    model: str
    arrived: int
    streamed: bool
    hide_thinking: bool = False
    top_logprobs: int | None = None


def idle_answer(shape: Shape, model: str, now: int, reason: str) -> bytes:
    """Return the answer to a request that only loads or unloads a model."""
    head = b'{"model":' + _encode(model) + b',"created_at":' + _encode(timestamp(now)) + b","
    answer = shape.answer(b'""', b',"done":true,"done_reason":' + _encode(reason))
    return escape_separators(head + answer + b"}")


class ReplyEncoder:
    """Events to lines, or to one object."""

    def __init__(self, reply: Reply) -> None:
        self.media_type = NDJSON if reply.streamed else JSON
        self.streamed = reply.streamed
        self.failed = error_record
        self._reply = reply
        self._head = b'{"model":' + _encode(reply.model) + b',"created_at":"'
        self._watch = Stopwatch()
        self._second = _NEVER  # when the second began that `_dated` is of, after the request arrived
        self._dated = b""  # the beginning of a line, up to the point behind its second
        self._stamp = b""  # the beginning of a line, up to the `Z`
        if reply.streamed:
            self._before = b'Z",' + reply.shape.before
            self._after = reply.shape.after + _GOES_ON + b"}\n"
        self._conversation: Conversation | None = None
        self._usage = NO_USAGE
        self._reason = ""
        self._calls: ToolCallCollector | None = None  # most replies have none
        self._logprobs: list[dict[str, Any]] = []
        self._text: list[str] = []  # of a reply that is not streamed
        self._thinking: list[str] = []

    def opened(self, elapsed: int) -> None:
        self._watch.opened = elapsed

    def encode(self, events: list[Event], elapsed: int, out: list[bytes]) -> None:
        """Append the bytes of `events`. Raises UpstreamBroken for tool calls that are none."""
        self._date(elapsed)
        lines: list[bytes] = []
        try:
            for event in events:  # `isinstance` takes four times as long, for the metaclass that these have
                if type(event) is Pieces:
                    self._watch.token(elapsed)
                    self._add_pieces(event, lines)
                elif type(event) is TextDelta:
                    self._watch.token(elapsed)
                    self._add_text(event.text, lines)
                elif type(event) is Usage:
                    self._usage = event
                elif type(event) is Finish:
                    self._finish(event, elapsed, lines)
                else:
                    self._other(event, elapsed, lines)
        finally:
            if lines:
                written = lines[0] if len(lines) == 1 else b"".join(lines)
                out.append(written if written.isascii() else escape_separators(written))

    def _date(self, elapsed: int) -> None:
        """Date what is written next. Within the same second that takes no more than its digits."""
        since = elapsed - self._second
        if not 0 <= since < _SECOND:
            seconds, since = divmod(self._reply.arrived + elapsed, _SECOND)
            self._second = elapsed - since
            self._dated = self._head + date(seconds).encode() + b"."
        stamp = self._dated + _encode(since).zfill(9)
        self._stamp = stamp if since % 10 else stamp.rstrip(b"0").rstrip(b".")

    def facts(self, usage: Usage = NO_USAGE, events: int = 0, odd: Mapping[str, int] = NOTHING_ODD) -> Facts:
        if self._calls and self._calls.odd:
            odd = {**odd, **self._calls.odd}
        return Facts(usage, self._reason, self._watch.first, self._watch.last, events, odd)

    def _other(self, event: Event, elapsed: int, out: list[bytes]) -> None:
        match event:
            case ThinkingDelta():
                self._watch.token(elapsed)
                self._add_thinking(event.text, out)
            case ToolCallDelta():
                self._watch.token(elapsed)
                self._calls = self._calls or ToolCallCollector(self._reply.arrived)
                self._calls.add(event)
            case Logprobs() if self._reply.top_logprobs is not None:
                self._logprobs += _logprobs(event, self._reply.top_logprobs)

    def _add_pieces(self, pieces: Pieces, out: list[bytes]) -> None:
        json, thinking = pieces.json, pieces.thinking
        if self._logprobs or len(json) > _MAX_PIECE or not self.streamed or (thinking and self._reply.hide_thinking):
            add = self._add_thinking if thinking else self._add_text
            for text in pieces.texts():
                add(text, out)
            return
        if self._conversation and not thinking:
            self._conversation.add("".join(pieces.texts()))
        before = self._before + b'"","thinking":' if thinking else self._before
        if pieces.count > 1:
            json = json.replace(b"\n", b"".join((self._after, self._stamp, before)))
        out.append(b"".join((self._stamp, before, json, self._after)))

    def _add_text(self, text: str, out: list[bytes]) -> None:
        if not self.streamed:
            self._text.append(text)
        elif len(text) <= _MAX_PIECE and not self._logprobs:
            out.append(b"".join((self._stamp, self._before, _encode(text), self._after)))
        else:
            out.extend(self._object(_encode(piece)) for piece in _pieces(text))
            self._tell_logprobs(out)

    def _add_thinking(self, text: str, out: list[bytes]) -> None:
        if self._reply.hide_thinking:
            self._logprobs.clear()
        elif not self.streamed:
            self._thinking.append(text)
        else:
            out.extend(self._object(b'""', _encode(piece)) for piece in _pieces(text))
            self._tell_logprobs(out)

    def _finish(self, finish: Finish, elapsed: int, out: list[bytes]) -> None:
        calls = self._calls.finish() if self._calls else b""
        self._reason = finish.reason
        done = _DONE_LENGTH if finish.reason.lower() in _LENGTH else _DONE
        metrics = self._context() + self._watch.metrics(self._usage, elapsed)
        if self.streamed:
            if calls or self._logprobs:
                out.append(self._object(b'""', calls=calls))
                self._tell_logprobs(out)
            out.append(self._object(b'""', done=done, metrics=metrics))
        else:
            thinking = _encode("".join(self._thinking)) if self._thinking else b""
            out.append(self._object(_encode("".join(self._text)), thinking, calls, done, metrics))

    def _object(
        self, content: bytes, thinking: bytes = b"", calls: bytes = b"", done: bytes = _GOES_ON, metrics: bytes = b""
    ) -> bytes:
        logprobs = self._take_logprobs() if self._logprobs else b""
        answer = self._reply.shape.answer(content, done, thinking, calls, metrics, logprobs=logprobs)
        return b"".join((self._stamp, b'Z",', answer, b"}\n" if self.streamed else b"}"))

    def _context(self) -> bytes:
        return b""

    def _tell_logprobs(self, out: list[bytes]) -> None:
        """Write what no line had room for."""
        while self._logprobs:
            out.append(self._object(b'""'))

    def _take_logprobs(self) -> bytes:
        most = _MAX_ENTRIES if self.streamed else len(self._logprobs)
        taken = b',"logprobs":' + _encode(self._logprobs[:most])
        del self._logprobs[:most]
        return taken


class ContextEncoder(ReplyEncoder):
    """An encoder whose last object has the `context` that carries the conversation on (contract 5.7)."""

    _conversation: Conversation

    def __init__(self, reply: Reply, conversation: Conversation) -> None:
        super().__init__(reply)
        self._conversation = conversation

    def _add_text(self, text: str, out: list[bytes]) -> None:
        self._conversation.add(text)
        super()._add_text(text, out)

    def _context(self) -> bytes:
        return b',"context":' + _encode(self._conversation.numbers())


_LENGTH = frozenset({"length", "max_tokens", "model_length"})


def _pieces(text: str) -> Iterator[str]:
    for start in range(0, len(text), _MAX_PIECE):
        yield text[start : start + _MAX_PIECE]


def _logprobs(event: Logprobs, top: int) -> Iterator[dict[str, Any]]:
    """Yield the entries as Ollama writes them (contract 3.8)."""
    for entry in event.entries:
        if written := _token(entry):
            listed = entry.get("top_logprobs") if top else None
            alternatives = [token for item in listed if (token := _token(item))] if isinstance(listed, list) else []
            if alternatives:
                alternatives.sort(key=lambda item: -item["logprob"])
                written["top_logprobs"] = alternatives[:top]
            yield written


def _token(entry: Any) -> dict[str, Any] | None:
    if not isinstance(entry, dict):
        return None
    token, logprob, code = entry.get("token"), entry.get("logprob"), entry.get("bytes")
    if not isinstance(token, str) or isinstance(logprob, bool) or not isinstance(logprob, int | float):
        return None
    if not math.isfinite(logprob):  # JSON has no such number, and clients want one
        return None
    written: dict[str, Any] = {"token": token, "logprob": logprob}
    if token:
        written["bytes"] = code if code and _are_bytes(code) else list(token.encode())
    return written


def _are_bytes(value: Any) -> bool:
    return isinstance(value, list) and all(type(byte) is int and 0 <= byte <= 255 for byte in value)
