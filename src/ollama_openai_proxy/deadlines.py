"""How long a call to the backend may take, phase by phase."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import NamedTuple

from ollama_openai_proxy.errors import UpstreamTimeout

_LOOK_SECONDS = 1.0
_NEVER = float("inf")
# A timer that fires late may have kept what arrived meanwhile from being read. In so many turns of the loop it is.
_TURNS = 3

Progress = Callable[[], tuple[int, bool]]
"""Returns how much of a reply has come, in whatever unit, and whether a part of the next unit is there."""


class Timeouts(NamedTuple):
    """Seconds. 0 is no limit, for `whole` and `stream`: the most a reply may take, asked for whole
    or as a stream. `first_byte` runs from the call, `idle` from the last byte, `progress` from the last event;
    a part of an event becomes whole within twice `idle`."""

    connect: float = 5.0
    first_byte: float = 300.0
    idle: float = 120.0
    whole: float = 600.0
    stream: float = 0.0
    progress: float = 600.0


class Deadlines:
    """One timer for a call: it looks, when it fires, whether anything came meanwhile.

    Moving a timer with every read would cost more than the read.
    """

    def __init__(self, timeouts: Timeouts, *, streamed: bool) -> None:
        self._loop = asyncio.get_running_loop()
        self._time = self._loop.time
        now = self._time()
        total = timeouts.stream if streamed else timeouts.whole
        self._idle = timeouts.idle
        self._end = now + total if total else _NEVER
        # A reply that comes whole shows its first byte when all is done.
        self._next = now + timeouts.first_byte if streamed else _NEVER
        self._steps = _Steps(timeouts.idle * 2, timeouts.progress)
        self._look_seconds = min(_LOOK_SECONDS, timeouts.idle, timeouts.progress)
        self._timer: asyncio.Handle | None = None
        self._expire: Callable[[UpstreamTimeout], None] | None = None
        self._streamed = streamed
        self._started = False
        self._waiting = False

    def first_byte_by(self) -> float:
        """Return when there has to be a reply, on the loop's clock, infinite for never."""
        return min(self._next, self._end)

    def watch(self, expire: Callable[[UpstreamTimeout], None]) -> None:
        """Call `expire`, instead of any other, when a deadline has passed."""
        self.stop()
        self._expire = expire
        self._look_again(self._loop.time(), _NEVER)

    def follow(self, progress: Progress) -> None:
        """Let a reply count as silent, too, that goes on without getting on."""
        self._steps.follow(progress, self._loop.time())

    def wait(self) -> None:
        """A read begins."""
        self._waiting = True
        if self._started:
            self._next = self._time() + self._idle

    def stop_waiting(self) -> None:
        """A read has ended. Until the next begins it is the client who takes its time."""
        self._waiting = False
        if self._started:
            self._next = _NEVER
        elif not self._streamed:
            self.begin()

    def came(self) -> None:
        """Something was read, and the next read has begun."""
        if self._started:
            self._next = self._time() + self._idle
        elif not self._streamed:
            self.begin()

    def begin(self) -> None:
        """The answer has begun: from now on it is silence that counts."""
        self._started = True
        self._next = self._time() + self._idle if self._waiting else _NEVER

    def stop(self) -> None:
        """Look no more, and hold on to nobody."""
        if self._timer:
            self._timer.cancel()
        self._expire = None

    def passed(self) -> UpstreamTimeout:
        """Return the error that tells which deadline has passed."""
        now = self._loop.time()
        if now >= self._end:
            return UpstreamTimeout("the request exceeded its maximum duration", outcome="up_total_timeout")
        if self._started or now < self._next:
            return UpstreamTimeout("the upstream stopped sending", outcome="up_idle_timeout")
        return UpstreamTimeout("the upstream did not answer in time")

    def _check(self, turns: int = _TURNS) -> None:
        now = self._loop.time()
        stuck = self._steps.due(now, waiting=self._waiting)
        if now < min(self._next, self._end, stuck):
            self._look_again(now, stuck)
        elif turns:
            self._timer = self._loop.call_soon(self._check, turns - 1)
        elif self._expire is not None:
            self._expire(self.passed())

    def _look_again(self, now: float, stuck: float) -> None:
        # A deadline that is set meanwhile is at least so far away.
        self._timer = self._loop.call_at(min(self._next, self._end, stuck, now + self._look_seconds), self._check)


class _Steps:
    """Whether a reply gets on, as seen now and then. Seconds."""

    def __init__(self, part: float, step: float) -> None:
        self._part = part
        self._step = step
        self._progress: Progress | None = None
        self._come = 0
        self._since = 0.0  # the last step
        self._part_since = 0.0  # that, or when last no part of the next was there

    def follow(self, progress: Progress, now: float) -> None:
        self._progress = progress
        self._since = self._part_since = now

    def due(self, now: float, *, waiting: bool) -> float:
        """Return when the next step is due. While nobody waits for it the time is the client's."""
        if self._progress is None:
            return _NEVER
        come, part = self._progress()
        if come != self._come or not waiting:
            self._come = come
            self._since = self._part_since = now
        elif not part:
            self._part_since = now
        return min(self._since + self._step, self._part_since + self._part)
