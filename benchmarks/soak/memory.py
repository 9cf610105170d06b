"""P4: memory that does not grow with the number of requests."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Iterator

from benchmarks.soak import kernel
from benchmarks.soak.figures import slope
from benchmarks.soak.load import Before
from benchmarks.soak.outcome import Outcome, Scenario
from benchmarks.soak.processes import Proxy, both
from benchmarks.soak.wire import Wire, chat, request

_AT_ONCE = 16
_EACH = 100  # requests on one connection
_HUNDRED_THOUSAND = 100_000

# What is asked in turn, and what the answers begin with.
REQUESTS = (
    (request("/api/chat", chat("short")), 200),
    (request("/api/chat", chat("short", stream=False)), 200),
    (request("/api/generate", {"model": "short", "prompt": "Hello"}), 200),
    (request("/api/chat", b'{"model": "short", "messages": ['), 400),
    (request("/api/tags"), 200),
    (request("/api/chat", chat("short", stream=False)), 200),
    (request("/nowhere", {}), 404),
    (request("/api/show", {"model": "short"}), 200),
)


async def flat_memory(outcome: Outcome) -> None:
    warm, requests = (20_000, 200_000) if outcome.full else (2_000, 6_000)
    async with both(outcome) as (proxy, upstream):
        before = await Before.of(proxy, upstream)
        wrong = await _load(proxy, warm, [])
        cpu, began, points = kernel.cpu(proxy.pid), time.monotonic(), list[tuple[float, float]]()
        wrong += await _load(proxy, requests, points)
        outcome.told("requests", warm + requests)
        outcome.told("requests per second", requests / (time.monotonic() - began))
        outcome.told("CPU per request", (kernel.cpu(proxy.pid) - cpu) / requests * 1000, "ms")
        outcome.none("other answers than the right ones", wrong)
        outcome.told("memory of its own at the end", points[-1][1] / kernel.MIB, "MiB")
        grows = slope(points) * _HUNDRED_THOUSAND / kernel.MIB
        # In few requests, the pages that the allocator happens to take weigh more than what a request might leave.
        outcome.at_most("growth in 100,000 requests", grows, 1 if outcome.full else 50, "MiB")
        await before.nothing_left(outcome)


async def _load(proxy: Proxy, requests: int, points: list[tuple[float, float]]) -> list[str]:
    """Ask so often. Return what was wrong, and add points: requests so far, and bytes of memory of the proxy's own."""
    left, wrong = iter(range(requests)), list[str]()
    every = max(requests // 200, 1)
    turns = itertools.cycle(REQUESTS)

    async def ask() -> None:
        while mine := list(itertools.islice(left, _EACH)):
            async with asyncio.timeout(60), Wire(proxy.port) as wire:
                for number in mine:
                    await _one(wire, turns, wrong)
                    if number % every == 0:
                        points.append((number, kernel.memory(proxy.pid).own))

    async with asyncio.TaskGroup() as tasks:
        for _ in range(_AT_ONCE):
            tasks.create_task(ask())
    return wrong


async def _one(wire: Wire, turns: Iterator[tuple[bytes, int]], wrong: list[str]) -> None:
    data, status = next(turns)
    await wire.send(data)
    reply = await wire.reply()
    if reply.status != status:
        wrong.append(f"{data[:30]!r}: {reply.told()}")


SCENARIOS = (
    Scenario(
        "P4",
        "Many short requests of several kinds, wrong ones among them: memory (RssAnon and VmSwap) does not grow.",
        flat_memory,
    ),
)
