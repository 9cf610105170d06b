"""What is looked at now and then."""

from __future__ import annotations

import asyncio
import time

from ollama_openai_proxy.observe.metrics import Metrics
from ollama_openai_proxy.observe.pulse import beat
from support.waiting import eventually


def figure(metrics: Metrics, name: str) -> float:
    page, _ = metrics.render("")
    return float(next(line for line in page.decode().splitlines() if line.startswith(f"{name} ")).split()[1])


async def test_lag() -> None:
    """A loop that was blocked for a while was late by about as much."""
    metrics = Metrics(version="0")
    beating = asyncio.create_task(beat(metrics, int))
    await asyncio.sleep(0)
    time.sleep(0.7)  # noqa: ASYNC251  # that is the fault
    await eventually(lambda: figure(metrics, "ollama_proxy_event_loop_lag_seconds_count"))
    assert figure(metrics, "ollama_proxy_event_loop_lag_seconds_sum") >= 0.15
    beating.cancel()


async def test_dropped_lines() -> None:
    """K11: lines that the log has dropped are counted."""
    metrics = Metrics(version="0")
    beating = asyncio.create_task(beat(metrics, lambda: 7))
    await eventually(lambda: figure(metrics, "ollama_proxy_log_lines_dropped_total") == 7)
    beating.cancel()
