"""Every way a backend has of saying a chat completion, decoded to events."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import msgspec

from ollama_openai_proxy.errors import UpstreamBroken
from ollama_openai_proxy.translate.events import Event, Odd, Usage, note
from ollama_openai_proxy.translate.openai.completion import Completion
from ollama_openai_proxy.translate.openai.errors import Secrets, named_error
from ollama_openai_proxy.translate.openai.halves import Halves
from ollama_openai_proxy.translate.openai.wire import INVALID, UNREADABLE, Chunk, decode_chunk, leniently, strictly
from ollama_openai_proxy.translate.sse import BOM, Splitter

UNEXPECTED = "unexpected content type from upstream"
MAX_EVENT = 16 * 1024 * 1024
MAX_BODY = 64 * 1024 * 1024
_MAX_START = 64 * 1024


class Decoder(Protocol):
    """Reply bytes in, events out. `seen`: how many events of a stream were read; `odd`: what was strange in them."""

    seen: int
    odd: Odd

    def progress(self) -> tuple[int, bool]:
        """Return how much has come, in events or in bytes, and whether part of an event is there."""

    @property
    def finishing(self) -> bool:
        """Whether the finish reason is known and only trailing facts are awaited."""

    @property
    def ended(self) -> bool:
        """Whether the last event was `Finish`."""

    @property
    def usage(self) -> Usage:
        """What the backend has said by now that it spent."""

    def feed(self, read: bytes, out: list[Event]) -> None:
        """Append what `read` completes. Raises UpstreamError, after what came before it."""

    def close(self, out: list[Event]) -> None:
        """Append the rest, now that no more bytes come. Raises UpstreamError if it was cut."""


def tells(start: bytes) -> bool:
    """Whether these bytes are enough to choose a decoder by."""
    rest = start.removeprefix(BOM).lstrip()
    return rest[:1] in (b"{", b"[", b"<") or len(rest) >= len(b"event:") or len(start) > _MAX_START


def decoder_for(content_type: str, start: bytes, secrets: Secrets = (), max_event: int = MAX_EVENT) -> Decoder:
    """Return the decoder for a reply whose body begins with `start`. `max_event`: the most bytes of an event.

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
        return StreamDecoder(secrets, max_event)
    if first == b"<":
        raise UpstreamBroken(UNEXPECTED)
    return WholeDecoder(secrets) if kind == "application/json" else StreamDecoder(secrets, max_event)


class StreamDecoder:
    """Server-sent events with chunks."""

    def __init__(self, secrets: Secrets = (), max_event: int = MAX_EVENT) -> None:
        self.odd: Odd = {}
        self.seen = 0
        self._splitter = Splitter(max_event, self.odd)
        self._completion = Completion(secrets, self.odd)
        self._secrets = secrets
        self._marked = False  # whether [DONE] was said
        self._halves = Halves()
        self._read: Callable[[bytes], Chunk] = strictly

    def progress(self) -> tuple[int, bool]:
        return self.seen, self._splitter.partial

    @property
    def finishing(self) -> bool:
        return self._completion.finishing

    @property
    def ended(self) -> bool:
        return self._completion.ended

    @property
    def usage(self) -> Usage:
        return self._completion.usage

    def feed(self, read: bytes, out: list[Event]) -> None:
        events: list[tuple[bytes, bytes]] = []
        try:
            self._splitter.feed(read, events)
        finally:
            self.seen += len(events)
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
            self.odd.pop("invalid_json", None)
        self._completion.cut(out)

    def _event(self, name: bytes, data: bytes, out: list[Event]) -> None:
        completion = self._completion
        if completion.ended:
            self._trailing(data)
            return
        if name == b"error":
            raise named_error(data, self._secrets)
        if data.startswith(b"{"):
            try:
                chunk = self._read(data)
            except UNREADABLE:
                chunk = leniently(data, Chunk, self.odd, self._halves)
                self._read = _refuse if self._halves.holds else strictly
            completion.add(chunk, out, data)
        elif _is_done(data):
            self._marked = True
            completion.end(out)
        elif data.strip():
            completion.add(decode_chunk(data, self.odd), out, data)
        else:
            note(self.odd, "empty")

    def _trailing(self, data: bytes) -> None:
        """Nothing counts after the end, but one [DONE] is as it should be where usage was the end."""
        marks = _is_done(data)
        if self._marked or not marks:
            note(self.odd, "after_done")
        self._marked = self._marked or marks


class WholeDecoder:
    """One JSON object."""

    def __init__(self, secrets: Secrets = ()) -> None:
        self.odd: Odd = {}
        self.seen = 0
        self._parts: list[bytes] = []
        self._size = 0
        self._completion = Completion(secrets, self.odd)
        self.finishing = False

    def progress(self) -> tuple[int, bool]:
        return self._size, False

    @property
    def ended(self) -> bool:
        return self._completion.ended

    @property
    def usage(self) -> Usage:
        return self._completion.usage

    def feed(self, read: bytes, out: list[Event]) -> None:
        self._parts.append(read)
        self._size += len(read)
        if self._size > MAX_BODY:
            raise UpstreamBroken("the upstream's response is too large")

    def close(self, out: list[Event]) -> None:
        body = b"".join(self._parts).removeprefix(BOM)
        self._completion.add(decode_chunk(body, self.odd), out, body)
        self._completion.end(out)


def _refuse(_data: bytes) -> Chunk:
    """Read nothing strictly: the chunk has to be joined to the one before."""
    raise msgspec.DecodeError


def _is_done(data: bytes) -> bool:
    return data.strip(b" \t\"'").upper() == b"[DONE]"
