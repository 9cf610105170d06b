"""The breaker: a backend that can't be reached is left in peace for a while, and clients are told so at once.

Pure but for the clock that it is given. What counts is whether the transport works: connections that did not come
about, and those that died before a byte came back. Whatever a backend answers, errors too, is a success.
"""

from __future__ import annotations

from collections.abc import Callable
from math import ceil

from ollama_openai_proxy.call import BreakerState
from ollama_openai_proxy.errors import UpstreamUnavailable
from ollama_openai_proxy.limits import BreakerLimits


class Breaker:
    """Counts failures in a row; after so many it opens, for so many seconds, then lets one request at a time try.

    Light requests, those for a list, are never held back. That one fails is a failure like any other. That one
    succeeds proves little when requests with a body die on their connections: it closes an open breaker only if no
    connection came about before, or light ones failed too.
    """

    def __init__(
        self, limits: BreakerLimits, clock: Callable[[], float], on_change: Callable[[BreakerState], None]
    ) -> None:
        """`clock` is monotonic, in seconds."""
        self.state: BreakerState = "closed"
        self._limits = limits
        self._clock = clock
        self._on_change = on_change
        self._failures = 0
        self._until = 0.0  # nobody is let through before
        self._unconnected = False  # it is connections that did not come about
        self._light_fail = False

    def enter(self) -> bool:
        """Let a request through; return whether it is the one that tries. Raises UpstreamUnavailable.

        Whoever tries tells how it went: `failed`, `succeeded` or `left`. If that takes as long as a pause, the next
        one may try beside it.
        """
        if self.state == "closed":
            return False
        now = self._clock()
        if now < self._until:
            # A verdict is due at any time while one tries.
            raise UpstreamUnavailable(1 if self.state == "half-open" else ceil(self._until - now))
        self._until = now + self._limits.pause
        self._become("half-open")
        return True

    @property
    def pausing(self) -> bool:
        """Whether it is open, and the pause is not over."""
        return self.state == "open" and self._clock() < self._until

    def failed(self, *, tried: bool = False, connected: bool = True, light: bool = False) -> None:
        """A request failed; `tried` is what `enter` returned, `connected` whether there was a connection."""
        self._light_fail |= light
        if self.state == "closed":
            self._failures += 1
            if not self._limits.failures or self._failures < self._limits.failures:
                return
            self._light_fail = light
        elif not tried:  # it was sent before it opened, or is light
            return
        self._unconnected = not connected
        self._until = self._clock() + self._limits.pause
        self._become("open")

    def succeeded(self, *, light: bool = False) -> None:
        """There was an answer."""
        if self.state == "closed":
            self._failures = 0
        elif not light or self._light_fail or self._unconnected:
            self._failures = 0
            self._become("closed")

    def connected(self) -> None:
        """A connection came about: enough of an answer, if that is what failed."""
        if self.state != "closed" and self._unconnected:
            self.succeeded()

    def left(self, *, tried: bool) -> None:
        """A request ended without a verdict: the client left, or it is the answer that took too long."""
        if tried and self.state == "half-open":
            self._until = self._clock()

    def _become(self, state: BreakerState) -> None:
        if state != self.state:
            self.state = state
            self._on_change(state)
