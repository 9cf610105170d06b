"""Room for bodies: a container with little memory refuses those that would be the end of it.

What the kernel tells of memory is late: a body of some megabytes is there within a moment, and becomes several copies
of itself. So each is counted with all that it will take before it has been read.
"""

from __future__ import annotations

from collections.abc import Callable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ollama_openai_proxy.errors import Busy
from ollama_openai_proxy.serve.admission import NO_MEMORY, busy
from ollama_openai_proxy.serve.headers import named

COPIES = 4  # as it came, in parts and in one, as text, and as the backend gets it
_SMALL = 256 * 1024  # bytes: what is no larger costs nothing to speak of
_UNPACKED = 100  # times: packed text, at the most that is not made to do harm


class Room:
    """An application whose large bodies are read only if there is memory for them. Else reading one raises Busy."""

    def __init__(self, app: ASGIApp, left: Callable[[], float], largest: int) -> None:
        """`left`: the bytes that may still be taken, infinite without a limit; `largest`: what a body may have."""
        self._app = app
        self._left = left
        self._largest = largest
        self._pending = 0  # bytes that large bodies will take, and have not yet

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not (expected := self._expected(scope)):
            await self._app(scope, receive, send)
            return
        body = _Body(self, expected)

        async def read() -> Message:
            message = await receive()
            body.came(len(message.get("body", b"")))
            return message

        async def answer(message: Message) -> None:
            body.over()  # what it has taken by now is no longer to come
            await send(message)

        try:
            await self._app(scope, read, answer)
        finally:
            body.over()

    def claim(self, size: int) -> None:
        """Count bytes that are to come. Raises Busy if there is no room for them."""
        if size + self._pending > self._left():
            raise busy(NO_MEMORY)
        self._pending += size

    def settle(self, size: int) -> None:
        """Count such bytes no more."""
        self._pending -= size

    def _expected(self, scope: Scope) -> int:
        """Return how many bytes the body will have, unpacked: 0 if too few to look at, or so many that none is read."""
        headers = named(scope)
        if b"transfer-encoding" in headers:
            return _SMALL
        length = int(headers.get(b"content-length", b"0"))
        if length > self._largest:
            return 0
        if b"content-encoding" in headers:
            length = min(length * _UNPACKED, self._largest)
        return length if length > _SMALL else 0


class _Body:
    """What one body is counted with."""

    def __init__(self, room: Room, expected: int) -> None:
        self._room = room
        self._expected = expected
        self._claimed = 0
        self._size = 0
        self._settled = 0
        self._over = False

    def came(self, size: int) -> None:
        """A part was read. Raises Busy."""
        if self._over:
            return
        self._size += size
        while self._size > self._expected:
            self._expected *= 2
        if (more := self._expected * COPIES - self._claimed) > 0:
            try:
                self._room.claim(more)
            except Busy:
                self.over()
                raise
            self._claimed += more
        self._room.settle(size)
        self._settled += size

    def over(self) -> None:
        """Count it no more."""
        if not self._over:
            self._over = True
            self._room.settle(self._claimed - self._settled)
