"""A backend that does what it is told: raw bytes on a loopback socket, no HTTP framework."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self, cast

from support.steps import (
    Block,
    Chunk,
    Close,
    End,
    Flood,
    HalfClose,
    Hold,
    Pause,
    Repeat,
    Reset,
    Send,
    Status,
    Step,
    Wait,
)
from support.waiting import SECONDS, eventually

__all__ = [
    "Block",
    "Chunk",
    "Close",
    "Connection",
    "End",
    "Flood",
    "HalfClose",
    "Hold",
    "Pause",
    "Repeat",
    "Request",
    "Reset",
    "Send",
    "Status",
    "Step",
    "Upstream",
    "Wait",
]


@dataclass
class Request:
    """What the backend was asked. `connection` counts connections from 1."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    connection: int
    answered: asyncio.Event = field(default_factory=asyncio.Event)
    peer_left: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def key(self) -> str:
        """What its script is filed under: the model, or the path of a request that names none."""
        with suppress(ValueError, KeyError, TypeError):
            return str(self.json["model"])
        return self.path


class Connection(asyncio.Protocol):
    """A connection that was accepted. What it does ends at once when the peer leaves."""

    def __init__(self, upstream: Upstream) -> None:
        self._upstream = upstream
        self._buffer = bytearray()
        self._arrived = asyncio.Event()
        self._writable = asyncio.Event()
        self._writable.set()
        self._request: Request | None = None
        self.written = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's is none by its class
        self._number = self._upstream.joined(self)
        self.task = asyncio.create_task(self._serve())

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        self._arrived.set()

    def eof_received(self) -> None:
        self._left()

    def connection_lost(self, exc: Exception | None) -> None:
        self._left()
        self._upstream.connections.discard(self)

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    async def write(self, data: bytes) -> None:
        self.transport.write(data)
        self.written += len(data)
        await self._writable.wait()

    def close(self) -> None:
        self.transport.close()

    def half_close(self) -> None:
        self.transport.write_eof()

    def reset(self) -> None:
        sock = self.transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()

    @property
    def writable(self) -> bool:
        """Whether the peer takes what is written."""
        return self._writable.is_set()

    @property
    def busy(self) -> bool:
        """Whether a request is being answered."""
        return self._request is not None

    def _left(self) -> None:
        if self._request:
            self._request.peer_left.set()
        self.task.cancel()

    async def _serve(self) -> None:
        for step in self._upstream.greeting:
            await step.run(self)
        while not self.transport.is_closing():
            request = self._request = await self._read_request()
            self._upstream.received(request)
            for step in self._upstream.script_of(request):
                await step.run(self)
            request.answered.set()
            self._request = None

    async def _read_request(self) -> Request:
        await self._until(lambda: b"\r\n\r\n" in self._buffer)
        start, *lines = self._take(self._buffer.index(b"\r\n\r\n") + 4).decode("latin-1").rstrip().split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        length = int(headers.get("content-length", 0))
        await self._until(lambda: len(self._buffer) >= length)
        method, path, _ = start.split()
        return Request(method, path, headers, self._take(length), self._number)

    async def _until(self, complete: Callable[[], bool]) -> None:
        while not complete():
            self._arrived.clear()
            await self._arrived.wait()

    def _take(self, size: int) -> bytes:
        taken = bytes(self._buffer[:size])
        del self._buffer[:size]
        return taken


class Upstream:
    """A backend by script. Use it as a context manager.

    A script is filed under the name of a model, and holds the steps of each request for it in turn;
    the last is repeated. `greeting` is done with a new connection before it is read from.
    """

    def __init__(self) -> None:
        self.models: list[dict[str, Any]] = [{"id": "m"}]
        self.requests: list[Request] = []
        self.connections: set[Connection] = set()
        self.accepted = 0
        self.greeting: Sequence[Step] = ()
        self._scripts: dict[str, list[Sequence[Step]]] = {}
        self._listener: asyncio.Server | None = None
        self._port = 0

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Listen; on the same port as before."""
        loop = asyncio.get_running_loop()
        self._listener = await loop.create_server(lambda: Connection(self), "127.0.0.1", self._port)
        self._port = self._listener.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Stop listening and break every connection."""
        if self._listener:
            self._listener.close()
        for connection in tuple(self.connections):
            connection.transport.abort()
        await eventually(lambda: not self.connections)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}/v1"

    @property
    def posts(self) -> list[Request]:
        """The requests that cost something."""
        return [request for request in self.requests if request.method == "POST"]

    @property
    def busy(self) -> int:
        """How many requests are being answered."""
        return sum(connection.busy for connection in self.connections)

    @property
    def tasks(self) -> set[asyncio.Task[None]]:
        return {connection.task for connection in self.connections}

    def script(self, key: str, *answers: Sequence[Step]) -> None:
        """Answer requests for the model (or the path) `key` so, in turn."""
        self._scripts[key] = list(answers)

    async def request_received(self, count: int = 1) -> Request:
        """Return the POST request that is the `count`th, once it is there."""
        await eventually(lambda: len(self.posts) >= count)
        return self.posts[count - 1]

    async def peer_left(self, count: int = 1, within: float = SECONDS) -> None:
        """Wait until the peer has closed the connection of the POST request that is the `count`th."""
        request = await self.request_received(count)
        async with asyncio.timeout(within):
            await request.peer_left.wait()

    def joined(self, connection: Connection) -> int:
        self.connections.add(connection)
        self.accepted += 1
        return self.accepted

    def received(self, request: Request) -> None:
        self.requests.append(request)

    def script_of(self, request: Request) -> Sequence[Step]:
        scripts = self._scripts.get(request.key)
        if scripts:
            return scripts.pop(0) if len(scripts) > 1 else scripts[0]
        assert request.method == "GET", f"no script for {request.key}"
        if request.path != "/v1/models":
            return (Status(404, "Content-Length: 0"),)
        # On a connection of its own, so that the first call of a test opens a fresh one.
        body = json.dumps({"object": "list", "data": self.models}).encode()
        headers = ("Content-Type: application/json", f"Content-Length: {len(body)}", "Connection: close")
        return (Status(200, *headers), Send(body), Close())
