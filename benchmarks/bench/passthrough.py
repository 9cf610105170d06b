"""The least that a relay in this language can do: bytes from one socket to the other, with no look at what they say.

python benchmarks/bench/passthrough.py PORT UPSTREAM_PORT
"""

from __future__ import annotations

import asyncio
import sys
from typing import cast

import uvloop


class Pipe(asyncio.Protocol):
    """One side of a pair; what it reads, the other writes."""

    other: asyncio.Transport | None = None

    def __init__(self) -> None:
        self.waiting: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        if self.other:
            self.other.write(data)
        else:
            self.waiting.append(data)

    def connection_lost(self, error: Exception | None) -> None:
        if self.other:
            self.other.close()


class Client(Pipe):
    """The client's side, which opens the upstream's and keeps it as long as the client keeps its own."""

    def __init__(self, port: int) -> None:
        super().__init__()
        self._port = port

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._connecting = asyncio.create_task(self._connect())

    async def _connect(self) -> None:
        loop = asyncio.get_running_loop()
        transport, upstream = await loop.create_connection(Pipe, "127.0.0.1", self._port)
        upstream.other, self.other = self.transport, transport
        transport.writelines(self.waiting)
        if self.transport.is_closing():  # the client has left meanwhile
            transport.close()


async def main() -> None:
    port, upstream = int(sys.argv[1]), int(sys.argv[2])
    server = await asyncio.get_running_loop().create_server(lambda: Client(upstream), "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main())
