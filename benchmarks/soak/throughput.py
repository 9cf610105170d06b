"""P11, P12: what a request and a token cost. Nothing here fails the short form but a wrong answer."""

from __future__ import annotations

import asyncio
import time

from benchmarks.soak import kernel
from benchmarks.soak.load import Before, Seen, Stream, arrivals
from benchmarks.soak.outcome import Outcome, Scenario
from benchmarks.soak.processes import both
from benchmarks.soak.wire import Wire, asked, chat, request

_AT_ONCE = 32


async def requests(outcome: Outcome) -> None:
    many = 20_000 if outcome.full else 2_000
    async with both(outcome) as (proxy, upstream):
        await Before.of(proxy, upstream)
        data = request("/api/chat", chat("short", stream=False))
        cpu, began, wrong = kernel.cpu(proxy.pid), time.monotonic(), list[str]()

        async def some() -> None:
            async with asyncio.timeout(600), Wire(proxy.port) as wire:
                for _ in range(many // _AT_ONCE):
                    await wire.send(data)
                    reply = await wire.reply()
                    if not reply.whole:
                        wrong.append(reply.told())

        await asyncio.gather(*(some() for _ in range(_AT_ONCE)))
        used, took = kernel.cpu(proxy.pid) - cpu, time.monotonic() - began
        outcome.none("wrong answers", wrong)
        outcome.told("requests per second", many / took)
        outcome.speed("CPU per request", used / many * 1000, 1000 / 400, "ms")
        alone, through = Seen(), Seen()
        await arrivals(many / took / 2, 5, lambda: _short(upstream.port, alone))
        await arrivals(many / took / 2, 5, lambda: _short(proxy.port, through))
        outcome.none("requests that failed", through.failed)
        direct = outcome.spread("at half of that rate, the backend alone", alone.seconds)
        found = outcome.spread("at half of that rate, through the proxy", through.seconds)
        outcome.speed("added at half of that rate, p50", found.p50 - direct.p50, 3, "ms")
        outcome.speed("added at half of that rate, p99", found.p99 - direct.p99, 15, "ms")


async def tokens(outcome: Outcome) -> None:
    streams, each = 10, 10_000 if outcome.full else 1_000
    async with both(outcome) as (proxy, upstream):
        before = await Before.of(proxy, upstream)
        cpu = kernel.cpu(proxy.pid)
        found = await asyncio.gather(*(Stream(each, 0).follow(proxy.port, 300) for _ in range(streams)))
        used = kernel.cpu(proxy.pid) - cpu
        outcome.none("tokens lost, doubled or out of place", (one for stream in found for one in stream.problems))
        outcome.speed("CPU per token", used / streams / each * 1e6, 150, "us")
        await before.nothing_left(outcome)


async def _short(port: int, seen: Seen) -> None:
    path = "/api/chat"
    began = time.monotonic()
    reply = await asked(port, path, chat("short", stream=False))
    seen.seconds.append(time.monotonic() - began)
    if reply.status != 200:
        seen.failed.append(reply.told())


SCENARIOS = (
    Scenario(
        "P11", "Requests that are not streamed, one after the other on each connection: what each costs.", requests
    ),
    Scenario("P12", "Streams whose tokens come back to back: what each token costs.", tokens),
)
