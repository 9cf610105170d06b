"""The places and their queue (C1, J9 to J14), whoever comes, leaves, waits too long or is cut off, in any order."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from ollama_openai_proxy.errors import Busy, Draining
from ollama_openai_proxy.limits import AdmissionLimits
from ollama_openai_proxy.observe.metrics import Metrics
from ollama_openai_proxy.observe.record import Record
from ollama_openai_proxy.observe.tracing import PassedOn
from ollama_openai_proxy.serve.admission import FULL, Admission
from ollama_openai_proxy.serve.callers import Callers
from ollama_openai_proxy.serve.lifecycle import Lifecycle
from ollama_openai_proxy.serve.recorder import Told

WAIT = 30.0
TURNS = 6  # of the loop, in which all that was begun comes to rest
Taken = asyncio.Task[Callable[[], None]]


class Clock(asyncio.SelectorEventLoop):
    """A loop whose time is put forward."""

    ahead = 0.0

    def time(self) -> float:
        return super().time() + self.ahead


class House:
    """Places, who has one and who waits, and what must hold of them at each moment and whenever all is at rest."""

    def __init__(self, active: int, queue: int, per_client: int) -> None:
        self.limits = AdmissionLimits(active, queue, WAIT, per_client)
        self.lifecycle, self.metrics = Lifecycle(), Metrics(version="0")
        self.admission = Admission(self.limits, self.lifecycle, self.metrics, Callers())
        self.waiting: list[tuple[Taken, str]] = []  # in their order
        self.running: list[tuple[Taken, str]] = []
        self.order: list[Taken] = []

    def come(self, client: str) -> None:
        task = asyncio.create_task(self._enter(client))
        self.waiting.append((task, client))

    async def _enter(self, client: str) -> Callable[[], None]:
        record = Record("r")
        told = Told(record, PassedOn().begin(record, None, None), record.attempted)
        scope: dict[str, Any] = {"caller": client, "headers": [], "told": told}
        leave = await self.admission.enter(scope)
        if task := asyncio.current_task():
            self.order.append(task)
        return leave

    def sort(self) -> None:
        """Note who has come in, and that it was who had waited longest; forget who was refused or has left."""
        inside = [each for each in self.waiting if each[0] in self.order]
        assert [task for task, _ in inside] == self.order  # first come, first served
        self.order.clear()
        self.running += [each for each in inside if not each[0].cancelled()]
        self.waiting = [each for each in self.waiting if not each[0].done() or self.seen(each[0])]
        assert len(self.running) <= self.limits.active

    @staticmethod
    def seen(task: Taken) -> bool:
        """Look at how it ended: in no other way than these."""
        if not task.cancelled() and (problem := task.exception()):
            assert isinstance(problem, Busy | Draining)
        return False

    async def rest(self) -> None:
        for _ in range(TURNS):
            await asyncio.sleep(0)
            self.sort()
        clients = [client for _, client in self.waiting + self.running]
        assert len(self.waiting) <= self.limits.queue
        assert not self.waiting or len(self.running) == self.limits.active  # nobody waits while a place is free
        assert not (self.waiting and self.lifecycle.draining)
        if self.limits.per_client:
            assert all(clients.count(client) <= self.limits.per_client for client in clients)

    async def act(self, what: str, number: int) -> None:
        if what in ("a", "b", "c"):
            self.come(what)
        elif what == "leaves" and self.running:
            self.running.pop(number % len(self.running))[0].result()()
        elif what == "hangs up" and self.waiting:
            self.waiting[number % len(self.waiting)][0].cancel()
        elif what == "time":
            loop = asyncio.get_running_loop()
            assert isinstance(loop, Clock)
            loop.ahead += WAIT * 0.6
        elif what == "memory":
            self.admission.memory_used(number % 2)
        elif what == "turn":
            await asyncio.sleep(0)
            self.sort()
        elif what == "rest":
            await self.rest()
        elif what == "drain" and number == 0:
            self.lifecycle.change("draining")

    async def end(self) -> None:
        """Let all leave; then there are as many places as at first, and the next one has none."""
        for task, _ in self.waiting:
            task.cancel()
        await self.rest()
        assert not self.waiting
        for task, _ in self.running:
            task.result()()
        self.running.clear()
        self.admission.memory_used(0)
        for number in range(self.limits.active):
            self.come(f"new {number}")
        await self.rest()
        assert len(self.running) == self.limits.active
        self.come("late")
        await self.rest()
        assert len(self.running) == self.limits.active
        page = self.metrics.render("")[0].decode()
        assert f"\nollama_proxy_exchanges_queued {len(self.waiting):.1f}\n" in page
        for task, _ in self.waiting:
            task.cancel()
        await self.rest()


ACTS = ("a", "a", "b", "c", "leaves", "leaves", "hangs up", "turn", "rest", "time", "memory", "drain")


@settings(deadline=None, max_examples=300)
@given(
    st.integers(1, 3),
    st.integers(0, 4),
    st.sampled_from([0, 0, 1, 2]),
    st.lists(st.tuples(st.sampled_from(ACTS), st.integers(0, 9)), max_size=40),
)
def test_c1_j9_j10_j11_j13_no_place_is_lost(
    active: int, queue: int, per_client: int, acts: list[tuple[str, int]]
) -> None:
    """C1, J9, J10, J11, J13: places are neither lost nor made, first come is first served, and limits are kept."""

    async def play() -> None:
        house = House(active, queue, per_client)
        for what, number in acts:
            await house.act(what, number)
        await house.rest()
        await house.end()

    with asyncio.Runner(loop_factory=Clock) as runner:
        runner.run(play())


def test_j10_nobody_is_refused_who_could_wait() -> None:
    """J10: who comes when the queue has room waits; who comes when it has none is told that it is full."""

    async def play() -> None:
        house = House(1, 2, 0)
        for _ in range(3):
            house.come("a")
        await house.rest()
        assert (len(house.running), len(house.waiting)) == (1, 2)
        house.come("a")
        task, _ = house.waiting[-1]
        await house.rest()
        assert str(task.exception()) == FULL
        await house.end()

    with asyncio.Runner(loop_factory=Clock) as runner:
        runner.run(play())
