"""A connection to a backend: HTTP/1.1 on bytes, one request at a time, and strict on what comes back (RFC 9112).

What arrives is parsed in the turn of the loop in which it arrives, and told to the reply that it belongs to.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import NoReturn, Protocol, cast

import httptools

from ollama_openai_proxy.errors import UpstreamBroken, UpstreamError, UpstreamUnreachable
from ollama_openai_proxy.translate.openai.completion import TRUNCATED
from ollama_openai_proxy.upstream.errors import INVALID
from ollama_openai_proxy.upstream.heads import MAX_HEAD, MAX_HEADERS, MAX_INTERIM, Head, Header

# A body is written in one piece up to here, and else in pieces, each of which waits until the one before has gone.
_PIECE = 256 * 1024
# Of a head that is not whole yet, with its first line, or of what may follow a body.
_MAX_UNPARSED = 2 * MAX_HEAD


class Receiver(Protocol):
    """Who gets what comes back."""

    pieces: list[bytes]
    """Of the body, in order: appended to."""
    arrived: Callable[[], None]
    """Called when something came: bytes of the body, its end, or that there is none."""

    def began(self, head: Head) -> None:
        """The head came."""

    def ended(self) -> None:
        """The body is whole."""

    def lost(self, error: UpstreamError, *, heard: bool) -> None:
        """No more comes, and that is not the end of a body. `heard`: whether a byte came since the request."""


class _Stop(Exception):
    """Nothing more is read of this answer."""


class Connection(asyncio.Protocol):
    """A connection. Whoever made it asks, and is told by `on_free` when another request may be sent over it."""

    reused = False
    """Whether it has carried a request before."""

    def __init__(self, on_free: Callable[[Connection], None], on_lost: Callable[[Connection], None]) -> None:
        self._on_free = on_free
        self._on_lost = on_lost
        self._parser = httptools.HttpResponseParser(self)
        self._parser.set_dangerous_leniencies(lenient_spaces_after_chunk_size=True)  # which old servers pad
        self._source: asyncio.Transport | None = None
        self._receiver: Receiver | None = None
        self._headers: list[Header] = []
        self._seen = 0  # bytes of a head, or that came since the last of a body
        self._interim = 0
        self._in_head = True
        self._heard = False
        self._complete = False
        self._spoilt = False  # something came that nobody asked for
        self._keeps = False  # whether the backend keeps it
        self._until_close = False
        self._unsent: memoryview | None = None
        self._writable = True
        self._held = False  # nothing is read for now
        self._deadline: asyncio.TimerHandle | None = None
        self.lost = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called again when TLS is spoken, with what speaks it."""
        self.transport = cast("asyncio.Transport", transport)  # uvloop's is none by its class
        # Held back is what comes before TLS: of what uvloop's TLS holds back the rest is lost if the backend closes.
        self._source = self._source or self.transport

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = True
        self._disarm()
        self._on_lost(self)
        receiver, self._receiver = self._receiver, None
        del self._parser  # it holds on to us
        if receiver is None:
            return
        if not self._in_head and self._until_close and exc is None:
            receiver.ended()
        else:
            receiver.lost(self._loss(exc), heard=self._heard)
        receiver.arrived()

    def eof_received(self) -> None:
        """Close: no answer is left to come, so that what has not been sent of the request need not be."""
        if self._sends():
            self.transport.abort()

    def _loss(self, exc: Exception | None) -> UpstreamError:
        if not self._in_head:
            return UpstreamBroken(TRUNCATED, outcome="up_truncated")
        if exc is not None:
            return UpstreamUnreachable("the connection to the upstream was lost", outcome="up_reset")
        if self._heard:
            return UpstreamBroken(INVALID)
        return UpstreamUnreachable("the upstream closed the connection", outcome="up_reset")

    # Requests.

    def ask(self, head: bytes, body: bytes, receiver: Receiver) -> None:
        """Send a request. The receiver is told all that comes, until it is whole or `abort` is called."""
        self._receiver = receiver
        self._headers = []
        self._seen = self._interim = 0
        self._in_head, self._heard, self._complete, self._until_close = True, False, False, False
        if len(body) <= _PIECE:
            self.transport.write(head + body)  # a write is a packet
        else:
            self.transport.write(head)
            self._unsent = memoryview(body)
            self._pump()

    def _pump(self) -> None:
        if self._unsent is None or not self._writable or self.transport.is_closing():
            return
        self.transport.write(self._unsent[:_PIECE])
        self._unsent = self._unsent[_PIECE:] or None
        if self._unsent is not None:  # a fast peer would leave no turn to others
            asyncio.get_running_loop().call_soon(self._pump)

    def _sends(self) -> bool:
        """Whether something of a request has yet to leave."""
        return self._unsent is not None or self.transport.get_write_buffer_size() > 0

    def pause_writing(self) -> None:
        self._writable = False

    def resume_writing(self) -> None:
        self._writable = True
        self._pump()

    # Answers.

    def data_received(self, data: bytes) -> None:
        receiver = self._receiver
        if receiver is None:  # nobody asked: it would be taken for the answer to the next request
            self.abort()
            return
        self._heard = True
        self._seen += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            if isinstance(error, httptools.HttpParserCallbackError) and not isinstance(error.__context__, _Stop):
                raise  # a mistake of ours, not of the backend
            self._break(receiver)
        else:
            if self._seen > _MAX_UNPARSED and not self._complete:
                self._break(receiver)
        if self._complete:
            self._finish(receiver)
        receiver.arrived()

    def _break(self, receiver: Receiver) -> None:
        """End it for what came, which is no HTTP; what came before that counts."""
        self._spoilt = True
        if not self._complete:
            self._receiver = None
            self.abort()
            receiver.lost(UpstreamBroken(INVALID), heard=True)

    def _finish(self, receiver: Receiver) -> None:
        self._receiver = None
        if self._deadline is not None:
            self._disarm()
        receiver.ended()
        if self._keeps and not self._spoilt and not self._sends() and not self.transport.is_closing():
            self.reused = True
            if self._held:
                self.resume()
            self._on_free(self)
        else:
            self.abort()

    # What the parser calls.

    def on_message_begin(self) -> None:
        self._spoilt = self._spoilt or self._complete

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._in_head:
            return  # a trailer
        if len(self._headers) >= MAX_HEADERS:
            self._stop()
        self._headers.append((name, value))

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        head = Head(status, self._headers)
        if self._spoilt or not head.is_sound(self._parser.get_http_version(), self._seen):
            self._stop()
        if 100 <= status < 200 and status != 101:
            self._interim += 1
            if self._interim > MAX_INTERIM:
                self._stop()
            self._headers = []
            return
        self._in_head = False
        self._keeps = self._parser.should_keep_alive()
        self._until_close = not head.has_length
        if self._receiver is not None:
            self._receiver.began(head)

    def on_body(self, body: bytes) -> None:
        self._seen = 0
        if self._receiver is not None:
            self._receiver.pieces.append(body)

    def on_message_complete(self) -> None:
        self._complete = not self._in_head  # interim heads end, too

    def _stop(self) -> NoReturn:
        raise _Stop

    def pause(self) -> None:
        """Read no more of an answer for now."""
        if self._source is not None and not self._source.is_closing():
            self._held = True
            self._source.pause_reading()

    def resume(self) -> None:
        """Read again."""
        if self._held and self._source is not None and not self._source.is_closing():
            self._held = False
            self._source.resume_reading()

    # The end.

    def abort(self) -> None:
        """Close it now, whatever it carries; the receiver is told no more."""
        self._receiver = None
        self._unsent = None
        self._disarm()
        self.transport.abort()

    def abort_in(self, seconds: float) -> None:
        """Close it then, unless its answer is whole by that time."""
        self._deadline = asyncio.get_running_loop().call_later(seconds, self.abort)

    def _disarm(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
