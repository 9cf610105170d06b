"""The heads of replies, checked where aiohttp is lenient or knows no limit."""

from __future__ import annotations

from collections.abc import Sequence
from contextvars import ContextVar
from typing import Any

from aiohttp import ClientError, StreamReader, TCPConnector
from aiohttp.client_proto import ResponseHandler
from aiohttp.http import HttpProcessingError, RawResponseMessage
from aiohttp.http_parser import HttpParser

MAX_HEAD = 64 * 1024
"""Bytes of a head, and of each line in it."""
MAX_HEADERS = 1024
MAX_INTERIM = 10
"""How many interim heads (100 Continue, 103 Early Hints) may come before the reply's own."""

REACHED: ContextVar[bool] = ContextVar("reached")
"""Becomes true for the task in which a connection is made, before TLS is spoken over it."""

_Parsed = tuple[Sequence[tuple[RawResponseMessage, StreamReader]], bool, bytes]

_FRAME = 4  # bytes of a header beside its name and value: ": " and the line end


class Connector(TCPConnector):
    """A pool of connections whose heads are checked."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._factory = self._handler  # type: ignore[assignment]  # a kind of its own

    def _handler(self) -> Handler:
        REACHED.set(True)
        return Handler(self._loop)


class Handler(ResponseHandler):
    """A connection. It drops interim heads, and fails at a head that is too large or whose framing is in doubt.

    Where the framing of a body turns out to be broken aiohttp tells who waits for a head, and leaves
    who reads the body waiting: here it is told, too.
    """

    _interim = 0

    def set_response_params(self, **params: Any) -> None:
        """A request is sent."""
        super().set_response_params(**params)
        if self._parser is not None:
            self._parser = _HeadFirst(self, self._parser)  # type: ignore[assignment]  # stands in for it

    def is_connected(self) -> bool:
        """Whether it can be used again: it is there, and has brought nothing since its last answer was whole."""
        # What nobody asked for would be taken for the answer to the next request, or for the beginning of it.
        return super().is_connected() and not self._buffer and (self._parser is None or not self._parser.feed_eof())

    def head_has_come(self, parser: HttpParser[Any]) -> None:
        """From now on it is the parser itself that is fed."""
        self._parser = parser

    def feed_data(self, data: tuple[RawResponseMessage, StreamReader], size: int = 0) -> None:
        """A head has come, with the reader of its body."""
        message = data[0]
        if self.exception() is not None:
            return
        if 100 <= message.code < 200 and message.code != 101:
            self._interim += 1
            if self._interim > MAX_INTERIM:
                self._refuse("too many interim heads")
            return
        self._interim = 0
        if fault := _fault(message):
            self._refuse(fault)
        else:
            super().feed_data(data, size)

    def set_exception(self, exc: BaseException, *cause: BaseException) -> None:
        super().set_exception(exc, *cause)
        if isinstance(exc, HttpProcessingError) and self._payload is not None and not self._payload.is_eof():
            self._payload.set_exception(ClientError(exc.message))

    def _refuse(self, fault: str) -> None:
        if self.transport is not None:
            self.transport.close()
        self.set_exception(HttpProcessingError(message=fault))


class _HeadFirst:
    """Stands in for a parser until the head has come, and hands out the head although what follows is broken.

    aiohttp would drop a head, and a whole body too, for what came after them in the same piece.
    """

    def __init__(self, handler: Handler, parser: HttpParser[Any]) -> None:
        self._handler = handler
        self._parser = parser
        self.feed_eof = parser.feed_eof
        self.pause_reading = parser.pause_reading

    def feed_data(self, data: bytes) -> _Parsed:
        end = data.find(b"\r\n\r\n") + 4
        if end < 4 or end == len(data):
            return self._fed(data)
        parsed = self._parser.feed_data(data[:end])
        if not parsed[0]:
            return self._fed(data[end:])
        self._handler.head_has_come(self._parser)
        try:
            messages, upgraded, tail = self._parser.feed_data(data[end:])
        except HttpProcessingError as error:
            self._handler.force_close()
            body = parsed[0][-1][1]
            if not body.is_eof():
                body.set_exception(ClientError(error.message))
            return parsed
        return [*parsed[0], *messages], upgraded, tail

    def _fed(self, data: bytes) -> _Parsed:
        parsed = self._parser.feed_data(data)
        if parsed[0]:
            self._handler.head_has_come(self._parser)
        return parsed


def _fault(message: RawResponseMessage) -> str:
    """Return what is wrong with a head, "" if nothing is."""
    if sum(len(name) + len(value) + _FRAME for name, value in message.raw_headers) > MAX_HEAD:
        return "the head is too large"
    codings = message.headers.getall("Transfer-Encoding", ())
    lengths = message.headers.getall("Content-Length", ())
    if len(codings) + len(lengths) > 1:
        return "the length is told more than once"
    if codings and codings[0].lower() != "chunked":
        return "the transfer encoding is unknown"
    return ""
