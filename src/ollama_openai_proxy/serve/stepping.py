"""Coroutines that mostly need not wait are run at once, without what a task or an await costs.

What they wait for are futures of asyncio, as everywhere; they may not ask which task they run in.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Generator
from typing import Any

from starlette.types import Message, Receive

from ollama_openai_proxy.serve.cycle import Cycle

Steps = Coroutine[Any, Any, None]


class Rest(Generator[Any, Any, Any]):
    """What is left of a coroutine that has to wait: await it, or close it."""

    def __init__(self, steps: Coroutine[Any, Any, Any], waits_for: Any) -> None:
        self._steps = steps
        self._untold = [waits_for]  # to whoever awaits

    def __await__(self) -> Rest:
        return self

    def send(self, value: Any) -> Any:
        return self._untold.pop() if self._untold else self._steps.send(value)

    def throw(self, *error: Any) -> Any:
        self._untold.clear()
        return self._steps.throw(*error)

    def close(self) -> None:
        self._steps.close()


def at_once(steps: Steps) -> Rest | None:
    """Run it until it has to wait. Return None if it came to its end, else the rest of it."""
    try:
        waits_for = steps.send(None)
    except StopIteration:
        return None
    return Rest(steps, waits_for)


class Watch:
    """Calls back when the client leaves: the cycle does, or else messages are received until one says so."""

    def __init__(self, receive: Receive, on_left: Callable[[], None]) -> None:
        cycle = getattr(receive, "__self__", None)
        self._cycle = cycle if isinstance(cycle, Cycle) and cycle.watch(on_left) else None
        if self._cycle is None:
            self._receive = receive
            self._on_left = on_left
            self._receiving: Coroutine[Any, Any, Message] | None = None
            self._step()

    def close(self) -> None:
        """Call no more."""
        if self._cycle is not None:
            self._cycle.unwatch()
            return
        if self._receiving is not None:
            self._receiving.close()
        self._on_left = _nobody

    def _step(self, _waited_for: object = None) -> None:
        if self._on_left is _nobody:
            return
        try:
            waits_for = self._next().send(None)
        except StopIteration as stop:
            self._receiving = None
            if stop.value["type"] == "http.disconnect":
                self._on_left()
            else:
                asyncio.get_running_loop().call_soon(self._step)
        else:
            waits_for.add_done_callback(self._step)

    def _next(self) -> Coroutine[Any, Any, Message]:
        if self._receiving is None:
            self._receiving = self._receive()  # type: ignore[assignment]  # servers have coroutines
        return self._receiving  # type: ignore[return-value]  # it is none no more


def _nobody() -> None:
    pass
