"""A reply, from the upstream's bytes to the client's.

A translator joins a decoder (bytes to events) and an encoder (events to bytes). It holds no socket
and no clock: whoever has them says how much time has passed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from ollama_openai_proxy.errors import ProxyError, UpstreamBroken, UpstreamError
from ollama_openai_proxy.translate.events import NO_USAGE, NOTHING_ODD, Event, Facts, Usage
from ollama_openai_proxy.translate.openai.completion import EMPTY
from ollama_openai_proxy.translate.openai.reply import MAX_EVENT, Decoder, decoder_for, tells

# Bytes of a reply with vectors: 2,048 of them with 3,072 numbers each, all printed with 17 digits, are 145 million.
MAX_VECTORS = 160 * 1024 * 1024


class Translator(Protocol):
    """What an exchange needs to know of a translation.

    `media_type` is the client's; `streamed` tells whether output may leave before the end.
    `elapsed` is nanoseconds since the request arrived. After a failure the output so far is still
    valid, and nothing may follow it but `failed`.
    """

    media_type: str
    streamed: bool
    failure: UpstreamError | None
    begun: bool
    """Whether any of the answer has come; comments and roles are none of it."""
    finishing: bool
    """Whether only facts that some backends never send are awaited."""
    done: bool
    """Whether the client's reply is whole."""

    def progress(self) -> tuple[int, bool]:
        """Return how much has come, in events or in bytes, and whether part of an event is there."""

    def open(self, content_type: str, elapsed: int) -> None:
        """The upstream was asked at `elapsed`, and answers with this content type."""

    def feed(self, read: bytes, elapsed: int) -> bytes:
        """Translate one read."""

    def close(self, elapsed: int) -> bytes:
        """Translate what is left, now that the upstream's reply has ended."""

    def failed(self, error: ProxyError) -> bytes:
        """Return the record that tells a client, in mid-stream, that no more comes."""

    def facts(self) -> Facts:
        """Return what is known of the reply by now."""


class Encoder(Protocol):
    """Events in, a client's bytes out."""

    media_type: str
    streamed: bool

    def opened(self, elapsed: int) -> None:
        """The upstream was asked at `elapsed`."""

    def encode(self, events: list[Event], elapsed: int, out: list[bytes]) -> None:
        """Append the bytes of `events`. Raises UpstreamError, after them, for what makes no reply."""

    def failed(self, error: ProxyError) -> bytes:
        """Return the error record."""

    def facts(self, usage: Usage = NO_USAGE, events: int = 0, odd: Mapping[str, int] = NOTHING_ODD) -> Facts:
        """Return what is known of the reply by now, with what is known of the upstream's."""


class ReplyTranslator:
    """A completion, in any of the upstream's shapes, to any client's."""

    def __init__(self, encoder: Encoder, secrets: tuple[str, ...] = (), max_event: int = MAX_EVENT) -> None:
        """`secrets` must not appear in what an upstream's error is translated to. `max_event`: the most bytes of an
        event of a stream."""
        self._secrets = secrets
        self._max_event = max_event
        self.media_type = encoder.media_type
        self.streamed = encoder.streamed
        self.failure: UpstreamError | None = None
        self.begun = self.finishing = self.done = False
        self.failed = encoder.failed
        self._encoder = encoder
        self._decoder: Decoder | None = None
        self._content_type = ""
        self._start = b""  # until it tells what decodes it

    def progress(self) -> tuple[int, bool]:
        return self._decoder.progress() if self._decoder else (len(self._start), False)

    def open(self, content_type: str, elapsed: int) -> None:
        self._content_type = content_type
        self._encoder.opened(elapsed)

    def feed(self, read: bytes, elapsed: int) -> bytes:
        events: list[Event] = []
        try:
            if self._decoder is None:
                read = self._start = self._start + read
                if not tells(read):
                    return b""
                self._decoder = decoder_for(self._content_type, read, self._secrets, self._max_event)
                self._start = b""
            self._decoder.feed(read, events)
            if events:
                self.begun = True
        except UpstreamError as error:
            self.failure = error
        return self._encode(events, elapsed)

    def close(self, elapsed: int) -> bytes:
        events: list[Event] = []
        try:
            if self._decoder is None:
                if not self._start:
                    raise UpstreamBroken(EMPTY, outcome="up_empty")
                self._decoder = decoder_for(self._content_type, self._start, self._secrets, self._max_event)
                self._decoder.feed(self._start, events)
            self._decoder.close(events)
        except UpstreamError as error:
            self.failure = error
        return self._encode(events, elapsed)

    def facts(self) -> Facts:
        decoder = self._decoder
        if decoder is None:
            return self._encoder.facts()
        return self._encoder.facts(decoder.usage, decoder.seen, decoder.odd)

    def _encode(self, events: list[Event], elapsed: int) -> bytes:
        out: list[bytes] = []
        if events:
            try:
                self._encoder.encode(events, elapsed, out)
            except UpstreamError as error:
                self.failure = error
        if (decoder := self._decoder) is not None:
            self.finishing, self.done = decoder.finishing, decoder.ended and self.failure is None
        return out[0] if len(out) == 1 else b"".join(out)


class WholeTranslator:
    """A reply that is JSON on both sides, such as embeddings."""

    media_type = "application/json; charset=utf-8"
    streamed = False
    finishing = False
    begun = False

    def __init__(self, take: Take, answer: Answer, failed: Failed) -> None:
        self.failure: UpstreamError | None = None
        self.failed = failed
        self._take = take
        self._answer = answer
        self._size = 0
        self._opened = 0
        self._usage = Usage()
        self.done = False

    def progress(self) -> tuple[int, bool]:
        return self._size, False

    def open(self, content_type: str, elapsed: int) -> None:
        self._opened = elapsed

    def feed(self, read: bytes, elapsed: int) -> bytes:
        self._size += len(read)
        try:
            self._take(read)
        except UpstreamError as error:
            self.failure = error
        return b""

    def close(self, elapsed: int) -> bytes:
        try:
            body, self._usage = self._answer(self._opened, elapsed)
        except UpstreamError as error:
            self.failure = error
            return b""
        self.done = True
        return body

    def facts(self) -> Facts:
        return Facts(self._usage)


class Take(Protocol):
    def __call__(self, read: bytes, /) -> None:
        """Take in what was read. Raises UpstreamError."""


class Answer(Protocol):
    def __call__(self, opened: int, elapsed: int, /) -> tuple[bytes, Usage]:
        """Return the client's body, and what the upstream says it spent. Raises UpstreamError."""


class Failed(Protocol):
    def __call__(self, error: ProxyError, /) -> bytes:
        """Return the error record."""
