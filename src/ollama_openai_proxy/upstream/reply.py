"""What the backend answers, as it arrives."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from ollama_openai_proxy.deadlines import Deadlines, Progress
from ollama_openai_proxy.errors import UpstreamBroken, UpstreamError
from ollama_openai_proxy.upstream.connection import Connection
from ollama_openai_proxy.upstream.heads import Head
from ollama_openai_proxy.upstream.inflate import Inflated, is_packed

TOO_LARGE = "the upstream's response is too large"
# The most bytes that are taken at once. Of tiny events they are 20 ms of work.
MAX_READ = 64 * 1024
# While more than so much is there that nobody takes, no more is read from the connection.
_HOLDS = 16 * 1024
_DRAIN_SECONDS = 0.5


class Reply:
    """The answer to a request: its head, then its body, which is taken as it comes.

    Whoever reads it either waits (`read`), or is called when something has come (`listen`) and takes it (`take`).
    """

    def __init__(self, connection: Connection, deadlines: Deadlines, limit: int) -> None:
        """`limit`: the most bytes that are taken of the body, when it is unpacked."""
        self.head: Head | None = None
        self.pieces: list[bytes] = []
        self.whole = False
        """Whether all of the body has come, be it taken or not."""
        self.unheard = False
        """Whether the connection ended before a byte of the reply had come."""
        self._connection = connection
        self._deadlines = deadlines
        self._left = limit
        self._inflated: Inflated | None = None
        self.packed = False
        """Whether there may be more than `pieces` tell."""
        self.failure: UpstreamError | None = None
        """Why no more comes, if not because it is whole."""
        self.arrived: Callable[[], None] = self._wake_up
        """The connection calls it when something has come: bytes of the body, its end, or that there is none."""
        self._wake: asyncio.Future[None] | None = None
        self._paused = False
        self._released = False
        deadlines.watch(self._fail)

    async def begun(self) -> Head:
        """Return the head, as soon as it is there. Raises UpstreamError."""
        while self.head is None:
            if self.failure is not None:
                raise self.failure
            await self._something()
        return self.head

    def unpack(self) -> None:
        """Let the body be unpacked, if it is packed. Raises UpstreamBroken if it can't be."""
        if self.head is not None and self.head.encoding and is_packed(self.head.encoding):
            self._inflated, self.packed = Inflated(self.head.encoding), True

    @property
    def fine(self) -> bool:
        """Whether it has begun, with a status that tells of success."""
        return self.head is not None and 200 <= self.head.status < 300

    @property
    def content_type(self) -> str:
        return self.head.content_type if self.head else ""

    # What the connection tells.

    def began(self, head: Head) -> None:
        self.head = head

    def ended(self) -> None:
        self.whole = True

    def lost(self, error: UpstreamError, *, heard: bool) -> None:
        self.failure, self.unheard = error, not heard

    def _wake_up(self) -> None:
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)
        if not self.whole and not self._paused and sum(map(len, self.pieces)) > _HOLDS:
            self._pause()

    # The body.

    def take(self) -> bytes:
        """Return the next of what has come, at most MAX_READ bytes; b"" if nothing is there, and none comes if it
        is `whole`. Raises UpstreamError, after what came before it."""
        pieces = self.pieces
        if self._inflated is not None:
            data = self._inflated.take(self._raw)
        elif len(pieces) == 1 and len(pieces[0]) <= MAX_READ and not self._paused:
            data = pieces.pop()  # as it is most of the time
        else:
            data = self._raw()
        if not data:
            self._check_end()
            return data
        if not self.whole:
            self._deadlines.came()
        self._left -= len(data)
        if self._left < 0:
            raise UpstreamBroken(TOO_LARGE, outcome="too_large")
        return data

    def _check_end(self) -> None:
        """Raise what there is to raise when nothing is left."""
        if self.failure is not None:
            raise self.failure
        if self._inflated is not None and self.whole:
            self._inflated.end()

    def listen(self, listener: Callable[[], None]) -> None:
        """Call `listener` each time that something has come: bytes, the end, or a failure.

        It takes all, or calls `hold`: what it leaves is not limited.
        """
        self.arrived = listener
        if not self.whole:
            self._deadlines.wait()

    def hold(self) -> None:
        """Read no more for now: the client has yet to take what there was, and the time is the client's."""
        self._deadlines.stop_waiting()
        self._pause()

    def go_on(self) -> None:
        """Read again."""
        self._deadlines.wait()
        self._resume()

    async def read(self) -> bytes:
        """Return the next bytes, at most MAX_READ, b"" at the end. Raises UpstreamError, after what came before it."""
        self._deadlines.wait()
        try:
            while not (data := self.take()) and not self.whole:
                await self._something()
        finally:
            self._deadlines.stop_waiting()
        return data

    def begin(self) -> None:
        """Tell that the answer has begun. Until then `first_byte` limits, whatever else was read."""
        if not self.whole:
            self._deadlines.begin()

    def follow(self, progress: Progress) -> None:
        """Let the reply fail, too, when bytes come but `progress` tells of none."""
        if not self.whole:
            self._deadlines.follow(progress)

    def release(self) -> None:
        """Let go of it after the answer: what trails is dropped, for a moment, so that the connection may be kept."""
        self._deadlines.stop()
        self._released = True
        self.pieces.clear()
        self.arrived = self.pieces.clear
        if not self.whole and self.failure is None:
            self._resume()
            self._connection.abort_in(_DRAIN_SECONDS)

    def close(self) -> None:
        """Let go: at once, and of the connection too unless the body has come to its end, or it was released."""
        if self._released:
            return
        self._deadlines.stop()
        self.arrived = _nothing  # else it holds on to itself
        if not self.whole:
            self._connection.abort()

    def _raw(self) -> bytes:
        pieces = self.pieces
        if not pieces:
            return b""
        data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        pieces.clear()
        if len(data) > MAX_READ:
            pieces.append(data[MAX_READ:])
            return data[:MAX_READ]
        if self._paused:
            self._resume()
        return data

    def _something(self) -> asyncio.Future[None]:
        """Return what is done when something has come."""
        self._wake = wake = asyncio.get_running_loop().create_future()
        return wake

    def _pause(self) -> None:
        self._paused = True
        if not self.whole:
            self._connection.pause()

    def _resume(self) -> None:
        self._paused = False
        if not self.whole:
            self._connection.resume()

    def _fail(self, failure: UpstreamError) -> None:
        if not self.whole:
            self.failure = failure
            self._connection.abort()
            self.arrived()


def _nothing() -> None:
    pass
