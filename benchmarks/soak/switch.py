"""A TCP switch, as a load balancer is one: new connections go to an instance that says it is ready."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from benchmarks.soak.processes import Proxy
from benchmarks.soak.wire import HOST

_LOOK = 0.1
_READ = 65536


class Switch:
    """`instances`: those among which to choose; `port`: where clients come."""

    def __init__(self) -> None:
        self.instances: list[Proxy] = []
        self.port = 0
        self.failures: list[str] = []
        """Connections that found nobody."""
        self._ready: list[Proxy] = []
        self._turns = itertools.count()
        self._tasks: set[asyncio.Task[None]] = set()

    async def look(self) -> None:
        """Look who is ready, again and again, until cancelled."""
        while True:
            await self.see()
            await asyncio.sleep(_LOOK)

    async def see(self) -> None:
        instances = list(self.instances)
        ready = await asyncio.gather(*(one.ready() for one in instances))
        self._ready = [one for one, is_ready in zip(instances, ready, strict=True) if is_ready]

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            if not self._ready:
                self.failures.append("nobody is ready")
                return
            chosen = self._ready[next(self._turns) % len(self._ready)]
            try:
                inner, outer = await asyncio.open_connection(HOST, chosen.port)
            except OSError as error:
                self.failures.append(repr(error))
                return
            await asyncio.gather(_pass_on(reader, outer), _pass_on(inner, writer))
        finally:
            writer.close()


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while data := await reader.read(_READ):
            writer.write(data)
            await writer.drain()
    writer.close()


@asynccontextmanager
async def switching() -> AsyncIterator[Switch]:
    switch = Switch()
    server = await asyncio.start_server(switch.accept, HOST, 0)
    switch.port = server.sockets[0].getsockname()[1]
    looking = asyncio.create_task(switch.look())
    try:
        yield switch
    finally:
        looking.cancel()
        server.close()
        await switch.close()
