"""Where a process stands, and which requests run."""

from __future__ import annotations

import asyncio
import logging

import pytest

from ollama_openai_proxy.observe.metrics import Metrics
from ollama_openai_proxy.serve.lifecycle import Lifecycle


async def held() -> None:
    """A request that never ends by itself."""
    await asyncio.Event().wait()


async def test_states(caplog: pytest.LogCaptureFixture) -> None:
    """2.K: each change of state is one record, with what belongs to it."""
    caplog.set_level(logging.INFO)
    lifecycle = Lifecycle(Metrics(version="0"))
    assert lifecycle.state == "starting"
    lifecycle.change("ready", address="127.0.0.1:1")
    lifecycle.change("draining", delay=5.0)
    assert lifecycle.draining
    lifecycle.change("stopped", code=0)
    told = [(record.__dict__["state"], record.getMessage()) for record in caplog.records]
    assert told == [("ready", "lifecycle"), ("draining", "lifecycle"), ("stopped", "lifecycle")]
    assert caplog.records[1].__dict__["delay"] == 5.0


async def test_no_way_back() -> None:
    """A signal during the start is not forgotten: what drains is never ready again."""
    lifecycle = Lifecycle()
    lifecycle.change("draining")
    lifecycle.change("ready")
    assert lifecycle.state == "draining"


async def test_part_of_a_process(caplog: pytest.LogCaptureFixture) -> None:
    """Of a mere part, such as the port of the metrics, nothing is told."""
    caplog.set_level(logging.INFO)
    Lifecycle().change("ready")
    assert caplog.records == []


async def test_in_flight() -> None:
    """Requests count from their begin to their end."""
    lifecycle = Lifecycle()
    tasks = [asyncio.create_task(held()) for _ in range(3)]
    for task in tasks:
        lifecycle.enter(task)
    assert lifecycle.in_flight == 3
    lifecycle.leave(tasks[0])
    assert lifecycle.in_flight == 2
    for task in tasks:
        task.cancel()


async def test_cut() -> None:
    """Those that run are cancelled and known by it, once; another that was cancelled is not taken for one of them."""
    lifecycle = Lifecycle(Metrics(version="0"))
    running, other = (asyncio.create_task(held()) for _ in range(2))
    await asyncio.sleep(0)
    lifecycle.enter(running)
    lifecycle.cut()
    lifecycle.cut()
    other.cancel()
    await asyncio.wait({running, other})
    assert running.cancelled()
    assert lifecycle.was_cut(running)
    assert not lifecycle.was_cut(other)
    lifecycle.leave(running)
    assert not lifecycle.was_cut(running)  # nothing is kept of what has ended


@pytest.mark.parametrize("given", [0.0, 2.5, 60.0])
async def test_given_delay(given: float) -> None:
    """A delay that a setting names is kept, by an idle process too."""
    assert Lifecycle().delay(given) == given


async def test_k1_k2_default_delay() -> None:
    """K1, K2: a process that nobody asks takes no delay by default, one that runs or has just ended a request does."""
    lifecycle = Lifecycle()
    assert lifecycle.delay(None) == 0
    task = asyncio.create_task(held())
    lifecycle.enter(task)
    assert lifecycle.delay(None) == 5
    lifecycle.leave(task)
    assert lifecycle.delay(None) == 5
    task.cancel()
