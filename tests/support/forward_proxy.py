"""An outgoing proxy, as companies have them: it digs tunnels (CONNECT), and passes on requests for whole URLs."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

GRANTED = b"HTTP/1.1 200 Connection established\r\n\r\n"
# In how many words a tunnel is granted.
GRANTS = [
    GRANTED,
    b"HTTP/1.0 200 OK\r\n\r\n",
    b"HTTP/1.1 200\r\nVia: 1.1 proxy\r\nX: \xff\r\n\r\n",
    b"HTTP/1.1 204 x\nVia: 1.1 proxy\n\n",
]


class ForwardProxy:
    """Use it as a context manager. `heads` is what it was asked; `url` is where it listens."""

    def __init__(self, answer: Sequence[bytes] = (GRANTED,), *, to: int = 0, end: bool = True) -> None:
        """`answer` is how it answers to CONNECT, write by write. `to` is the port where tunnels lead, whatever is asked
        for; 0: none is dug, and the connection ends, or does not unless `end` says so."""
        self._answer = answer
        self._to = to
        self._end = end
        self._tasks: set[asyncio.Task[None]] = set()
        self.heads: list[bytes] = []
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        self._tasks.add(task)
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            self.heads.append(head)
            if head.startswith(b"CONNECT "):
                await self._tunnel(reader, writer)
            else:
                await self._pass_on(head, reader, writer)
        except (OSError, asyncio.IncompleteReadError):
            pass  # the peer has gone
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _tunnel(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for piece in self._answer:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0)
        if self._to:
            await _both_ways(reader, writer, self._to)
        elif not self._end:
            await reader.read()

    async def _pass_on(self, head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        method, target, rest = head.split(b" ", 2)
        url = urlsplit(target.decode())
        await _both_ways(reader, writer, self._to, b"%b %b %b" % (method, url.path.encode(), rest))


async def _both_ways(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int, first: bytes = b"") -> None:
    there, back = await asyncio.open_connection("127.0.0.1", port)
    back.write(first)
    try:
        ways = [asyncio.create_task(_copy(*way)) for way in ((reader, back), (there, writer))]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.wait(ways)
    finally:
        back.close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while read := await reader.read(65536):
            writer.write(read)
            await writer.drain()
    except OSError:
        pass  # one of them has gone
