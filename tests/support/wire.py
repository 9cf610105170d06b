"""A connection to a backend in memory: a test says what arrives, piece by piece, and sees what becomes of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from itertools import pairwise
from typing import NamedTuple

from ollama_openai_proxy.errors import UpstreamError
from ollama_openai_proxy.upstream.connection import Connection
from ollama_openai_proxy.upstream.heads import Head


class Wire(asyncio.Transport):
    """What the connection writes to. Closing it is told in a later turn of the loop, as by any transport."""

    def __init__(self) -> None:
        super().__init__()
        self.freed = 0
        """How often another request could have been sent."""
        self.sent = bytearray()
        self.reading = True
        self._closing = False
        self._coming: list[bytes] = []
        self.connection = Connection(self._free, lambda _connection: None)
        self.connection.connection_made(self)

    def _free(self, _connection: Connection) -> None:
        self.freed += 1

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.sent += data

    def writelines(self, list_of_data: Iterable[bytes | bytearray | memoryview]) -> None:
        for data in list_of_data:
            self.write(data)

    def get_write_buffer_size(self) -> int:
        return 0

    def is_closing(self) -> bool:
        return self._closing

    def abort(self) -> None:
        self.lose(None)

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    # What a test does with it.

    def arrive(self, *pieces: bytes) -> None:
        """Let these come, each as one read, as long as the connection is read from."""
        self._coming += pieces
        while self._coming and self.reading and not self._closing:
            self.connection.data_received(self._coming.pop(0))

    def lose(self, error: OSError | None) -> None:
        """End it: in order (FIN) without an error."""
        if not self._closing:
            self._closing = True
            asyncio.get_running_loop().call_soon(self.connection.connection_lost, error)


class Heard:
    """Whoever asked: notes all that the connection tells."""

    def __init__(self) -> None:
        self.head: Head | None = None
        self.pieces: list[bytes] = []
        self.whole = False
        self.failure: UpstreamError | None = None
        self.heard = False
        self.turns = 0
        """How often it was told that something came."""
        self.arrived: Callable[[], None] = self._count

    def began(self, head: Head) -> None:
        self.head = head

    def ended(self) -> None:
        self.whole = True

    def lost(self, error: UpstreamError, *, heard: bool) -> None:
        self.failure, self.heard = error, heard

    def _count(self) -> None:
        self.turns += 1

    @property
    def body(self) -> bytes:
        return b"".join(self.pieces)


class Answer(NamedTuple):
    """An answer as a backend sends it. `parts` come after the head: bytes, and whether they are the body's."""

    head: bytes
    parts: tuple[tuple[bytes, bool], ...]
    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    kept: bool = True
    until_close: bool = False

    @property
    def raw(self) -> bytes:
        return self.head + b"".join(part for part, _ in self.parts)

    @property
    def body(self) -> bytes:
        return self.body_of(len(self.raw))

    def body_of(self, size: int) -> bytes:
        """Return what the first `size` bytes of the answer have of its body."""
        left, found = size - len(self.head), b""
        for part, is_body in self.parts:
            if left > 0 and is_body:
                found += part[:left]
            left -= len(part)
        return found


def cut(data: bytes, positions: Iterable[int]) -> list[bytes]:
    """Return the data in pieces, cut there: none of them empty."""
    bounds = sorted({0, *(at for at in positions if 0 < at < len(data)), len(data)})
    return [data[start:end] for start, end in pairwise(bounds)]
