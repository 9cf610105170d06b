"""A listener that nobody should call: where a request would lead whoever believes its addresses."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Trap:
    """`calls` counts the connections."""

    def __init__(self) -> None:
        self.calls = 0
        self.port = 0

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        return f"http://{self.address}/v1"


@asynccontextmanager
async def trap() -> AsyncIterator[Trap]:
    """Listen; check at the end that nobody came."""
    trap = Trap()

    async def caught(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        trap.calls += 1
        writer.close()

    server = await asyncio.start_server(caught, "127.0.0.1", 0)
    trap.port = server.sockets[0].getsockname()[1]
    try:
        yield trap
    finally:
        server.close()
    assert trap.calls == 0
