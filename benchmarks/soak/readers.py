"""P5, P6: clients that don't read what they asked for, and clients that never finish asking."""

from __future__ import annotations

import asyncio
import math
import select
import time
from contextlib import AsyncExitStack

from benchmarks.soak import kernel
from benchmarks.soak.load import Before, Seen, Stream, arrivals, short, watched
from benchmarks.soak.outcome import Outcome, Scenario
from benchmarks.soak.processes import Backend, Proxy, both
from benchmarks.soak.wire import Wire, chat

_SMALL = 4096
_EVENT, _EVENTS = 65536, 320  # 20 MiB
_SLACK, _SLACK_SHORT = 2.0, 10.0  # seconds after a limit at which what it ends must have ended
_RATE = 50


async def stalled_readers(outcome: Outcome) -> None:
    stalled, healthy, timeout = (500, 200, 20) if outcome.full else (50, 20, 3)
    tokens = timeout * 4 + 40
    async with both(outcome, WRITE_TIMEOUT=str(timeout)) as (proxy, upstream):
        before = await Before.of(proxy, upstream)
        alone = await _healthy(proxy, healthy, 20)
        async with watched(proxy) as seen, asyncio.TaskGroup() as tasks:
            running = tasks.create_task(_healthy(proxy, healthy, tokens))
            ended, unsent = await _stall(proxy, upstream, stalled, timeout + _SLACK_SHORT)
        sent = await _sent(upstream)
        streams = running.result()
        outcome.none("healthy streams harmed", (one for stream in (*alone, *streams) for one in stream.problems))
        outcome.none("stalled readers that were not reset", [None] * (stalled - len(ended)))
        most = max(ended, default=math.nan)
        outcome.speed("from the last byte that the backend could send to the last reset", most, timeout + _SLACK, "s")
        bound = 130 if outcome.full else 128  # unbounded it would be 1000
        outcome.at_most("memory above idle", (max(seen) - before.memory.resident) / kernel.MIB, bound, "MiB")
        bound = 4 if outcome.full else 8
        outcome.at_most("sent by the backend, per stalled reader", sent / stalled / kernel.MIB, bound, "MiB")
        if unsent is not None:
            outcome.at_most("kept by the kernel, per stalled reader", unsent / stalled / 1024, 512, "KiB")
            outcome.speed("the same, on average", unsent / stalled / 1024, 256, "KiB")
        _compared(outcome, "added to a token of a healthy stream", _delays(alone), _delays(streams), 1.1)
        await before.nothing_left(outcome)


async def half_heads(outcome: Outcome) -> None:
    many, timeout = (2000, 10) if outcome.full else (500, 3)
    async with both(outcome, HEADER_TIMEOUT=str(timeout)) as (proxy, upstream):
        before = await Before.of(proxy, upstream)
        alone, beside = Seen(), Seen()
        await arrivals(_RATE, 2, lambda: _short(proxy, alone))
        async with asyncio.TaskGroup() as tasks:
            trickling = [tasks.create_task(_trickle(proxy, timeout + _SLACK_SHORT)) for _ in range(many)]
            await arrivals(_RATE, timeout + _SLACK, lambda: _short(proxy, beside))
        reaped = [took for task in trickling if (took := task.result()) is not None]
        outcome.told("normal requests", beside.ok)
        outcome.none("normal requests that failed", alone.failed + beside.failed)
        outcome.none("half heads that were not ended", [None] * (many - len(reaped)))
        found = outcome.spread("from connecting to the end of a half head", reaped)
        outcome.speed("ended after, at most", found.most, (timeout + _SLACK) * 1000, "ms")
        _compared(outcome, "normal requests", alone.seconds, beside.seconds, 1.2)
        await before.nothing_left(outcome)


async def _healthy(proxy: Proxy, streams: int, tokens: int) -> list[Stream]:
    running = (Stream(tokens, 100).follow(proxy.port, tokens / 10 + 60) for _ in range(streams))
    return await asyncio.gather(*running)


async def _stall(proxy: Proxy, upstream: Backend, clients: int, within: float) -> tuple[list[float], int | None]:
    """Ask and don't read. Return the seconds until each was reset, and the most bytes that the kernel kept.

    The seconds, and those within which they must be over, count from when the backend could send its last byte: then
    all that lies between is full.
    """
    async with AsyncExitStack() as stack:
        poll, waiting, ended, unsent = select.poll(), set[int](), list[float](), list[int | None]()
        for _ in range(clients):
            wire = await stack.enter_async_context(Wire(proxy.port, _SMALL))
            await wire.ask("/api/chat", chat(f"flood-{_EVENT}-{_EVENTS}"))
            poll.register(wire.socket, 0)  # errors alone: nothing is read
            waiting.add(wire.socket.fileno())
        sent, last = 0, time.monotonic()
        while waiting and time.monotonic() < last + within:
            await asyncio.sleep(0.1)
            before, sent = sent, await _sent(upstream)
            last = time.monotonic() if sent > before else last
            for file, _ in poll.poll(0):
                poll.unregister(file)
                waiting.discard(file)
                ended.append(time.monotonic())
            if time.monotonic() - last > len(unsent):  # now and then, once it is all full
                unsent.append(await asyncio.to_thread(kernel.unsent, proxy.port))
        return [moment - last for moment in ended], max((size for size in unsent if size is not None), default=None)


async def _sent(upstream: Backend) -> int:
    return int((await upstream.stats())["sent"].get(f"flood-{_EVENT}-{_EVENTS}", 0))


async def _trickle(proxy: Proxy, within: float) -> float | None:
    """Send a head that never ends. Return the seconds until the server ended it, None if it did not."""
    try:
        async with asyncio.timeout(within), Wire(proxy.port) as wire:
            began = time.monotonic()
            await wire.send(b"POST /api/chat HTTP/1.1\r\nHost: localhost\r\nX-Long: ")
            ending = asyncio.create_task(wire.to_end())
            try:
                while not ending.done():
                    await wire.send(b"x")
                    await asyncio.wait({ending}, timeout=0.5)
            except ConnectionError:
                await ending
            finally:
                ending.cancel()
            return time.monotonic() - began
    except TimeoutError:
        return None


async def _short(proxy: Proxy, seen: Seen) -> None:
    await short(proxy.port, seen)


def _delays(streams: list[Stream]) -> list[float]:
    return [delay for stream in streams for delay in stream.ledger.delays]


def _compared(outcome: Outcome, what: str, alone: list[float], beside: list[float], times: float) -> None:
    before = outcome.spread(f"{what}, alone", alone).p99
    outcome.speed(f"{what}, p99", outcome.spread(f"{what}, beside them", beside).p99, before * times, "ms")


SCENARIOS = (
    Scenario(
        "P5",
        "Readers that take nothing of 20 MiB each, beside healthy streams: they are reset in time, memory stays "
        "bounded here, in the kernel and at the backend, and no healthy stream is harmed.",
        stalled_readers,
    ),
    Scenario(
        "P6",
        "Heads that come byte by byte and never end, beside normal requests: all are ended in time, no normal request "
        "fails.",
        half_heads,
    ),
)
