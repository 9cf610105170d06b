"""Every way a backend has of saying a chat completion, decoded to events."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Protocol

import msgspec

from ollama_openai_proxy.errors import UpstreamBroken
from ollama_openai_proxy.translate.events import Event, Odd, TextDelta, ThinkingDelta, Usage, note
from ollama_openai_proxy.translate.openai.completion import EMPTY, Completion
from ollama_openai_proxy.translate.openai.errors import Secrets, named_error
from ollama_openai_proxy.translate.openai.halves import Halves
from ollama_openai_proxy.translate.openai.repeats import Repeats, learned
from ollama_openai_proxy.translate.openai.wire import INVALID, UNREADABLE, Chunk, decode_chunk, leniently, strictly
from ollama_openai_proxy.translate.sse import BOM, Splitter

UNEXPECTED = "unexpected content type from upstream"
MAX_EVENT = 16 * 1024 * 1024
_LF = ord("\n")
_MAX_START = 64 * 1024
_LESSONS = 8
_FIELDS = (b"data:", b"event:", b":", b"id:", b"retry:", b"error:")


class Decoder(Protocol):
    """Reply bytes in, events out. `seen`: how many events of a stream were read; `odd`: what was strange in them.

    `finishing`: the finish reason is known and only trailing facts are awaited; `ended`: the last event was `Finish`.
    """

    seen: int
    odd: Odd
    finishing: bool
    ended: bool

    def progress(self) -> tuple[int, bool]:
        """Return how much has come, in events or in bytes, and whether part of an event is there."""

    @property
    def usage(self) -> Usage:
        """What the backend has said by now that it spent."""

    def feed(self, read: bytes, out: list[Event]) -> None:
        """Append what `read` completes. Raises UpstreamError, after what came before it."""

    def close(self, out: list[Event]) -> None:
        """Append the rest, now that no more bytes come. Raises UpstreamError if it was cut."""


def tells(start: bytes) -> bool:
    """Whether these bytes are enough to choose a decoder by."""
    if start[:1] == b"{" or start[:6] == b"data: ":
        return True
    rest = start.removeprefix(BOM).lstrip()
    return rest[:1] in (b"{", b"[", b"<") or len(rest) >= len(b"event:") or len(start) > _MAX_START


def decoder_for(content_type: str, start: bytes, secrets: Secrets = (), max_event: int = MAX_EVENT) -> Decoder:
    """Return the decoder for a reply whose body begins with `start`. `max_event`: the most bytes of an event.

    The content type is only a hint: event streams come as text/plain or without a type, and some
    backends answer whole although a stream was asked for.
    """
    kind = _kind(content_type)
    if not kind:
        raise UpstreamBroken(UNEXPECTED)
    first = start[:1]
    if first not in (b"{", b"d"):
        start = start.removeprefix(BOM).lstrip()
        first = start[:1]
    if first in (b"{", b"["):  # no event begins like that, whatever the type says
        return WholeDecoder(secrets)
    if kind == "text/event-stream" or start.startswith(_FIELDS):
        return StreamDecoder(secrets, max_event)
    if first == b"<":
        raise UpstreamBroken(UNEXPECTED)
    return WholeDecoder(secrets) if kind == "application/json" else StreamDecoder(secrets, max_event)


@lru_cache(maxsize=64)
def _kind(content_type: str) -> str:
    """Return the type without its parameters, "" for one that no reply has, " " for none."""
    kind = content_type.partition(";")[0].strip().lower()
    return "" if kind.startswith(("text/html", "image/", "audio/")) else kind or " "


class StreamDecoder:
    """Server-sent events with chunks."""

    def __init__(self, secrets: Secrets = (), max_event: int = MAX_EVENT, lessons: int = _LESSONS) -> None:
        """`lessons`: after how many reads it is given up to learn what chunks repeat, if none of those was of use."""
        self.odd: Odd = {}
        self.seen = 0
        self._splitter = Splitter(max_event, self.odd)
        self._completion = Completion(secrets, self.odd)
        self._secrets = secrets
        self._marked = False  # whether [DONE] was said
        self._halves: Halves | None = None  # most have none
        self.finishing = self.ended = False
        self._read: Callable[[bytes], Chunk] = strictly
        self._max_event = max_event
        self._known: Repeats | None = None
        self._repeats: Repeats | None = None  # the same, where the next chunk may repeat it
        self._lessons = self._left = lessons

    def progress(self) -> tuple[int, bool]:
        # Some say `{}`, or that they ping, as events; that is no progress.
        return self.seen - self.odd.get("no_choices", 0), self._splitter.partial

    @property
    def usage(self) -> Usage:
        return self._completion.usage

    def feed(self, read: bytes, out: list[Event]) -> None:
        if self._repeats is not None:
            if self._splitter.held and _LF in read:
                read = self._splitter.give_back() + read
            if len(read) <= self._max_event:
                chunks, read = self._repeats.take(read, out)
                self.seen += chunks
                if not read:
                    return
            self._repeats = None
        events: list[tuple[bytes, bytes]] = []
        try:
            self._splitter.feed(read, events)
        finally:
            self.seen += len(events)
            self._events(events, out)
        if self._splitter.between and self._completion.open and self._read is strictly:
            self._repeats = self._learned(events[-1][1], out[-1]) if events and out else self._known

    def _learned(self, data: bytes, said: Event) -> Repeats | None:
        """Return what the chunk after this one may repeat."""
        known = self._known
        if self._left and isinstance(said, TextDelta | ThinkingDelta) and not (known and known.fits(data)):
            self._left = self._lessons if known and known.taken else self._left - 1
            self._known = learned(data, said, passive=self._completion.passive)
        return self._known

    def close(self, out: list[Event]) -> None:
        events: list[tuple[bytes, bytes]] = []
        self._splitter.close(events)
        try:
            self._events(events, out)
        except UpstreamBroken as broken:
            # Half an event: whether the stream had finished before it is what counts.
            if broken.message != INVALID:
                raise
            self.odd.pop("invalid_json", None)
        self._completion.cut(out)
        self.finishing, self.ended = False, True

    def _events(self, events: list[tuple[bytes, bytes]], out: list[Event]) -> None:
        completion = self._completion
        try:
            for name, data in events:
                self._event(name, data, out)
        finally:
            self.finishing, self.ended = completion.finishing, completion.ended

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
                halves = self._halves = self._halves or Halves()
                chunk = leniently(data, Chunk, self.odd, halves)
                self._read = _refuse if halves.holds else strictly
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
        self.finishing = self.ended = False

    def progress(self) -> tuple[int, bool]:
        return self._size, False

    @property
    def usage(self) -> Usage:
        return self._completion.usage

    def feed(self, read: bytes, out: list[Event]) -> None:
        self._size += len(read)
        if not self._parts and read[:1] != b"{" and not (read := read.removeprefix(BOM).lstrip()):
            return  # it may be kept alive by space
        self._parts.append(read)
        if self._alone or (self._alone is None and _LF in read):
            self._look(read)

    def close(self, out: list[Event]) -> None:
        if not self._parts:
            raise UpstreamBroken(EMPTY, outcome="up_empty")
        body = b"".join(self._parts)
        self._completion.add(decode_chunk(body, self.odd), out, body)
        self._completion.end(out)
        self.ended = True

    def _look(self, read: bytes) -> None:
        """Refuse what follows a line that is a value by itself."""
        if self._alone is None:
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
