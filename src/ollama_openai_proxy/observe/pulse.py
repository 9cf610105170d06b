"""What is looked at now and then, for no request tells of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from ollama_openai_proxy.observe.metrics import Metrics

_SECONDS = 0.5


async def beat(metrics: Metrics, lines_dropped: Callable[[], int]) -> None:
    """Measure how late the event loop is, and count the log lines that were dropped, until cancelled."""
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + _SECONDS
        await asyncio.sleep(_SECONDS)
        metrics.lag(max(loop.time() - due, 0.0))
        metrics.lines_dropped(lines_dropped())
