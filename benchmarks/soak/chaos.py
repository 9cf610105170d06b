"""P15: everything at once, at random."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable

from benchmarks.soak.aborts import PHASES, leave
from benchmarks.soak.figures import metric
from benchmarks.soak.load import Before, Stream
from benchmarks.soak.outcome import Outcome, Scenario
from benchmarks.soak.processes import Proxy, both
from benchmarks.soak.wire import Wire, asked, chat, is_error

_BROKEN = ("cut-5-20", "status-500", "status-503", "junk")
_JUNK = (
    b"GET /\x00 HTTP/1.1\r\n\r\n",
    b"POST /api/chat HTTP/9.9\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\r\n\r\n",
)
_OVER = 10.0  # seconds that what runs at the end may take


class Round:
    """What is done to a proxy in one round, and what came of it that should not have."""

    def __init__(self, proxy: Proxy, chance: random.Random) -> None:
        self._proxy = proxy
        self._chance = chance
        self.done = 0
        self.wrong: list[str] = []

    async def run(self, at_once: int, seconds: float) -> None:
        end = time.monotonic() + seconds
        async with asyncio.TaskGroup() as tasks:
            for _ in range(at_once):
                tasks.create_task(self._some(end))

    async def _some(self, end: float) -> None:
        actions: tuple[Callable[[], Awaitable[None]], ...] = (self._leave, self._follow, self._short, self._break)
        while time.monotonic() < end:
            action = self._chance.choices((*actions, self._junk), weights=(4, 3, 4, 2, 1))[0]
            try:
                await action()
            except (OSError, EOFError, ValueError) as error:  # OSError: TimeoutError, too
                self.wrong.append(f"{action.__name__}: {error!r}")
            self.done += 1

    async def _leave(self) -> None:
        phase = self._chance.choices([*PHASES], weights=[*PHASES.values()])[0]
        await leave(self._proxy, phase, self._chance)

    async def _follow(self) -> None:
        stream = await Stream(self._chance.randrange(1, 40), self._chance.randrange(40)).follow(self._proxy.port, 60)
        self.wrong += stream.problems

    async def _short(self) -> None:
        reply = await asked(self._proxy.port, "/api/chat", chat("short", stream=self._chance.random() < 0.5))
        if not reply.whole:
            self.wrong.append(reply.told())

    async def _break(self) -> None:
        """Ask for what the backend does not do."""
        model = self._chance.choice(_BROKEN)
        reply = await asked(self._proxy.port, "/api/chat", chat(model, stream=self._chance.random() < 0.5))
        if not is_error(reply):
            self.wrong.append(f"{model}: {reply.told()}")

    async def _junk(self) -> None:
        """Send what is no request, and be refused."""
        async with asyncio.timeout(_OVER), Wire(self._proxy.port) as wire:
            await wire.send(self._chance.choice(_JUNK))
            reply = await wire.head()
            if reply.status < 400 or reply.status >= 500:
                self.wrong.append(f"no request: {reply.told()}")


async def chaos(outcome: Outcome) -> None:
    rounds, seconds, at_once = (12, 300, 200) if outcome.full else (2, 6, 40)
    async with both(outcome, BREAKER_FAILURES="0", LOG_LEVEL="error") as (proxy, upstream):
        before = await Before.of(proxy, upstream)
        done, wrong = 0, list[str]()
        for number in range(rounds):
            part = Round(proxy, random.Random(outcome.seed + number))  # noqa: S311  # no secret
            await part.run(at_once, seconds)
            done, wrong = done + part.done, wrong + part.wrong
            await before.nothing_left(outcome, f"round {number + 1}")
        outcome.told("actions", done)
        outcome.none("outcomes that may not be", wrong)
        page = await proxy.get("/metrics")
        outcome.equal(
            "exchanges that ended as `internal`",
            metric(page, "ollama_proxy_exchanges_total", outcome="internal"),
            0,
        )
        outcome.at_most("growth of memory", await before.grown(within=1), 30, "MiB")


SCENARIOS = (
    Scenario(
        "P15",
        "All at once and at random: clients that leave, streams, short requests, a backend that fails, bytes that "
        "are no request. Each ends as it may, and after each round nothing is left.",
        chaos,
    ),
)
