"""An HTTP client on a bare socket: it sends parts, stalls, half-closes and resets as it is told."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from support.waiting import SECONDS


@dataclass
class Response:
    """`chunks` are those of a chunked body; each is what the server wrote at once."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes
    chunks: list[bytes]

    def all(self, name: str) -> list[str]:
        """The values of all headers with this name."""
        return [value for key, value in self.headers if key == name.lower()]

    def header(self, name: str) -> str | None:
        return next(iter(self.all(name)), None)

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def lines(self) -> list[Any]:
        """The objects of an NDJSON body, each line ended by LF and none blank (contract 1.8)."""
        *lines, rest = self.body.split(b"\n")
        assert rest == b""
        return [json.loads(line) for line in lines]


class RawClient:
    """A connection to a server. Use it as a context manager."""

    def __init__(self, url: str, receive_buffer: int | None = None) -> None:
        """`receive_buffer`: how many bytes the system may hold for a client that does not read."""
        parts = urlsplit(url)
        self._address = (parts.hostname, parts.port)
        self._buffer = bytearray()
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._socket.setblocking(False)  # a socket's way
        if receive_buffer:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)

    async def __aenter__(self) -> Self:
        try:
            await asyncio.get_running_loop().sock_connect(self._socket, self._address)
        except OSError:
            self.close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def send(self, data: bytes) -> None:
        await asyncio.get_running_loop().sock_sendall(self._socket, data)

    async def ask(self, method: str, path: str, body: object = None, *headers: str) -> None:
        """Send a request. `body` is sent as it is when it is bytes, else as JSON."""
        data = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        lines = [f"{method} {path} HTTP/1.1", *headers]
        if not any(header.lower().startswith("host:") for header in headers):
            lines.append(f"Host: {self._address[0]}:{self._address[1]}")
        if data or method == "POST":
            lines.append(f"Content-Length: {len(data)}")
        await self.send("\r\n".join((*lines, "", "")).encode("latin-1") + data)

    async def read_until(self, marker: bytes) -> bytes:
        """Return what comes up to the marker, with it. Raises EOFError when the connection ends before."""
        while marker not in self._buffer:
            await self._receive()
        end = self._buffer.index(marker) + len(marker)
        return self._take(end)

    async def read_exactly(self, size: int) -> bytes:
        while len(self._buffer) < size:
            await self._receive()
        return self._take(size)

    async def read_to_end(self) -> bytes:
        """Return what comes until the server closes."""
        try:
            while True:
                await self._receive()
        except EOFError:
            return self._take(len(self._buffer))

    async def head(self) -> Response:
        """Read a status line and headers."""
        start, *lines = (await self.read_until(b"\r\n\r\n")).decode("latin-1").rstrip().split("\r\n")
        headers = [(name.lower(), value.strip()) for name, _, value in (line.partition(":") for line in lines)]
        return Response(int(start.split()[1]), headers, b"", [])

    async def chunk(self) -> bytes:
        """Read one chunk of a chunked body, b"" for the last."""
        size = int((await self.read_until(b"\r\n")).split(b";")[0], 16)
        return (await self.read_exactly(size + 2))[:-2]

    async def response(self, *, to_head: bool = False) -> Response:
        """Read a whole response; `to_head` when it answers a HEAD request."""
        response = await self.head()
        if to_head or response.status in (204, 304):
            return response
        if response.header("transfer-encoding") == "chunked":
            while chunk := await self.chunk():
                response.chunks.append(chunk)
            response.body = b"".join(response.chunks)
        else:
            response.body = await self.read_exactly(int(response.header("content-length") or 0))
        return response

    def half_close(self) -> None:
        """End the requests: no more is sent, but still read."""
        self._socket.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        self._socket.close()

    def reset(self) -> None:
        """Leave without a word: RST."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._socket.close()

    def _take(self, size: int) -> bytes:
        taken = bytes(self._buffer[:size])
        del self._buffer[:size]
        return taken

    async def _receive(self) -> None:
        async with asyncio.timeout(SECONDS):
            data = await asyncio.get_running_loop().sock_recv(self._socket, 65536)
        if not data:
            raise EOFError(f"the server closed after {bytes(self._buffer[-200:])!r}")
        self._buffer += data
