"""Where the process stands between its start and its end, and the requests that run."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Literal

from ollama_openai_proxy.observe.logs import lifecycle
from ollama_openai_proxy.observe.metrics import Metrics

State = Literal["starting", "ready", "draining", "stopped"]

# How long a proxy that is being stopped takes requests, unless a setting says otherwise: load
# balancers need two or three looks at its readiness.
_DELAY_SECONDS = 5.0


class Lifecycle:
    """The state, and a task for each request that runs."""

    def __init__(self, metrics: Metrics | None = None) -> None:
        """Without metrics it is that of a mere part of a process, and nothing is told of it."""
        self._metrics = metrics
        self.state: State = "starting"
        self.began = time.monotonic()
        self._asked: float | None = None
        self._running: set[asyncio.Task[object]] = set()
        self._cut: set[asyncio.Task[object]] = set()
        self._at_drain: list[Callable[[], None]] = []
        self.pressed = False
        """Whether memory is running out."""

    @property
    def draining(self) -> bool:
        return self.state == "draining"

    @property
    def closes(self) -> bool:
        """Whether connections end with their next answer: clients shall go elsewhere, or hold less."""
        return self.draining or self.pressed

    @property
    def in_flight(self) -> int:
        return len(self._running)

    def change(self, state: State, **facts: str | float | None) -> None:
        """Enter a state. Nothing leads back from draining but the end."""
        if self.draining and state == "ready":
            return
        self.state = state
        if self._metrics:
            self._metrics.draining(self.draining)
            lifecycle(state, **facts)
        if self.draining:
            for call in self._at_drain:
                call()

    def at_drain(self, call: Callable[[], None]) -> None:
        """Have this called when the process begins to end."""
        self._at_drain.append(call)

    def refused(self, reason: str) -> None:
        """A connection, or what was sent on it, is refused: no request has come of it."""
        if self._metrics:
            self._metrics.refused(reason)

    def enter(self, task: asyncio.Task[object]) -> None:
        """A request has come."""
        self._running.add(task)

    def leave(self, task: asyncio.Task[object]) -> None:
        """A request has ended."""
        self._running.discard(task)
        self._cut.discard(task)
        self._asked = time.monotonic()

    def delay(self, given: float | None) -> float:
        """Return for how many seconds to go on taking requests, now that the end is near.

        That is what was `given`, else long enough for a load balancer to notice; not at all when
        nobody has asked for as long as that would take, for then nobody is there to notice.
        """
        if given is not None:
            return given
        if not self._running and (self._asked is None or time.monotonic() - self._asked > _DELAY_SECONDS):
            return 0.0
        return _DELAY_SECONDS

    def cut(self) -> None:
        """End the requests that still run, each with an error unless its answer is whole."""
        running = self._running - self._cut
        self._cut |= running
        for task in running:
            task.cancel()

    def was_cut(self, task: asyncio.Task[object]) -> bool:
        """Whether it is the end of the process that has cancelled the request."""
        return task in self._cut
