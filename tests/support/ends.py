"""Both ends of a connection to a backend: ours, and one that reads and writes only when the test does."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from ollama_openai_proxy.upstream.connection import Connection
from support.waiting import eventually, no_descriptors_left, no_errors
from support.wire import Heard


class Line:
    """Our end, and what was told of it."""

    def __init__(self) -> None:
        self.freed = 0
        self.lost = 0
        self.heard = Heard()
        self.connection = Connection(self._free, self._lose)

    def _free(self, _connection: Connection) -> None:
        self.freed += 1

    def _lose(self, _connection: Connection) -> None:
        self.lost += 1

    def ask(self, head: bytes, body: bytes = b"") -> None:
        self.heard = Heard()
        self.connection.ask(head, body, self.heard)


class Peer:
    """The backend's end of the connection. Nothing is read from it unasked."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        sock.setblocking(False)  # it is their name
        self.got = 0

    async def read(self, size: int) -> bytes:
        """Return so many bytes, or fewer at the end."""
        found = bytearray()
        while len(found) < size and (read := await asyncio.get_running_loop().sock_recv(self.sock, size - len(found))):
            found += read
        self.got += len(found)
        return bytes(found)

    async def send(self, data: bytes) -> None:
        await asyncio.get_running_loop().sock_sendall(self.sock, data)


@asynccontextmanager
async def connected() -> AsyncIterator[tuple[Line, Peer]]:
    """Yield both ends of a connection."""
    loop, line = asyncio.get_running_loop(), Line()
    async with no_descriptors_left():
        with no_errors(), socket.create_server(("127.0.0.1", 0)) as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * 1024)
            near = socket.create_connection(listener.getsockname())
            near.setblocking(False)  # it is their name
            near.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 64 * 1024)
            await loop.create_connection(lambda: line.connection, sock=near)
            with listener.accept()[0] as far:
                yield line, Peer(far)
                line.connection.abort()
                await eventually(lambda: line.lost)
        assert line.lost == 1
