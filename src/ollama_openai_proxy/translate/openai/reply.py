"""Every way a backend has of saying a chat completion, decoded to events."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import msgspec

from ollama_openai_proxy.errors import UpstreamBroken
from ollama_openai_proxy.translate.events import Event, Odd, Usage, note
from ollama_openai_proxy.translate.openai.completion import EMPTY, Completion
from ollama_openai_proxy.translate.openai.errors import Secrets, named_error
from ollama_openai_proxy.translate.openai.halves import Halves
from ollama_openai_proxy.translate.openai.wire import INVALID, UNREADABLE, Chunk, decode_chunk, leniently, strictly
from ollama_openai_proxy.translate.sse import BOM, Splitter

UNEXPECTED = "unexpected content type from upstream"
MAX_EVENT = 16 * 1024 * 1024
_MAX_START = 64 * 1024
_FIELDS = (b"data:", b"event:", b":", b"id:", b"retry:", b"error:")


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
    if kind == "text/event-stream" or start.startswith(_FIELDS):
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
        # Some say `{}`, or that they ping, as events; that is no progress.
        return self.seen - self.odd.get("no_choices", 0), self._splitter.partial

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
    """One JSON object. Several, a line each, are another protocol's stream, and are not waited for to their end.

    How large it may be is for whoever reads it to say.
    """

    def __init__(self, secrets: Secrets = ()) -> None:
        self.odd: Odd = {}
        self.seen = 0
        self._parts: list[bytes] = []
        self._size = 0
        self._alone: bool | None = None  # whether the first line is a value by itself, once it has ended
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
        self._size += len(read)
        if not self._parts and not (read := read.removeprefix(BOM).lstrip()):
            return  # it may be kept alive by space
        self._parts.append(read)
        if self._alone is not False:
            self._look(read)

    def close(self, out: list[Event]) -> None:
        if not self._parts:
            raise UpstreamBroken(EMPTY, outcome="up_empty")
        body = b"".join(self._parts)
        self._completion.add(decode_chunk(body, self.odd), out, body)
        self._completion.end(out)

    def _look(self, read: bytes) -> None:
        """Refuse what follows a line that is a value by itself."""
        if self._alone is None:
            if b"\n" not in read:
                return
            line, _, read = b"".join(self._parts).partition(b"\n")
            self._alone = _is_value(line)
        if self._alone and not read.isspace() and read:
            note(self.odd, "invalid_json")
            raise UpstreamBroken(INVALID)


def _is_value(text: bytes) -> bool:
    try:
        msgspec.json.decode(text, type=msgspec.Raw)
    except UNREADABLE:
        return False
    return True


def _refuse(_data: bytes) -> Chunk:
    """Read nothing strictly: the chunk has to be joined to the one before."""
    raise msgspec.DecodeError


def _is_done(data: bytes) -> bool:
    return data.strip(b" \t\"'").upper() == b"[DONE]"
