"""The places and the queue for them, moment by moment."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from ollama_openai_proxy.errors import Busy, Draining
from ollama_openai_proxy.limits import AdmissionLimits
from ollama_openai_proxy.observe.metrics import Metrics
from ollama_openai_proxy.observe.record import Record
from ollama_openai_proxy.observe.tracing import PassedOn
from ollama_openai_proxy.serve.admission import Admission
from ollama_openai_proxy.serve.callers import Callers
from ollama_openai_proxy.serve.lifecycle import Lifecycle
from ollama_openai_proxy.serve.recorder import Told

Entering = asyncio.Task[Callable[[], None]]


def asked(address: str = "192.0.2.1") -> dict[str, Any]:
    record = Record("r")
    return {
        "client": (address, 1),
        "headers": [],
        "told": Told(record, PassedOn().begin(record, None, None), record.attempted),
    }


class Gate:
    """An admission, and the lifecycle that it listens to."""

    def __init__(self, **limits: float) -> None:
        self.lifecycle, self.metrics = Lifecycle(), Metrics(version="0")
        given = AdmissionLimits(**{"active": 1, **limits})  # type: ignore[arg-type]  # each is a number
        self.admission = Admission(given, self.lifecycle, self.metrics, Callers())

    async def enter(self, address: str = "192.0.2.1") -> Callable[[], None]:
        return await self.admission.enter(asked(address))

    async def queue(self, address: str = "192.0.2.1") -> Entering:
        """Begin to wait."""
        task = asyncio.create_task(self.enter(address))
        await asyncio.sleep(0)
        assert not task.done()
        return task

    @property
    def queued(self) -> float:
        page = self.metrics.render("")[0].decode().splitlines()
        return float(next(line for line in page if line.startswith("ollama_proxy_exchanges_queued ")).split()[1])


async def test_at_once() -> None:
    """A place that is free is taken without waiting, and is one of the same places; else there is none at once."""
    gate = Gate()
    leave = gate.admission.enter_at_once()
    assert leave
    assert gate.admission.enter_at_once() is None
    waiting = await gate.queue()
    leave()
    (await waiting)()
    assert gate.admission.enter_at_once()


async def test_at_once_by_client() -> None:
    """Where each client has places of its own, it has to be known who asks."""
    assert Gate(active=2, per_client=1).admission.enter_at_once() is None


async def cancelled(task: Entering) -> None:
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_place_goes_on_in_the_same_moment() -> None:
    """A place that is given back is that of who waits longest: whoever asks in between waits, too."""
    gate = Gate()
    leave = await gate.enter()
    first = await gate.queue()
    leave()
    second = await gate.queue()  # first has not run yet
    assert callable(await asyncio.wait_for(first, 1))
    assert not second.done()
    first.result()()
    (await second)()
    assert gate.queued == 0


async def test_c1_left_before_a_place_came() -> None:
    """C1: a place that comes when its taker has just left goes to the next one, in the same turn of the loop."""
    gate = Gate()
    leave = await gate.enter()
    first, second = await gate.queue(), await gate.queue()
    first.cancel()
    leave()  # first has not noticed yet
    (await asyncio.wait_for(second, 1))()
    assert first.cancelled()
    await gate.enter()


async def test_c1_left_when_a_place_had_come() -> None:
    """C1: who leaves in the moment after a place came gives it on."""
    gate = Gate()
    leave = await gate.enter()
    first, second = await gate.queue(), await gate.queue()
    leave()
    await cancelled(first)
    (await asyncio.wait_for(second, 1))()
    (await asyncio.wait_for(gate.enter(), 1))()


async def test_c1_last_one_left_when_a_place_had_come() -> None:
    """C1: if nobody else waits, that place is free."""
    gate = Gate(queue=1)
    leave = await gate.enter()
    only = await gate.queue()
    leave()
    await cancelled(only)
    leave = await asyncio.wait_for(gate.enter(), 1)
    await gate.queue()  # and there is one, not two
    leave()


async def test_j11_place_and_deadline_at_once() -> None:
    """J11: a place that came before the deadline is kept; a deadline that came first takes none."""
    gate = Gate(wait=0.05)
    leave = await gate.enter()
    late = await gate.queue()
    with pytest.raises(Busy) as refused:
        await late
    assert (refused.value.outcome, refused.value.status) == ("shed_timeout", 503)
    leave()
    (await asyncio.wait_for(gate.enter(), 1))()
    assert gate.queued == 0


async def test_j10_queue_full() -> None:
    """J10: one too many is refused, and told to come back within 5 seconds."""
    gate = Gate(queue=1)
    leave = await gate.enter()
    waits = await gate.queue()
    with pytest.raises(Busy) as refused:
        await gate.enter()
    assert refused.value.outcome == "shed_full"
    assert refused.value.retry_after in range(1, 6)
    leave()
    await waits


async def test_j13_of_one_client() -> None:
    """J13: a client runs and waits for so many and no more; others are not held up by it, and it may come back."""
    gate = Gate(active=2, per_client=2)
    leave = await gate.enter("192.0.2.1")
    other = await gate.enter("192.0.2.2")
    waits = await gate.queue("192.0.2.1")
    with pytest.raises(Busy) as refused:
        await gate.enter("192.0.2.1")
    assert refused.value.outcome == "shed_full"
    second = await gate.queue("192.0.2.2")
    await cancelled(waits)
    waits = await gate.queue("192.0.2.1")
    for give_back in (leave, other):
        give_back()
    for task in (second, waits):
        (await task)()
    for _ in range(2):
        await gate.enter("192.0.2.1")


async def test_j13_refused_ones_count_for_nothing() -> None:
    """J13: a client whose wait was in vain has its share back."""
    gate = Gate(queue=0, per_client=1)
    leave = await gate.enter("192.0.2.2")
    for _ in range(3):
        with pytest.raises(Busy):
            await gate.enter("192.0.2.1")
    leave()
    await gate.enter("192.0.2.1")


async def test_k5_drain_turns_the_queue_away() -> None:
    """K5: who waits when the drain begins is told so at once, and nobody waits from then on; a free place is used."""
    gate = Gate()
    leave = await gate.enter()
    waits = await gate.queue()
    gate.lifecycle.change("draining")
    with pytest.raises(Draining):
        await waits
    with pytest.raises(Draining):
        await gate.enter()
    leave()
    await gate.enter()


async def test_j14_pressure() -> None:
    """J14: above the limit new ones are refused, those that waited too; what runs goes on; below it all is as ever."""
    gate = Gate(memory_percent=90)
    leave = await gate.enter()
    waits = await gate.queue()
    gate.admission.check()
    gate.admission.memory_used(0.9)
    gate.admission.check()
    gate.admission.memory_used(0.95)
    assert gate.lifecycle.closes
    with pytest.raises(Busy):
        gate.admission.check()
    leave()
    with pytest.raises(Busy, match="memory"):
        await waits
    gate.admission.memory_used(0.5)
    assert [gate.lifecycle.closes] == [False]
    gate.admission.check()
    await gate.enter()


async def test_j14_pressure_is_told_now_and_then(caplog: pytest.LogCaptureFixture) -> None:
    """J14: memory that comes and goes is one warning, not two in each second."""
    gate = Gate()
    for share in (0.95, 0.2) * 20:
        gate.admission.memory_used(share)
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "95 %" in caplog.text


async def test_j14_off() -> None:
    """J14: a limit of 0 is none."""
    gate = Gate(memory_percent=0)
    gate.admission.memory_used(2.0)
    gate.admission.check()
    assert [gate.lifecycle.closes] == [False]
