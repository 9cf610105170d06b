"""How long a call may take: one timer, whatever the number of reads."""

from __future__ import annotations

import asyncio

import pytest

from ollama_openai_proxy.deadlines import Deadlines, Timeouts
from ollama_openai_proxy.errors import UpstreamTimeout


class Watcher:
    """A call that is watched: what expired, and how often it was looked at."""

    def __init__(self, deadlines: Deadlines) -> None:
        self.expired: asyncio.Future[UpstreamTimeout] = asyncio.get_running_loop().create_future()
        self.looks = 0
        deadlines.watch(self._look, self.expired.set_result)

    def _look(self) -> None:
        self.looks += 1

    async def outcome(self) -> str:
        async with asyncio.timeout(2):
            return (await self.expired).outcome


@pytest.mark.parametrize(
    ("timeouts", "streamed", "limit"),
    [
        (Timeouts(first_byte=10, stream=0), True, 10),
        (Timeouts(first_byte=10, stream=4), True, 4),
        (Timeouts(first_byte=10, whole=600), False, 600),
        (Timeouts(first_byte=10, whole=4), False, 4),
        (Timeouts(first_byte=10, whole=0), False, None),
    ],
    ids=["first byte", "total of a stream", "a whole reply begins when it is done", "total", "no limit"],
)
async def test_first_byte(timeouts: Timeouts, streamed: bool, limit: float | None) -> None:
    """Until there is a reply the first-byte deadline counts for streams, the total for both."""
    now = asyncio.get_running_loop().time()
    when = Deadlines(timeouts, streamed=streamed).first_byte().when()
    assert when is None if limit is None else when == pytest.approx(now + limit, abs=0.1)


async def test_what_passed() -> None:
    """The error says which deadline has passed: first byte, idle, or total."""
    deadlines = Deadlines(Timeouts(first_byte=0.05, idle=0.05), streamed=True)
    deadlines.wait()
    assert await Watcher(deadlines).outcome() == "up_ttft_timeout"
    deadlines.stop_waiting()
    deadlines.wait()
    assert await Watcher(deadlines).outcome() == "up_ttft_timeout"  # E2: comments are no answer
    deadlines.begin()
    deadlines.wait()
    assert await Watcher(deadlines).outcome() == "up_idle_timeout"
    total = Deadlines(Timeouts(stream=0.05), streamed=True)
    assert await Watcher(total).outcome() == "up_total_timeout"


async def test_idle_counts_from_the_read() -> None:
    """Time between two reads is the client's: it counts for the total, and not as idle."""
    deadlines = Deadlines(Timeouts(first_byte=5, idle=0.1), streamed=True)
    watcher = Watcher(deadlines)
    deadlines.wait()
    deadlines.stop_waiting()
    deadlines.begin()
    await asyncio.sleep(0.4)
    assert not watcher.expired.done()
    started = asyncio.get_running_loop().time()
    deadlines.wait()
    assert await watcher.outcome() == "up_idle_timeout"
    assert asyncio.get_running_loop().time() - started >= 0.1


async def test_reads_put_it_off() -> None:
    """As long as each read takes less than the idle deadline nothing passes."""
    deadlines = Deadlines(Timeouts(first_byte=5, idle=0.2), streamed=True)
    watcher = Watcher(deadlines)
    for _ in range(10):
        deadlines.wait()
        await asyncio.sleep(0.05)
        deadlines.stop_waiting()
    assert not watcher.expired.done()
    deadlines.stop()


async def test_looks_only_while_a_read_waits() -> None:
    """What is waited for is looked at now and then; what nobody waits for is not."""
    deadlines = Deadlines(Timeouts(first_byte=5, idle=0.05), streamed=True)
    watcher = Watcher(deadlines)
    deadlines.wait()
    await asyncio.sleep(0.2)
    looks = watcher.looks
    assert looks >= 1
    deadlines.stop_waiting()
    await asyncio.sleep(0.2)
    assert watcher.looks == looks
    deadlines.stop()


async def test_stop() -> None:
    """After the end nothing passes any more."""
    deadlines = Deadlines(Timeouts(stream=0.05), streamed=True)
    watcher = Watcher(deadlines)
    deadlines.stop()
    await asyncio.sleep(0.15)
    assert not watcher.expired.done()
