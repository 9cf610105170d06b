"""How long a call to the backend may take, phase by phase."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import NamedTuple

from ollama_openai_proxy.errors import UpstreamTimeout

_LOOK_SECONDS = 1.0
_NEVER = float("inf")


class Timeouts(NamedTuple):
    """Seconds. 0 is no limit, for `whole` and `stream`: the most a reply may take, asked for whole
    or as a stream. `first_byte` runs from the call, `idle` from the last byte, `progress` from the last event."""

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
        now = self._loop.time()
        total = timeouts.stream if streamed else timeouts.whole
        self._idle = timeouts.idle
        self._end = now + total if total else _NEVER
        # A reply that comes whole shows its first byte when all is done.
        self._next = now + timeouts.first_byte if streamed else _NEVER
        self._timer: asyncio.TimerHandle | None = None
        self._streamed = streamed
        self._started = False
        self._waiting = False

    def first_byte(self) -> asyncio.Timeout:
        """Return the limit until there is a reply."""
        deadline = min(self._next, self._end)
        return asyncio.timeout_at(None if deadline == _NEVER else deadline)

    def watch(self, look: Callable[[], None], expire: Callable[[UpstreamTimeout], None]) -> None:
        """Call `expire` when a deadline has passed, and `look` now and then while a read waits."""
        self._look = look
        self._expire = expire
        self._look_again(self._loop.time())

    def wait(self) -> None:
        """A read begins."""
        self._waiting = True
        if self._started:
            self._next = self._loop.time() + self._idle

    def stop_waiting(self) -> None:
        """A read has ended. Until the next begins it is the client who takes its time."""
        self._waiting = False
        if self._started or not self._streamed:
            self.begin()

    def begin(self) -> None:
        """The answer has begun: from now on it is silence that counts."""
        self._started = True
        self._next = _NEVER

    def stop(self) -> None:
        if self._timer:
            self._timer.cancel()

    def passed(self) -> UpstreamTimeout:
        """Return the error that tells which deadline has passed."""
        if self._loop.time() >= self._end:
            return UpstreamTimeout("the request exceeded its maximum duration", outcome="up_total_timeout")
        if self._started:
            return UpstreamTimeout("the upstream stopped sending", outcome="up_idle_timeout")
        return UpstreamTimeout("the upstream did not answer in time")

    def _check(self) -> None:
        now = self._loop.time()
        if now >= min(self._next, self._end):
            self._expire(self.passed())
            return
        self._look_again(now)
        if self._waiting:
            self._look()

    def _look_again(self, now: float) -> None:
        # A deadline that is set meanwhile is at least `idle` away.
        soon = now + min(self._idle, _LOOK_SECONDS)
        self._timer = self._loop.call_at(min(self._next, self._end, soon), self._check)
