"""A client on a bare socket, that reads no more than it is told to and leaves as rudely as it is told to."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from collections.abc import AsyncIterator
from types import TracebackType
from typing import Any, NamedTuple, Self

HOST = "127.0.0.1"
_READ = 65536
_FAILURES = (500, 502, 503, 504)


class Reply(NamedTuple):
    """`headers` by their names in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes = b""

    @property
    def whole(self) -> bool:
        """Whether it is what was asked for, from beginning to end."""
        return self.status == 200 and b'"done":true' in self.body

    def told(self) -> str:
        return f"{self.status} {self.body[:120]!r}"


class Wire:
    """A connection to a server of this machine. Use it as a context manager."""

    def __init__(self, port: int, receive_buffer: int = 0) -> None:
        """`receive_buffer`: how many bytes the system may hold for who does not read, 0 for its default."""
        self._port = port
        self._buffer = b""
        self._loop = asyncio.get_running_loop()
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self.socket.setblocking(False)
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)

    async def __aenter__(self) -> Self:
        try:
            await self._loop.sock_connect(self.socket, (HOST, self._port))
        except BaseException:
            self.socket.close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.socket.close()

    async def send(self, data: bytes) -> None:
        await self._loop.sock_sendall(self.socket, data)

    async def ask(self, path: str, body: object = None) -> None:
        await self.send(request(path, body))

    async def head(self) -> Reply:
        lines = (await self._until(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        pairs = (line.partition(":") for line in lines[1:] if line)
        return Reply(int(lines[0].split()[1]), {name.lower(): value.strip() for name, _, value in pairs})

    async def chunks(self, head: Reply) -> AsyncIterator[bytes]:
        """Yield the body in the parts in which it was sent. Raises EOFError when it is cut off."""
        if "chunked" not in head.headers.get("transfer-encoding", ""):
            yield await self._exactly(int(head.headers.get("content-length", 0)))
            return
        while size := int(await self._until(b"\r\n"), 16):
            yield (await self._exactly(size + 2))[:-2]
        await self._exactly(2)

    async def reply(self) -> Reply:
        head = await self.head()
        return head._replace(body=b"".join([chunk async for chunk in self.chunks(head)]))

    async def to_end(self) -> None:
        """Read until the server closes or resets."""
        try:
            while await self._loop.sock_recv(self.socket, _READ):
                pass
        except ConnectionError:
            pass

    def reset(self) -> None:
        """Leave without a word: RST."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def half_close(self) -> None:
        self.socket.shutdown(socket.SHUT_WR)

    async def _until(self, marker: bytes) -> bytes:
        while marker not in self._buffer:
            await self._receive()
        taken, _, self._buffer = self._buffer.partition(marker)
        return taken

    async def _exactly(self, size: int) -> bytes:
        parts, missing = [self._buffer], size - len(self._buffer)
        while missing > 0:
            self._buffer = b""
            await self._receive()
            parts.append(self._buffer)
            missing -= len(self._buffer)
        whole = b"".join(parts)
        self._buffer = whole[size:]
        return whole[:size]

    async def _receive(self) -> None:
        data = await self._loop.sock_recv(self.socket, _READ)
        if not data:
            raise EOFError("the server closed before the end")
        self._buffer += data


def request(path: str, body: object = None) -> bytes:
    """Return a request: a POST with a body, sent as it is if it is bytes and else as JSON; a GET without."""
    data = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
    method = "GET" if body is None else "POST"
    head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(data)}\r\n\r\n"
    return head.encode() + data


def chat(model: str, content: str = "Hello", *, stream: bool = True) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": content}], "stream": stream}


def is_error(reply: Reply) -> bool:
    """Whether it tells, as Ollama does, that the backend failed: instead of an answer, or in its last line."""
    if reply.status != 200 and reply.status not in _FAILURES:
        return False
    lines = reply.body.splitlines()
    return bool(lines) and isinstance(json.loads(lines[-1]).get("error"), str)


async def asked(port: int, path: str, body: object = None, within: float = 30.0) -> Reply:
    """Ask on a connection of its own. Raises OSError, EOFError and TimeoutError."""
    async with asyncio.timeout(within), Wire(port) as wire:
        await wire.ask(path, body)
        return await wire.reply()
