"""P3: clients that leave, at any moment, in any way."""

from __future__ import annotations

import asyncio
import random
import socket
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager

from benchmarks.soak.figures import metric
from benchmarks.soak.load import Before
from benchmarks.soak.outcome import Outcome, Scenario
from benchmarks.soak.processes import Proxy, backend, both, eventually, free_port, proxy
from benchmarks.soak.wire import HOST, Wire, chat, request

_AT_ONCE = 60
_SMALL = 4096
_NEVER = "short-1"  # asked for only where it must never reach the backend
Phase = Callable[[Wire, random.Random], Awaitable[None]]


async def within_the_request(wire: Wire, chance: random.Random) -> None:
    whole = request("/api/chat", chat("short"))
    await wire.send(whole[: chance.randrange(len(whole))])


async def at_once(wire: Wire, _chance: random.Random) -> None:
    await wire.ask("/api/chat", chat("tokens-100-10"))


async def before_the_first_token(wire: Wire, chance: random.Random) -> None:
    await wire.ask("/api/chat", chat("hang", stream=chance.random() < 0.5))
    await asyncio.sleep(chance.random() / 5)


async def within_the_stream(wire: Wire, chance: random.Random) -> None:
    await wire.ask("/api/chat", chat("tokens-1000-10"))
    left = chance.randrange(10)
    async for _ in wire.chunks(await wire.head()):
        left -= 1
        if left < 0:
            break


async def while_it_does_not_read(wire: Wire, chance: random.Random) -> None:
    await wire.ask("/api/chat", chat("flood-65536-320"))
    await asyncio.sleep(chance.random() / 3)


async def waiting(wire: Wire, chance: random.Random) -> None:
    """Of a proxy that can't go on: it waits for a place, or for a connection to the backend."""
    await wire.ask("/api/chat", chat(_NEVER, stream=chance.random() < 0.5))
    await asyncio.sleep(chance.random() / 5)


PHASES: dict[Phase, float] = {  # how many of twenty
    within_the_request: 2,
    at_once: 3,
    before_the_first_token: 4,
    within_the_stream: 6,
    while_it_does_not_read: 1,
}


async def aborts(outcome: Outcome) -> None:
    clients = 10_000 if outcome.full else 1_000
    chance = random.Random(outcome.seed)  # noqa: S311  # no secret
    await _of_a_busy_proxy(outcome, clients * 8 // 10, chance)
    await _of_a_queue(outcome, clients // 10, chance)
    await _of_a_dialling_proxy(outcome, clients // 10, chance)


async def _of_a_busy_proxy(outcome: Outcome, clients: int, chance: random.Random) -> None:
    async with both(outcome) as (proxy, upstream):
        await _storm(proxy, _any(chance, clients // 10), chance)  # what such a load needs at a time stays reserved
        before = await Before.of(proxy, upstream)
        await _storm(proxy, _any(chance, clients), chance)
        await before.nothing_left(outcome)
        outcome.at_most("growth of memory", await before.grown(within=1), 10 if outcome.full else 30, "MiB")
        page = await proxy.get("/metrics")
        outcome.equal("exchanges that ended as `internal`", _ended(page, "internal"), 0)
        outcome.told("exchanges that ended as `client_abort`", _ended(page, "client_abort"))
        outcome.told("replies that the backend saw given up", (await upstream.stats())["aborted"])


async def _of_a_queue(outcome: Outcome, clients: int, chance: random.Random) -> None:
    """The one place is taken; those who wait for it leave, and the backend never hears of them."""
    async with both(outcome, MAX_ACTIVE_REQUESTS="1") as (proxy, upstream):
        before = await Before.of(proxy, upstream)
        async with Wire(proxy.port) as holder:
            await holder.ask("/api/chat", chat("hang"))

            async def held() -> bool:
                return int((await upstream.stats())["live"]) == 1

            await eventually(held, 10, "the one place is taken")
            await _storm(proxy, [waiting] * clients, chance)
            reached = (await upstream.stats())["requests"].get(_NEVER, 0)
            outcome.equal("queue: requests that reached the backend after all", reached, 0)
        await before.nothing_left(outcome, "queue")


async def _of_a_dialling_proxy(outcome: Outcome, clients: int, chance: random.Random) -> None:
    """The backend's host takes no more connections; when it does again, all is well."""
    port = free_port()
    async with proxy(outcome, port, BREAKER_FAILURES="0") as dialling:
        async with backend(port) as upstream:
            before = await Before.of(dialling, upstream)
        with _full_backlog(port):
            await _storm(dialling, [waiting] * clients, chance)
        async with backend(port) as upstream:
            await before.nothing_left(outcome, "connect", upstream=upstream)


def _any(chance: random.Random, clients: int) -> list[Phase]:
    return chance.choices([*PHASES], weights=[*PHASES.values()], k=clients)


async def _storm(proxy: Proxy, phases: list[Phase], chance: random.Random) -> None:
    """Leave as often as there are phases, some at a time."""
    left = iter(phases)

    async def some() -> None:
        for phase in left:
            await leave(proxy, phase, chance)

    async with asyncio.TaskGroup() as tasks:
        for _ in range(_AT_ONCE):
            tasks.create_task(some())


async def leave(proxy: Proxy, phase: Phase, chance: random.Random) -> None:
    buffer = _SMALL if phase is while_it_does_not_read else 0
    async with asyncio.timeout(60), Wire(proxy.port, buffer) as wire:
        await phase(wire, chance)
        way = chance.randrange(3)
        if way == 0:
            wire.reset()
        elif way == 1:
            wire.half_close()
            await wire.to_end()


@contextmanager
def _full_backlog(port: int) -> Iterator[None]:
    """Listen on a port, and let nobody in: the system drops the packets of whoever knocks."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((HOST, port))
        listener.listen(0)
        for _ in range(4):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex((HOST, port))
        yield


def _ended(page: str, outcome: str) -> float:
    return metric(page, "ollama_proxy_exchanges_total", outcome=outcome)


SCENARIOS = (
    Scenario(
        "P3",
        "Clients leave, with FIN, RST or half-closed: within their request, while they wait in the queue, for a "
        "connection or for the first token, within the stream, without reading it. Nothing is left of them at the "
        "backend or in the proxy, and the next request is answered.",
        aborts,
    ),
)
