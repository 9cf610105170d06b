"""P1, P2, P10: many slow streams at a time; all of them at once; great events whose readers leave."""

from __future__ import annotations

import asyncio
import time

from benchmarks.soak import kernel
from benchmarks.soak.figures import bucket
from benchmarks.soak.load import Before, Stream, watched
from benchmarks.soak.outcome import Outcome, Scenario
from benchmarks.soak.processes import Proxy, both, eventually, probing
from benchmarks.soak.wire import Wire, chat

_IDLE_STREAM_KIB = 80


async def slow_streams(outcome: Outcome) -> None:
    streams, tokens, pause_ms, ramp = (1000, 60, 1000, 20.0) if outcome.full else (200, 24, 250, 2.0)
    async with both(outcome) as (proxy, upstream):
        before = await Before.of(proxy, upstream)
        cpu, began = kernel.cpu(proxy.pid), time.monotonic()
        async with probing(proxy.port, "/live") as live, watched(proxy) as seen:
            found = await _streams(proxy, streams, tokens, pause_ms, ramp)
        busy = 100 * (kernel.cpu(proxy.pid) - cpu) / (time.monotonic() - began)
        _tokens(outcome, found)
        outcome.none("/live unanswered", [None] * live.failed)
        idle, most = before.memory.resident, max(seen)
        outcome.at_most("memory at most", most / kernel.MIB, 160, "MiB")
        kib = (most - idle) / 1024 / streams
        outcome.at_most("memory per stream", kib, _IDLE_STREAM_KIB if outcome.full else 200, "KiB")
        outcome.speed("CPU, of one core", busy, 60, "%")
        outcome.told("CPU per token", busy / 100 * (time.monotonic() - began) / (streams * tokens) * 1e6, "us")
        delays = (delay for stream in found for delay in stream.ledger.delays)
        outcome.speed("time added to a token, p99", outcome.spread("added to a token", delays).p99, 50, "ms")
        outcome.speed("/live p99", outcome.spread("/live", live.seconds).p99, 100, "ms")
        await _lag(outcome, proxy)
        await before.nothing_left(outcome)


async def burst(outcome: Outcome) -> None:
    streams = 1000 if outcome.full else 200
    async with both(outcome) as (proxy, upstream):
        before = await Before.of(proxy, upstream)
        async with probing(proxy.port, "/live") as live:
            found = await _streams(proxy, streams, 5, 200, 0.0)
        _tokens(outcome, found)
        outcome.none("/live unanswered", [None] * live.failed)
        first = outcome.spread("first token", (stream.first for stream in found))
        outcome.speed("time to the first token, p99", first.p99, 3000, "ms")
        outcome.speed("/live p99", outcome.spread("/live", live.seconds).p99, 1000, "ms")
        await before.nothing_left(outcome)


async def great_events(outcome: Outcome) -> None:
    """Read the first of the events that are 5 MiB each, then leave, all at once."""
    readers, event = 30, 5 * kernel.MIB
    async with both(outcome) as (proxy, upstream):
        before = await Before.of(proxy, upstream)
        async with probing(proxy.port, "/ready", 0.02) as reading:
            wires = await asyncio.gather(*(_read(proxy.port, f"flood-{event}-100", event) for _ in range(readers)))
        async with probing(proxy.port, "/ready", 0.02) as leaving:
            for wire in wires:
                wire.reset()
            took = await eventually(upstream.idle, 10, "nothing left at the backend")
            await asyncio.sleep(2)
        outcome.told("until nothing was left at the backend", took, "s")
        outcome.none("/ready unanswered", [None] * (reading.failed + leaving.failed))
        outcome.spread("/ready while they read", reading.seconds)
        found = outcome.spread("/ready while they leave", leaving.seconds)
        outcome.speed("/ready p99 while they leave", found.p99, 250, "ms")
        await before.nothing_left(outcome)


async def _streams(proxy: Proxy, streams: int, tokens: int, pause_ms: int, ramp: float) -> list[Stream]:
    within = tokens * pause_ms / 1000 + 60
    async with asyncio.TaskGroup() as tasks:
        running = []
        for _ in range(streams):
            running.append(tasks.create_task(Stream(tokens, pause_ms).follow(proxy.port, within)))
            await asyncio.sleep(ramp / streams)
    return [task.result() for task in running]


def _tokens(outcome: Outcome, found: list[Stream]) -> None:
    outcome.told("streams", len(found))
    outcome.told("tokens", sum(stream.ledger.tokens for stream in found))
    outcome.none("tokens lost, doubled or out of place", (one for stream in found for one in stream.problems))


async def _lag(outcome: Outcome, proxy: Proxy) -> None:
    page = await proxy.get("/metrics")
    name = "ollama_proxy_event_loop_lag_seconds"
    outcome.speed("P10: lag of the event loop, p99 (end of its bucket)", bucket(page, name, 99) * 1000, 20, "ms")
    outcome.speed("P10: lag of the event loop, most (end of its bucket)", bucket(page, name, 100) * 1000, 250, "ms")


async def _read(port: int, model: str, size: int) -> Wire:
    """Ask for a stream, and return its connection when so many bytes have been read."""
    wire = Wire(port)
    async with asyncio.timeout(60):
        await wire.__aenter__()
        await wire.ask("/api/chat", chat(model))
        async for chunk in wire.chunks(await wire.head()):
            size -= len(chunk)
            if size <= 0:
                break
    return wire


SCENARIOS = (
    Scenario(
        "P1",
        "Many slow streams at a time: each finishes, no token is missing, doubled or out of order, memory and CPU stay "
        "small, and the proxy stays reachable.",
        slow_streams,
    ),
    Scenario("P2", "As many streams, all begun at once: none is refused or harmed.", burst),
    Scenario("P10", "30 streams of 5 MiB events whose readers leave at once: `/ready` stays fast.", great_events),
)
