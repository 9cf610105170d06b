"""Coroutines that run without a task of their own."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from functools import partial

import pytest

from ollama_openai_proxy.serve.stepping import Steps, at_once
from support.waiting import eventually


class Gates:
    """What a coroutine waits for, one gate after the other, and what became of it."""

    def __init__(self, count: int) -> None:
        self.gates = [asyncio.get_running_loop().create_future() for _ in range(count)]
        self.passed = 0
        self.ended: BaseException | str = ""

    def is_past(self, number: int) -> bool:
        return self.passed > number

    async def walk(self, error: Exception | None = None) -> None:
        """Wait at each gate, then raise the error, if there is one."""
        try:
            for gate in self.gates:
                await gate
                self.passed += 1
            if error:
                raise error  # noqa: TRY301  # it is the test's
            self.ended = "whole"
        except BaseException as stopped:
            self.ended = stopped
            raise


async def rest_of(steps: Steps | None) -> None:
    assert steps is not None
    await steps


async def test_what_does_not_wait() -> None:
    """A coroutine that does not wait is at its end at once."""
    gates = Gates(0)
    assert at_once(gates.walk()) is None
    assert gates.ended == "whole"


async def test_what_finds_its_gates_open() -> None:
    """A gate that is open already is no wait."""
    gates = Gates(2)
    for gate in gates.gates:
        gate.set_result(None)
    assert at_once(gates.walk()) is None
    assert gates.passed == 2


@pytest.mark.parametrize("count", [1, 2, 5])
async def test_what_waits(count: int) -> None:
    """A coroutine runs to its first gate at once, and on from there when its rest is awaited: once, twice, or more."""
    gates = Gates(count)
    rest = at_once(gates.walk())
    assert rest is not None
    task = asyncio.ensure_future(rest_of(rest))
    for number, gate in enumerate(gates.gates):
        await asyncio.sleep(0)
        assert (gates.passed, task.done()) == (number, False)
        gate.set_result(None)
        await eventually(partial(gates.is_past, number))
    await task
    assert gates.ended == "whole"


async def test_gate_that_opens_before_the_rest_is_awaited() -> None:
    """What is waited for may have come about before anybody awaits the rest."""
    gates = Gates(1)
    rest = at_once(gates.walk())
    gates.gates[0].set_result(None)
    await asyncio.sleep(0)
    assert gates.passed == 0
    await rest_of(rest)
    assert gates.ended == "whole"


async def test_turns_of_the_loop() -> None:
    """A coroutine that only lets others have their turn is waited for, too."""
    turns = []

    async def polite() -> None:
        for number in range(3):
            turns.append(number)
            await asyncio.sleep(0)

    rest = at_once(polite())
    assert turns == [0]
    await rest_of(rest)
    assert turns == [0, 1, 2]


@pytest.mark.parametrize("opened", [0, 1])
async def test_cancelled_while_it_waits(opened: int) -> None:
    """Who awaits the rest and is cancelled cancels it at its gate: its own `finally` runs, then and there."""
    gates = Gates(2)
    task = asyncio.ensure_future(rest_of(at_once(gates.walk())))
    for gate in gates.gates[:opened]:
        gate.set_result(None)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert gates.passed == opened
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert isinstance(gates.ended, asyncio.CancelledError)
    assert gates.gates[opened].cancelled()


async def test_cancelled_but_not_stopped() -> None:
    """What takes a cancellation for something else goes on, as it would in a task."""
    first, second = (asyncio.get_running_loop().create_future() for _ in range(2))

    async def stubborn() -> None:
        with suppress(asyncio.CancelledError):
            await first
        await second

    task = asyncio.ensure_future(rest_of(at_once(stubborn())))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.sleep(0)
    assert not task.done()
    second.set_result(None)
    await task


async def test_the_gate_breaks() -> None:
    """An error of what is waited for is the coroutine's, which may take it for something else."""
    gate, taken = asyncio.get_running_loop().create_future(), []

    async def careful() -> None:
        try:
            await gate
        except LookupError as error:
            taken.append(error)
            await asyncio.sleep(0)

    rest = at_once(careful())
    gate.set_exception(LookupError("broken"))
    await rest_of(rest)
    assert len(taken) == 1


@pytest.mark.parametrize("count", [0, 1, 2])
async def test_what_raises(count: int) -> None:
    """An error before the first gate is raised at once; a later one by whoever awaits the rest."""
    gates = Gates(count)
    if not count:
        with pytest.raises(LookupError):
            at_once(gates.walk(LookupError("mistake")))
        return
    task = asyncio.ensure_future(rest_of(at_once(gates.walk(LookupError("mistake")))))
    for gate in gates.gates:
        gate.set_result(None)
    with pytest.raises(LookupError):
        await task


async def test_closed_unawaited() -> None:
    """A rest that nobody awaits is closed, and with it the coroutine, whose `finally` runs."""
    gates = Gates(1)
    rest = at_once(gates.walk())
    assert rest is not None
    rest.close()
    del rest
    assert isinstance(gates.ended, GeneratorExit)
