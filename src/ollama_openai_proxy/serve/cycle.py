"""One request and its answer: what an application is called with, as ASGI has it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any

from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HEADER_RE, HEADER_VALUE_RE, STATUS_LINE, RequestResponseCycle

from ollama_openai_proxy.serve.heads import Header

_EMPTY = (204, 304)
_DECISIVE = frozenset({b"content-length", b"transfer-encoding", b"connection"})
# How large a body may be to be copied behind its head; a larger one is written by itself.
_COPIED = 64 * 1024
# How long a header may be to be known again: a client decides of some what they say, and of how much.
_KNOWN = 256


class Cycle(RequestResponseCycle):
    """uvicorn's, made to cost little: lines of a head are checked once, and a head leaves with what follows it.

    A head that nothing follows in the same turn of the loop leaves in the next one. uvicorn's `run_asgi` runs it.
    """

    # How each begins, as far as that is seldom looked at: uvicorn's own sets all of it for each, one by one.
    more_body = True
    chunked_encoding: bool | None = None
    expected_content_length = 0
    _bare = False  # whether the answer is a head without its body
    _head = b""  # of the answer, until it leaves
    _unread: bytes | bytearray = b""  # what nobody has taken of the request's body

    def __init__(
        self,
        scope: Any,
        transport: asyncio.Transport,
        flow: FlowControl,
        default_headers: list[Header],
        on_response: Callable[[], None],
        *,
        logger: logging.Logger,
        expect_100_continue: bool,
        keep_alive: bool,
    ) -> None:
        """`default_headers`: what the server says in each answer; `on_response` is called when one is whole."""
        self.scope = scope
        self.transport = transport
        self.flow = flow
        self.default_headers = default_headers
        self.on_response = on_response
        self.logger = logger
        self.keep_alive = keep_alive
        self.waiting_for_100_continue = expect_100_continue
        self.message_event = asyncio.Event()
        self.disconnected = False
        self.response_started = False
        self.response_complete = False
        self._on_left: Callable[[], None] | None = None

    # The request.

    def hold(self, body: bytes) -> int:
        """Keep what came of the body. Return how many bytes nobody has taken."""
        if not self._unread:
            self._unread = body
        elif isinstance(self._unread, bytearray):
            self._unread += body
        else:
            self._unread = bytearray(self._unread) + body
        self.message_event.set()
        return len(self._unread)

    async def receive(self) -> Any:
        if self.waiting_for_100_continue and not self.transport.is_closing():
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            self.waiting_for_100_continue = False
        if not self.disconnected and not self.response_complete:
            self.flow.resume_reading()
            if not self.message_event.is_set():
                await self.message_event.wait()
            self.message_event.clear()
        if self.disconnected or self.response_complete:
            return {"type": "http.disconnect"}
        body, self._unread = self._unread, b""
        return {"type": "http.request", "body": bytes(body), "more_body": self.more_body}

    def watch(self, on_left: Callable[[], None]) -> bool:
        """Call this, once, when the client leaves. Return False if `receive` has something else to tell before that."""
        if self.more_body or self._unread or self.disconnected or self.response_complete:
            return False
        self.flow.resume_reading()
        self._on_left = on_left
        return True

    def unwatch(self) -> None:
        """Call nothing when the client leaves."""
        self._on_left = None

    def leave(self) -> None:
        """The client has left."""
        self.disconnected = True
        self.message_event.set()
        on_left, self._on_left = self._on_left, None
        if on_left is not None:
            on_left()

    # The answer.

    async def send(self, message: Any) -> None:
        if self.flow.write_paused and not self.disconnected:
            await self.flow.drain()
        if self.disconnected:
            return
        kind = message["type"]
        if self.response_complete or kind != ("http.response.body" if self.response_started else "http.response.start"):
            raise RuntimeError(f"an answer does not go on with {kind!r}")
        if self.response_started:
            self._go_on(message.get("body", b""), more=message.get("more_body", False))
        else:
            self._begin(message["status"], message.get("headers", ()))

    def _begin(self, status: int, headers: Iterable[Header]) -> None:
        self.response_started = True
        self.waiting_for_100_continue = False
        lines = [STATUS_LINE[status]]
        closes = False
        for name, value in (*self.default_headers, *headers):
            if value.isalnum():  # an id, a length: it ends no line, and is seldom seen again
                start, decisive = _start(name)
                lines += (start, value, b"\r\n")
            else:
                line, decisive = (_known_line if len(value) <= _KNOWN else _line)(name, value)
                lines.append(line)
            if decisive is None:
                continue
            if decisive == b"connection":
                closes = closes or b"close" in [token.lower().strip() for token in value.split(b",")]
            else:
                self._frame(decisive, value)
        if closes:
            self.keep_alive = False
        elif not self.keep_alive:
            lines.append(b"connection: close\r\n")
        if self.scope["method"] == "HEAD":
            self._bare, self.chunked_encoding, self.expected_content_length = True, False, 0
        elif self.chunked_encoding is None and status not in _EMPTY:
            self.chunked_encoding = True
            lines.append(b"transfer-encoding: chunked\r\n")
        lines.append(b"\r\n")
        self._head = b"".join(lines)
        asyncio.get_running_loop().call_soon(self.flush)

    def _frame(self, name: bytes, value: bytes) -> None:
        """Take from a header of the answer how its body ends."""
        if name == b"content-length":
            if self.chunked_encoding is None:
                self.expected_content_length = int(value)
                self.chunked_encoding = False
        elif value.lower() == b"chunked":
            self.expected_content_length = 0
            self.chunked_encoding = True

    def flush(self) -> None:
        """Let the head leave, if it has not."""
        if self._head and not self.transport.is_closing():
            self._leave(b"")

    def _go_on(self, body: bytes, *, more: bool) -> None:
        if self.chunked_encoding:
            if body:
                body = b"%x\r\n%b\r\n" % (len(body), body)
            if not more:
                body += b"0\r\n\r\n"
        elif self._bare:
            body = b""
        elif len(body) > self.expected_content_length:
            raise RuntimeError("the body of an answer is longer than its Content-Length")
        else:
            self.expected_content_length -= len(body)
        if self._head:
            self._leave(body)
        elif body:
            self.transport.write(body)
        if not more:
            self._finish()

    def _leave(self, body: bytes) -> None:
        head, self._head = self._head, b""
        if len(body) > _COPIED:
            self.transport.write(head)
        else:
            body = head + body
        self.transport.write(body)

    def _finish(self) -> None:
        if self.expected_content_length:
            raise RuntimeError("the body of an answer is shorter than its Content-Length")
        self.response_complete = True
        self.message_event.set()
        if not self.keep_alive:
            self.transport.close()
        self.on_response()


@lru_cache(maxsize=64)
def _start(name: bytes) -> tuple[bytes, bytes | None]:
    """Return how a header's line begins; and its name, in lower case, if it decides how the answer ends.

    Raises RuntimeError for one that would end its line, or begin another: it is no header.
    """
    if HEADER_RE.search(name):
        raise RuntimeError("the name of a header has characters that names have not")
    name = name.lower()
    return b"%b: " % name, name if name in _DECISIVE else None


def _line(name: bytes, value: bytes) -> tuple[bytes, bytes | None]:
    """Return the whole of it. Raises RuntimeError for a value that is none."""
    start, decisive = _start(name)
    if HEADER_VALUE_RE.search(value):
        raise RuntimeError("the value of a header has characters that values have not")
    return b"%b%b\r\n" % (start, value), decisive


_known_line = lru_cache(maxsize=256)(_line)
