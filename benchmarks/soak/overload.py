"""P7: more requests than the backend takes, at a rate that does not care."""

from __future__ import annotations

import asyncio
import json
import time

from benchmarks.soak.figures import metric
from benchmarks.soak.load import Before, Seen, arrivals, short
from benchmarks.soak.outcome import Outcome, Scenario
from benchmarks.soak.processes import Proxy, both, eventually
from benchmarks.soak.wire import Reply, asked, chat

_MS = 200  # what the backend takes for a request
_MODEL = f"slow-{_MS}"
_TIMES = 4
_WORDS = "server busy, please try again.  maximum pending requests exceeded"


class Shed:
    """What became of the requests that were not answered with 200."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self.wrong: list[str] = []


async def overload(outcome: Outcome) -> None:
    active, queue, seconds = (16, 32, 60) if outcome.full else (8, 16, 6)
    capacity = active * 1000 / _MS
    async with both(outcome, MAX_ACTIVE_REQUESTS=str(active), OLLAMA_MAX_QUEUE=str(queue)) as (proxy, upstream):
        before = await Before.of(proxy, upstream)
        seen, shed, queued = Seen(), Shed(), list[float]()
        looking = asyncio.create_task(_look(proxy, queued))
        began = time.monotonic()
        try:
            await arrivals(capacity * _TIMES, seconds, lambda: _one(proxy, seen, shed))
        finally:
            looking.cancel()
        took = time.monotonic() - began
        most = (await upstream.stats())["most"]
        outcome.told("requests", seen.ok + len(shed.seconds) + len(shed.wrong))
        outcome.told("requests answered", seen.ok)
        outcome.none("other answers than the whole one and a right refusal", shed.wrong)
        outcome.equal("requests at the backend at a time", most, active)
        outcome.at_most("requests that wait, at most", max(queued, default=0), queue)
        outcome.speed(
            "goodput that is missing, of what the backend takes", 100 - _percent(seen, took, capacity), 10, "%"
        )
        answered = outcome.spread("answered", seen.seconds)
        outcome.told("answered, p99", answered.p99, "ms")
        outcome.speed("refused, p99", outcome.spread("refused", shed.seconds).p99, 50, "ms")
        outcome.speed("seconds until one is answered at once again", await _recovery(proxy), 5, "s")
        await before.nothing_left(outcome)


async def _one(proxy: Proxy, seen: Seen, shed: Shed) -> None:
    began = time.monotonic()
    found = Seen()
    reply = await short(proxy.port, found, model=_MODEL)
    seen.ok += found.ok
    seen.seconds += found.seconds if found.ok else []
    if found.ok:
        return
    if reply and _is_refusal(reply):
        shed.seconds.append(time.monotonic() - began)
    else:
        shed.wrong += found.failed


def _is_refusal(reply: Reply) -> bool:
    if reply.status != 503 or not reply.headers.get("retry-after", "").isdigit():
        return False
    return bool(json.loads(reply.body) == {"error": _WORDS})


async def _look(proxy: Proxy, queued: list[float]) -> None:
    while True:
        queued.append(metric(await proxy.get("/metrics"), "ollama_proxy_exchanges_queued"))
        await asyncio.sleep(0.25)


async def _recovery(proxy: Proxy) -> float:
    async def at_once() -> bool:
        return (await asked(proxy.port, "/api/chat", chat("short"))).whole

    return await eventually(at_once, 30, "a request is answered again")


def _percent(seen: Seen, took: float, capacity: float) -> float:
    """Return what was answered, in percent of what could have been."""
    return 100 * seen.ok / (took * capacity)


SCENARIOS = (
    Scenario(
        "P7",
        "Four times the requests that the backend takes: it is kept busy and never given more, the queue keeps to its "
        "bound, and the rest is refused at once with 503, `Retry-After` and the words of Ollama.",
        overload,
    ),
)
