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


class Looks:
    """One timer for all calls with the same timeouts: most are over before a timer of their own would have fired."""

    def __init__(self, timeouts: Timeouts) -> None:
        self.seconds = min(_LOOK_SECONDS, timeouts.idle, timeouts.progress)
        """How long it takes, at most, until a call is looked at."""
        self._calls: set[Deadlines] = set()
        self._timer: asyncio.Handle | None = None

    def add(self, call: Deadlines) -> None:
        """Look at a call, once."""
        self._calls.add(call)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self.seconds, self._look)

    def drop(self, call: Deadlines) -> None:
        """Do not look at it."""
        self._calls.discard(call)

    def _look(self) -> None:
        calls, self._calls, self._timer = self._calls, set(), None
        loop = asyncio.get_running_loop()
        for call in calls:  # each by itself: what one of them raises is not to keep the others from being looked at
            loop.call_soon(call.look)


class Deadlines:
    """The time of a call. It is looked at now and then, whether anything came meanwhile.

    Moving a timer with every read would cost more than the read.
    """

    def __init__(self, timeouts: Timeouts, *, streamed: bool, looks: Looks | None = None) -> None:
        """`looks` is that of all calls with these timeouts."""
        self._time = asyncio.get_running_loop().time
        now = self._time()
        total = timeouts.stream if streamed else timeouts.whole
        self._timeouts = timeouts
        self._idle = timeouts.idle
        self._end = now + total if total else _NEVER
        # A reply that comes whole shows its first byte when all is done.
        self._next = now + timeouts.first_byte if streamed else _NEVER
        self._looks = looks or Looks(timeouts)
        self._timer: asyncio.Handle | None = None  # of its own: when a deadline is near
        self._expire: Callable[[UpstreamTimeout], None] | None = None
        self._progress: Progress | None = None
        self._come = 0
        self._since = 0.0  # the last step
        self._part_since = 0.0  # that, or when last no part of the next was there
        self._streamed = streamed
        self._started = False
        self._waiting = False

    def first_byte_by(self) -> float:
        """Return when there has to be a reply, on the loop's clock, infinite for never."""
        return min(self._next, self._end)

    def watch(self, expire: Callable[[UpstreamTimeout], None]) -> None:
        """Call `expire`, instead of any other, when a deadline has passed."""
        if self._expire is not None:
            self.stop()
        self._expire = expire
        self._look_again(self._time(), _NEVER)

    def follow(self, progress: Progress) -> None:
        """Let a reply count as silent, too, that goes on without getting on."""
        self._progress = progress
        self._since = self._part_since = self._time()

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
        if not self._started:
            self._started = True
            self._next = self._time() + self._idle if self._waiting else _NEVER

    def stop(self) -> None:
        """Look no more, and hold on to nobody."""
        self._looks.drop(self)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._expire = None

    def passed(self) -> UpstreamTimeout:
        """Return the error that tells which deadline has passed."""
        now = self._time()
        if now >= self._end:
            return UpstreamTimeout("the request exceeded its maximum duration", outcome="up_total_timeout")
        if self._started or now < self._next:
            return UpstreamTimeout("the upstream stopped sending", outcome="up_idle_timeout")
        return UpstreamTimeout("the upstream did not answer in time")

    def look(self) -> None:
        """Look whether a deadline has passed, or is near."""
        if self._expire is not None and self._timer is None:  # else it was stopped, or watched anew, in this turn
            self._check()

    def _check(self, turns: int = _TURNS) -> None:
        self._timer = None
        now = self._time()
        stuck = self._stuck(now)
        if now < min(self._next, self._end, stuck):
            self._look_again(now, stuck)
        elif turns:
            self._timer = asyncio.get_running_loop().call_soon(self._check, turns - 1)
        elif self._expire is not None:
            self._expire(self.passed())

    def _look_again(self, now: float, stuck: float) -> None:
        due = min(self._next, self._end, stuck)
        if due > now + self._looks.seconds:
            self._looks.add(self)  # a deadline that is set until it looks is at least so far away
        else:
            self._timer = asyncio.get_running_loop().call_at(due, self._check)

    def _stuck(self, now: float) -> float:
        """Return when the reply is to have got on. While nobody waits for it the time is the client's."""
        if self._progress is None:
            return _NEVER
        come, part = self._progress()
        if come != self._come or not self._waiting:
            self._come = come
            self._since = self._part_since = now
        elif not part:
            self._part_since = now
        return min(self._since + self._timeouts.progress, self._part_since + 2 * self._idle)
