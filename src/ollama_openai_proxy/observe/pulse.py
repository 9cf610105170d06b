"""What is looked at now and then, for no request tells of it: how late the event loop is."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from ollama_openai_proxy.observe.metrics import Metrics

_SECONDS = 0.5
_BUSY, _BUSY_SECONDS = 20, 0.1  # so many exchanges, and how often to look then
# How late the loop may be; more is worth some delay of the streams, and below half of it none.
_LATE = 0.02
_FIRST_REST, _LONGEST_REST = 0.02, 0.2
_GROWS, _SHRINKS = 1.5, 0.9
# So late it did not just have much to do: something held it, or the whole process stood still. Told once a minute.
_HELD, _SILENCE_SECONDS = 1.0, 60.0
_log = logging.getLogger(__name__)


class Pulse:
    """Looks how late the event loop is, and says how long streams may rest while it is.

    Under more streams than one core carries, each turn of the loop serves one event of each, and whoever
    else wants something waits for several turns. A stream that rests between two writes finds several
    events in its next read, which cost little more than one.
    """

    def __init__(self, metrics: Metrics) -> None:
        self.rest = 0.0
        """Seconds, 0 while the loop keeps up."""
        self._metrics = metrics
        self._told = float("-inf")  # when last a log line said that the loop was held

    async def beat(self, in_flight: Callable[[], int], lines_dropped: Callable[[], int]) -> None:
        """Look again and again, until cancelled; count the log lines that were dropped, too."""
        loop = asyncio.get_running_loop()
        while True:
            seconds = _BUSY_SECONDS if in_flight() >= _BUSY else _SECONDS
            due = loop.time() + seconds
            await asyncio.sleep(seconds)
            late = max(loop.time() - due, 0.0)
            self._metrics.lag(late)
            self._metrics.lines_dropped(lines_dropped())
            self.rest = rest_after(late, self.rest)
            if late >= _HELD and loop.time() - self._told >= _SILENCE_SECONDS:
                self._told = loop.time()
                _log.warning("the event loop was held", extra={"seconds": round(late, 1)})


def rest_after(late: float, rest: float) -> float:
    """Return the next rest: it grows fast while the loop is late, and shrinks slowly when it is not."""
    if late >= _LATE:
        return min(max(rest * _GROWS, _FIRST_REST), _LONGEST_REST)
    if late > _LATE / 2:
        return rest
    return rest * _SHRINKS if rest > _FIRST_REST / 2 else 0.0
