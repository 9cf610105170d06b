"""What is looked at now and then."""

from __future__ import annotations

import asyncio
import time
from functools import partial

import pytest

from ollama_openai_proxy.observe.metrics import Metrics
from ollama_openai_proxy.observe.pulse import Pulse, rest_after
from support.waiting import eventually


def figure(metrics: Metrics, name: str) -> float:
    page, _ = metrics.render("")
    return float(next(line for line in page.decode().splitlines() if line.startswith(f"{name} ")).split()[1])


def looked_again(metrics: Metrics, looked: float) -> bool:
    return figure(metrics, "ollama_proxy_event_loop_lag_seconds_count") > looked


async def test_lag() -> None:
    """A loop that was blocked for a while was late by about as much."""
    metrics = Metrics(version="0")
    beating = asyncio.create_task(Pulse(metrics).beat(int, int))
    await asyncio.sleep(0)
    time.sleep(0.7)  # noqa: ASYNC251  # that is the fault
    await eventually(lambda: figure(metrics, "ollama_proxy_event_loop_lag_seconds_count"))
    assert figure(metrics, "ollama_proxy_event_loop_lag_seconds_sum") >= 0.15
    beating.cancel()


async def test_j18_a_held_loop_is_told(caplog: pytest.LogCaptureFixture) -> None:
    """J18: a loop that was held for longer than a second is told in the log, and not again in the same minute."""
    metrics = Metrics(version="0")
    beating = asyncio.create_task(Pulse(metrics).beat(int, int))
    for _ in range(2):
        looked = figure(metrics, "ollama_proxy_event_loop_lag_seconds_count")
        await asyncio.sleep(0)
        time.sleep(1.7)  # noqa: ASYNC251  # that is the fault
        await eventually(partial(looked_again, metrics, looked))
    beating.cancel()
    (line,) = [line for line in caplog.records if line.getMessage() == "the event loop was held"]
    assert line.levelname == "WARNING"
    assert 1.0 <= line.__dict__["seconds"] < 60


async def test_j18_a_busy_loop_is_not_told(caplog: pytest.LogCaptureFixture) -> None:
    """J18: a loop that is late by less than a second is a matter of metrics."""
    metrics = Metrics(version="0")
    beating = asyncio.create_task(Pulse(metrics).beat(int, int))
    await asyncio.sleep(0)
    time.sleep(0.8)  # noqa: ASYNC251  # that is the fault
    await eventually(lambda: figure(metrics, "ollama_proxy_event_loop_lag_seconds_count"))
    beating.cancel()
    assert "the event loop was held" not in caplog.text


async def test_k11_dropped_lines() -> None:
    """K11: lines that the log has dropped are counted."""
    metrics = Metrics(version="0")
    beating = asyncio.create_task(Pulse(metrics).beat(int, lambda: 7))
    await eventually(lambda: figure(metrics, "ollama_proxy_log_lines_dropped_total") == 7)
    beating.cancel()


def test_rest() -> None:
    """While the loop is late the rest grows, up to a limit; when it keeps up it shrinks, until there is none."""
    rest, seen = 0.0, []
    for _ in range(20):
        rest = rest_after(0.05, rest)
        seen.append(rest)
    assert seen[0] > 0
    assert seen == sorted(seen)
    assert seen[-1] == seen[-2] <= 0.25
    assert rest_after(0.015, rest) == rest  # between late and not
    for _ in range(50):
        assert rest_after(0.0, rest) < rest or rest == 0
        rest = rest_after(0.0, rest)
    assert rest == 0


def test_no_rest_without_need() -> None:
    """A loop that keeps up never makes a stream rest."""
    assert rest_after(0.0, 0.0) == 0
    assert rest_after(0.009, 0.0) == 0


async def test_busy_loop_is_noticed() -> None:
    """With many exchanges the loop is looked at often, and a late one makes streams rest."""
    pulse = Pulse(Metrics(version="0"))
    beating = asyncio.create_task(pulse.beat(lambda: 100, int))
    await asyncio.sleep(0)
    time.sleep(0.3)  # noqa: ASYNC251  # that is the fault
    await eventually(lambda: pulse.rest > 0)
    await eventually(lambda: pulse.rest == 0)
    beating.cancel()
