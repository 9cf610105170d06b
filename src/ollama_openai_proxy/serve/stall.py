"""Clients that take nothing of what they are sent."""

from __future__ import annotations

import asyncio
import fcntl
import socket
import struct
import termios
from collections.abc import Callable
from contextlib import suppress

_LONGEST_LOOK = 1.0  # seconds: by how much more than the limit a client may be waited for
_NO_LINGER = struct.pack("ii", 1, 0)


class StallWatch:
    """Watches what a connection still has to send while the client takes less than comes.

    It costs nothing before that: there is a timer from when the transport says that it is full, or the connection is to
    end, until the next look that finds neither.
    """

    def __init__(self, transport: asyncio.Transport, limit: float, on_stall: Callable[[], None]) -> None:
        """`limit`: the seconds in which a client must take something, be it a byte."""
        self._transport = transport
        self._limit = limit
        self._on_stall = on_stall
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._full = False
        self._moved = False
        self._since = 0.0
        self._left = 0

    def full(self) -> None:
        """The transport takes no more."""
        self._full = True
        self.begin()

    def free(self) -> None:
        """The transport takes more again."""
        self._full, self._moved = False, True

    def begin(self) -> None:
        """Watch until all is sent."""
        if self._timer is None:
            self._since, self._left, self._moved = self._loop.time(), unsent(self._transport), False
            self._wait()

    def end(self) -> None:
        """The connection is gone."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None

    def _wait(self) -> None:
        self._timer = self._loop.call_later(min(self._limit / 4, _LONGEST_LOOK), self._look)

    def _look(self) -> None:
        self._timer = None
        if not self._full and not self._transport.is_closing():
            return
        left = unsent(self._transport)
        if self._moved or left < self._left:
            self._since, self._moved = self._loop.time(), False
        self._left = left
        if self._loop.time() - self._since < self._limit:
            self._wait()
        else:
            self._on_stall()
            reset(self._transport)


def unsent(transport: asyncio.Transport) -> int:
    """Return how many bytes the client has not taken: ours, and those that the system holds for it."""
    return transport.get_write_buffer_size() + _held(transport, termios.TIOCOUTQ)


def unread(transport: asyncio.Transport) -> int:
    """Return how many bytes of the client the system holds for us."""
    return _held(transport, termios.FIONREAD)


def _held(transport: asyncio.Transport, queue: int) -> int:
    sock = transport.get_extra_info("socket")
    try:
        held = fcntl.ioctl(sock.fileno(), queue, bytes(4))
    except (OSError, ValueError):
        return 0  # the socket is gone
    return int(struct.unpack("i", held)[0])


def reset(transport: asyncio.Transport) -> None:
    """Break the connection off, and let go of what it still had to send: the system, too."""
    sock = transport.get_extra_info("socket")
    with suppress(OSError):  # the socket is gone
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
    transport.abort()
