"""What comes back on a connection: heads, chunks, and the stamps of paced streams."""

from __future__ import annotations

import re
from typing import NamedTuple

_SHOWN = 160
_STATUS = re.compile(rb"HTTP/1\.[01] (\d{3})")
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding: *chunked", re.IGNORECASE)
_CLOSE = re.compile(rb"\r\nconnection: *close", re.IGNORECASE)
_STAMP = re.compile(rb"@(\d{5})\.(\d{20});")


class Head(NamedTuple):
    """`size`: of the whole answer with its head, where it is told. Without, and not chunked, it ends with a close."""

    status: int
    chunked: bool
    size: int | None
    close: bool

    @classmethod
    def of(cls, data: bytes, end: int) -> Head:
        """Read the head of an answer. `end`: where the empty line is. Raises ValueError if it is none."""
        status, length = _STATUS.match(data), _LENGTH.search(data, 0, end)
        if not status:
            raise ValueError(f"no HTTP: {data[:_SHOWN]!r}")
        size = end + 4 + int(length[1]) if length else None
        closes = _CLOSE.search(data, 0, end) is not None or data.startswith(b"HTTP/1.0")
        return cls(int(status[1]), _CHUNKED.search(data, 0, end) is not None, size, closes)


class Stamps:
    """The stamps of one stream as they come: that none is missing, doubled or out of place, and how late each is."""

    def __init__(self) -> None:
        self.places = 0
        self.late: list[int] = []
        """Nanoseconds from the making of a token to its coming."""
        self.wrong = 0
        self._rest = b""

    def take(self, data: bytes, now: int) -> bool:
        """Take what came at `now`, in nanoseconds of the monotonic clock; return whether there was a token in it."""
        data, end = self._rest + data, 0
        for found in _STAMP.finditer(data):
            self.wrong += int(found[1]) != self.places
            self.places += 1
            self.late.append(now - int(found[2]))
            end = found.end()
        at = data.rfind(b"@", end)  # one that is cut off
        self._rest = data[at:] if at >= 0 else b""
        return end > 0


def dechunked(data: bytes) -> bytes:
    """Return the body that chunks carry. Raises ValueError if they are not whole."""
    parts: list[bytes] = []
    at = 0
    while True:
        end = data.index(b"\r\n", at)
        size = int(data[at:end].partition(b";")[0], 16)
        if not size:
            return b"".join(parts)
        at = end + 2
        parts.append(data[at : at + size])
        at += size + 2
