"""What the scenarios do to a proxy, and how they see that it has recovered."""

from __future__ import annotations

import asyncio
import itertools
import json
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Self

from benchmarks.soak import kernel
from benchmarks.soak.ledger import Ledger
from benchmarks.soak.outcome import Outcome
from benchmarks.soak.processes import Backend, Proxy, eventually
from benchmarks.soak.wire import Reply, Wire, asked, chat

_FILES = 5  # the descriptors that may be open more than before: what is asked meanwhile
_SETTLED = 10.0  # the pool of connections to the backend is empty long before
_names = itertools.count()


class Seen:
    """What became of many requests. Times are in seconds."""

    def __init__(self) -> None:
        self.ok = 0
        self.seconds: list[float] = []
        self.failed: list[str] = []


class Stream:
    """A stream of tokens, checked while it comes; all that was wrong is in `problems`."""

    def __init__(self, tokens: int, pause_ms: int) -> None:
        self._model = f"tokens-{tokens}-{pause_ms}"
        self._tokens = tokens
        self._name = f"s{next(_names)}"
        self.ledger = Ledger(self._name)
        self.first = 0.0
        """Seconds until the first token."""

    @property
    def problems(self) -> list[str]:
        return self.ledger.problems

    async def follow(self, port: int, within: float) -> Self:
        """Ask for it and read it to its end."""
        try:
            async with asyncio.timeout(within), Wire(port) as wire:
                await self._read(wire)
        except (OSError, EOFError, ValueError, KeyError) as error:  # OSError: TimeoutError, too
            self.problems.append(f"after {self.ledger.tokens} tokens: {error!r}")
        return self

    async def _read(self, wire: Wire) -> None:
        began = time.monotonic()
        await wire.ask("/api/chat", chat(self._model, self._name))
        head = await wire.head()
        lines = Lines()
        if head.status != 200:
            self.problems.append(f"status {head.status}")
        async for chunk in wire.chunks(head):
            now = time.monotonic_ns()
            for line in lines.take(chunk):
                self.first = self.first or time.monotonic() - began
                self.ledger.take(line["message"]["content"], now)
        self.ledger.end(self._tokens)
        if not lines.done:
            self.problems.append("no last line")


class Lines:
    """The objects of an NDJSON body that comes in chunks. Raises ValueError for one that is an error."""

    def __init__(self) -> None:
        self._rest = b""
        self.done = False

    def take(self, chunk: bytes) -> list[dict[str, dict[str, str]]]:
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        found = [json.loads(line) for line in lines]
        for line in found:
            if self.done or "error" in line:
                raise ValueError(line.get("error", "a line after the last"))
            self.done = line["done"]
        return found


class Before:
    """How a proxy was before a load, to see that nothing is left of it."""

    def __init__(self, proxy: Proxy, upstream: Backend) -> None:
        self._proxy = proxy
        self._upstream = upstream
        self.memory = kernel.memory(proxy.pid)
        self.descriptors = kernel.descriptors(proxy.pid)

    @classmethod
    async def of(cls, proxy: Proxy, upstream: Backend) -> Before:
        """Look at it once it has served some requests of each kind, and their connections are gone."""
        for stream in (True, False) * 10:
            await asked(proxy.port, "/api/chat", chat("short", stream=stream))
        await proxy.get("/metrics")

        async def rested() -> bool:
            return not (await upstream.stats())["connections"] > 1  # that which asks

        await eventually(rested, _SETTLED, "no connection to the backend")
        return cls(proxy, upstream)

    async def nothing_left(
        self, outcome: Outcome, name: str = "proxy", within: float = 2.0, upstream: Backend | None = None
    ) -> None:
        """Check that all that the load has opened is closed again, and that the next request is answered.

        `upstream`: the backend, if it is another than before.
        """
        self._upstream = upstream or self._upstream
        await _timed(outcome, f"{name}: requests left at the backend", within, self._upstream.idle)
        await _timed(outcome, f"{name}: requests in flight", within, self._nothing_runs)
        await _timed(outcome, f"{name}: descriptors above those before", _SETTLED, self._closed)
        reply = await asked(self._proxy.port, "/api/chat", chat("short"))
        outcome.none(f"{name}: the next request fails", [] if reply.whole else [reply.told()])

    async def grown(self, *, within: float) -> float:
        """Return by how many MiB the memory has grown, after some time to let go of it."""
        await asyncio.sleep(within)
        return (kernel.memory(self._proxy.pid).resident - self.memory.resident) / kernel.MIB

    async def _nothing_runs(self) -> bool:
        return await self._proxy.in_flight() == 0

    async def _closed(self) -> bool:
        return kernel.descriptors(self._proxy.pid) <= self.descriptors + _FILES


async def _timed(outcome: Outcome, what: str, within: float, true: Callable[[], Awaitable[bool]]) -> None:
    """Check that it becomes true, in time where speed counts and in five times that where it does not."""
    try:
        took = await eventually(true, within * 5, what)
    except TimeoutError as error:
        outcome.none(what, [error])
    else:
        outcome.none(what, [])
        outcome.speed(f"{what}: seconds until there are none", took, within, "s")


@asynccontextmanager
async def watched(proxy: Proxy, pause: float = 0.25) -> AsyncIterator[list[int]]:
    """Look at the proxy's resident memory while the block lasts; yields the list of what was seen, in bytes."""
    seen: list[int] = []

    async def look() -> None:
        while True:
            seen.append(kernel.memory(proxy.pid).resident)
            await asyncio.sleep(pause)

    looking = asyncio.create_task(look())
    try:
        yield seen
    finally:
        looking.cancel()


async def arrivals(rate: float, seconds: float, one: Callable[[], Awaitable[None]]) -> None:
    """Start one thing after the other at this rate, however long each takes, and wait for all."""
    began = time.monotonic()
    async with asyncio.TaskGroup() as tasks:
        for number in range(int(rate * seconds)):
            await asyncio.sleep(began + number / rate - time.monotonic())
            tasks.create_task(awaited(one))


async def short(port: int, seen: Seen, within: float = 30.0, model: str = "short") -> Reply | None:
    """Ask once, and note what became of it."""
    began = time.monotonic()
    try:
        reply = await asked(port, "/api/chat", chat(model, stream=random.random() < 0.5), within)  # noqa: S311  # no secret
    except (OSError, EOFError) as error:
        seen.failed.append(repr(error))
        return None
    seen.seconds.append(time.monotonic() - began)
    seen.ok += reply.whole
    if not reply.whole:
        seen.failed.append(reply.told())
    return reply


async def awaited(one: Callable[[], Awaitable[None]]) -> None:
    await one()
