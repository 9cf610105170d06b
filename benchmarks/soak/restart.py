"""P8, P9: the proxy is replaced under load; the backend dies under load and comes back."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager

from benchmarks.soak.load import Before, Seen, Stream, awaited, short
from benchmarks.soak.outcome import Outcome, Scenario
from benchmarks.soak.processes import Proxy, backend, eventually, free_port, proxy
from benchmarks.soak.switch import Switch, switching
from benchmarks.soak.wire import asked, chat, is_error

_GRACE = 30.0
_TOKENS, _APART_MS = 20, 100  # a stream of two seconds
_PAUSE, _WITHIN = 1.0, 10.0
_SLOW = "slow-200"  # so that some run when the backend is killed


async def rolling_restart(outcome: Outcome) -> None:
    times, rate, streams = (10, 100, 50) if outcome.full else (3, 20, 10)
    seen, followed = Seen(), list[Stream]()
    async with AsyncExitStack() as stack, AsyncExitStack() as load:
        upstream = await stack.enter_async_context(backend())
        switch = await stack.enter_async_context(switching())
        running = await _add(stack, outcome, switch, upstream.port)
        await load.enter_async_context(_forever(lambda: _short(switch, seen), at_once=1, pause=1 / rate))
        await load.enter_async_context(_forever(lambda: _stream(switch, followed), at_once=streams, pause=0.0))
        for _ in range(times):
            await asyncio.sleep(1)
            following = await _add(stack, outcome, switch, upstream.port)
            running.process.send_signal(signal.SIGTERM)
            async with asyncio.timeout(_GRACE + 10):
                await running.process.wait()
            switch.instances.remove(running)
            running = following
        await load.aclose()
    outcome.told("replacements", times)
    outcome.told("short requests", seen.ok + len(seen.failed))
    outcome.none("requests that failed", seen.failed)
    outcome.told("streams", len(followed))
    outcome.none("streams cut or harmed", (one for stream in followed for one in stream.problems))
    outcome.none("connections that found no instance", switch.failures)
    outcome.spread("short requests", seen.seconds)
    delays = (delay for stream in followed for delay in stream.ledger.delays)
    outcome.spread("added to a token", delays)


async def flapping_backend(outcome: Outcome) -> None:
    times, rate = (20, 20) if outcome.full else (3, 20)
    settings = {"BREAKER_PAUSE": str(_PAUSE), "FIRST_BYTE_TIMEOUT": "5", "REQUEST_TIMEOUT": "5"}
    port, seen, back, wrong = free_port(), Seen(), list[float](), list[str]()
    async with proxy(outcome, port, **settings) as front:
        async with backend(port) as upstream:
            before = await Before.of(front, upstream)
        async with _forever(lambda: _judged(front, seen, wrong), at_once=1, pause=1 / rate):
            for _ in range(times):
                await asyncio.sleep(1)
                async with backend(port):
                    back.append(await _first_success(front))
                    await asyncio.sleep(1)
        async with backend(port) as upstream:
            await _first_success(front)
            await before.nothing_left(outcome, upstream=upstream)
    outcome.told("times that the backend came back", times)
    outcome.told("requests answered", seen.ok)
    outcome.told("requests refused", len(seen.failed))
    outcome.none("answers that are neither whole nor a right refusal", wrong)
    outcome.speed("first answer after it is back, at most", max(back), _PAUSE + 1, "s")


async def _add(stack: AsyncExitStack, outcome: Outcome, switch: Switch, upstream_port: int) -> Proxy:
    """Start an instance, and wait until the switch has seen that it is ready."""
    starting = proxy(outcome, upstream_port, DRAIN_DELAY="1", DRAIN_TIMEOUT=str(_GRACE))
    started = await stack.enter_async_context(starting)
    switch.instances.append(started)
    await switch.see()
    return started


@asynccontextmanager
async def _forever(one: Callable[[], Awaitable[None]], *, at_once: int, pause: float) -> AsyncIterator[None]:
    """Do something again and again while the block lasts; what runs at its end may end by itself."""
    ended = asyncio.Event()

    async def again() -> None:
        async with asyncio.TaskGroup() as tasks:
            while not ended.is_set():
                if pause:  # at a rate, however long each takes
                    tasks.create_task(awaited(one))
                    await asyncio.sleep(pause)
                else:
                    await one()

    async with asyncio.TaskGroup() as tasks:
        for _ in range(at_once):
            tasks.create_task(again())
        try:
            yield
        finally:
            ended.set()


async def _first_success(front: Proxy) -> float:
    async def whole() -> bool:
        return (await asked(front.port, "/api/chat", chat("short"))).whole

    return await eventually(whole, _WITHIN, "an answer, once the backend is back")


async def _judged(front: Proxy, seen: Seen, wrong: list[str]) -> None:
    found = Seen()
    reply = await short(front.port, found, _WITHIN, _SLOW)
    seen.ok += found.ok
    seen.failed += found.failed
    if not found.ok and not (reply and is_error(reply)):
        wrong.extend(found.failed)


async def _short(switch: Switch, seen: Seen) -> None:
    await short(switch.port, seen)


async def _stream(switch: Switch, followed: list[Stream]) -> None:
    followed.append(await Stream(_TOKENS, _APART_MS).follow(switch.port, _GRACE))


SCENARIOS = (
    Scenario(
        "P8",
        "One instance replaces the other again and again, behind a switch that asks for `/ready`, under short requests "
        "and streams: none fails, none is cut.",
        rolling_restart,
    ),
    Scenario(
        "P9",
        "The backend is killed and comes back, again and again: each request ends in time, with an answer or with an "
        "error; soon after, all is well.",
        flapping_backend,
    ),
)
