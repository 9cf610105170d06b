"""Admission: how many requests the backend is asked at a time, who waits for a place, and who is refused."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections import Counter, OrderedDict
from collections.abc import Callable
from contextlib import ExitStack

from starlette.types import Scope

from ollama_openai_proxy.errors import Busy, Draining, ProxyError
from ollama_openai_proxy.limits import AdmissionLimits
from ollama_openai_proxy.observe.metrics import Metrics
from ollama_openai_proxy.serve.callers import Callers
from ollama_openai_proxy.serve.lifecycle import Lifecycle
from ollama_openai_proxy.serve.recorder import record_of

# Ollama's own words, with two spaces (contract 1.10): what looks for them looks for "busy".
_BUSY = "server busy, please try again.  "
FULL = f"{_BUSY}maximum pending requests exceeded"
WAITED = f"{_BUSY}no place became free in time"
NO_MEMORY = f"{_BUSY}memory is running out"
_LONGEST_PAUSE = 5  # seconds: whoever was refused together shall not come back together
_QUIET_SECONDS = 60.0  # between two lines that tell of memory
_log = logging.getLogger(__name__)


class Admission:
    """The places, and the queue for them: first come, first served.

    While there is a place, to take it is to count. A place that is given back goes to whoever waits longest, in the
    same moment: nobody who comes then can be faster.
    """

    def __init__(self, limits: AdmissionLimits, lifecycle: Lifecycle, metrics: Metrics, callers: Callers) -> None:
        self._limits = limits
        self._lifecycle = lifecycle
        self._metrics = metrics
        self._callers = callers
        self._free = limits.active
        self._clients: Counter[str] = Counter()
        # The future of each that waits; its result is None for a place, else why there is none.
        self._queue: OrderedDict[asyncio.Future[ProxyError | None], None] = OrderedDict()
        self._told = float("-inf")
        lifecycle.at_drain(self._turn_away)

    def check(self) -> None:
        """Raise Busy while memory is running out: to be called before a body is read, which would take more."""
        if self._lifecycle.pressed:
            raise busy(NO_MEMORY)

    def enter_at_once(self) -> Callable[[], None] | None:
        """Take a place and return what gives it back, as `enter` does; None: only that can say whether there is one."""
        if self._limits.per_client or not self._free:
            return None
        self._free -= 1
        return self._give

    async def enter(self, scope: Scope) -> Callable[[], None]:
        """Take a place, or wait for one, and return what gives it back: to be called once.

        Raises Busy, and Draining where one would have to wait while the process is being stopped.
        """
        if not self._limits.per_client:
            await self._take(scope)
            return self._give
        client = self._callers.of(scope)
        if self._clients[client] >= self._limits.per_client:
            raise busy(FULL)
        with ExitStack() as taken:
            self._clients[client] += 1
            taken.callback(self._forget, client)
            await self._take(scope)
            taken.callback(self._give)
            return taken.pop_all().close

    def memory_used(self, share: float) -> None:
        """Note the share of its memory limit that the process uses, 0 without a limit."""
        self._metrics.memory_used(share)
        self._lifecycle.pressed = pressed = share * 100 > self._limits.memory_percent > 0
        now = asyncio.get_running_loop().time()
        if pressed and now - self._told > _QUIET_SECONDS:
            self._told = now
            _log.warning("memory is running out: %d %% of its limit are used, new requests are refused", share * 100)

    async def _take(self, scope: Scope) -> None:
        if self._free:
            self._free -= 1
        elif self._lifecycle.draining:
            raise Draining
        elif len(self._queue) >= self._limits.queue:
            raise busy(FULL)
        else:
            with record_of(scope).waiting():
                await self._wait()

    async def _wait(self) -> None:
        loop = asyncio.get_running_loop()
        place: asyncio.Future[ProxyError | None] = loop.create_future()
        self._queue[place] = None
        self._metrics.queued(1)
        began = loop.time()
        timer = loop.call_later(self._limits.wait, _refuse, place)
        given = False
        try:
            problem = await place
            given = problem is None
        finally:
            timer.cancel()
            self._queue.pop(place, None)
            self._metrics.queued(-1)
            self._metrics.queue_waited(loop.time() - began)
            if not given and place.done() and not place.cancelled() and place.result() is None:
                self._give()  # it came in the same moment in which the client left
        if problem:
            raise problem
        if self._lifecycle.pressed:
            self._give()
            raise busy(NO_MEMORY)

    def _give(self) -> None:
        """Give a place back, or on."""
        while self._queue:
            place, _ = self._queue.popitem(last=False)
            if not place.done():
                place.set_result(None)
                return
        self._free += 1

    def _forget(self, client: str) -> None:
        self._clients[client] -= 1
        if not self._clients[client]:
            del self._clients[client]

    def _turn_away(self) -> None:
        """Refuse all who wait: they are served sooner by another process than by one that ends."""
        for place in self._queue:
            if not place.done():
                place.set_result(Draining())


def _refuse(place: asyncio.Future[ProxyError | None]) -> None:
    if not place.done():
        place.set_result(busy(WAITED, "shed_timeout"))


def busy(message: str, outcome: str | None = None) -> Busy:
    """Return the refusal, with some seconds until it is worth to ask again."""
    return Busy(message, outcome=outcome, retry_after=1 + secrets.randbelow(_LONGEST_PAUSE))
