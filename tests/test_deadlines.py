"""How long a call may take: one timer, whatever the number of reads."""

from __future__ import annotations

import asyncio
import time

import pytest

from ollama_openai_proxy.deadlines import Deadlines, Looks, Timeouts
from ollama_openai_proxy.errors import UpstreamTimeout
from support.waiting import eventually


class Watcher:
    """A call that is watched: what expired."""

    def __init__(self, deadlines: Deadlines) -> None:
        self.expired: asyncio.Future[UpstreamTimeout] = asyncio.get_running_loop().create_future()
        deadlines.watch(self.expired.set_result)

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
        (Timeouts(first_byte=10, whole=0), False, float("inf")),
    ],
    ids=["first byte", "total of a stream", "a whole reply begins when it is done", "total", "no limit"],
)
async def test_first_byte(timeouts: Timeouts, streamed: bool, limit: float) -> None:
    """Until there is a reply the first-byte deadline counts for streams, the total for both."""
    now = asyncio.get_running_loop().time()
    assert Deadlines(timeouts, streamed=streamed).first_byte_by() == pytest.approx(now + limit, abs=0.1)


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


class Steps:
    """How a reply gets on, as the test says."""

    come = 0
    part = False

    def __call__(self) -> tuple[int, bool]:
        return self.come, self.part


async def started(timeouts: Timeouts) -> tuple[Deadlines, Steps, Watcher]:
    """Return the deadlines of a reply that has begun, while a read waits."""
    deadlines, steps = Deadlines(timeouts, streamed=True), Steps()
    watcher = Watcher(deadlines)
    deadlines.follow(steps)
    deadlines.begin()
    return deadlines, steps, watcher


async def read_for(deadlines: Deadlines, seconds: float) -> None:
    """Read and read, for so long."""
    end = asyncio.get_running_loop().time() + seconds
    while asyncio.get_running_loop().time() < end:
        deadlines.wait()
        await asyncio.sleep(0.02)
        deadlines.stop_waiting()


async def test_f8_reads_without_progress() -> None:
    """F8: reads alone do not put off the deadline of progress; what comes does."""
    deadlines, steps, watcher = await started(Timeouts(idle=5, progress=0.3))
    await read_for(deadlines, 0.2)
    steps.come = 1
    await read_for(deadlines, 0.2)
    assert not watcher.expired.done()
    await read_for(deadlines, 0.5)
    assert await watcher.outcome() == "up_idle_timeout"


async def test_f7_a_part_that_stays_one() -> None:
    """F7: a part of an event may stay one for twice the idle deadline; where none stays, time does not count."""
    deadlines, steps, watcher = await started(Timeouts(idle=0.15, progress=5))
    await read_for(deadlines, 0.6)
    assert not watcher.expired.done()
    steps.part = True
    await read_for(deadlines, 0.7)
    assert await watcher.outcome() == "up_idle_timeout"


async def test_f8_the_clients_time_does_not_count() -> None:
    """F8: progress is only due while a read waits for it."""
    deadlines, steps, watcher = await started(Timeouts(idle=5, progress=0.2))
    steps.part = True
    await asyncio.sleep(0.6)
    assert not watcher.expired.done()
    deadlines.stop()


async def test_j18_a_late_timer_looks_again() -> None:
    """J18: a read that ends right after the process stood still is in time, though its deadline has passed."""
    deadlines = Deadlines(Timeouts(idle=0.2), streamed=True)
    watcher = Watcher(deadlines)
    deadlines.begin()
    deadlines.wait()
    await asyncio.sleep(0)
    time.sleep(0.5)  # noqa: ASYNC251  # the process stands still
    await asyncio.sleep(0)
    deadlines.stop_waiting()
    await asyncio.sleep(0.1)
    assert not watcher.expired.done()
    deadlines.stop()


async def test_e1_first_byte_passes() -> None:
    """E1: the limit until there is a reply passes in time, though nobody reads yet; and not without a limit."""
    began = asyncio.get_running_loop().time()
    assert await Watcher(Deadlines(Timeouts(first_byte=0.1), streamed=True)).outcome() == "up_ttft_timeout"
    assert 0.1 <= asyncio.get_running_loop().time() - began < 1
    endless = Deadlines(Timeouts(first_byte=0.05, whole=0), streamed=False)
    watcher = Watcher(endless)
    await asyncio.sleep(0.2)
    assert not watcher.expired.done()
    endless.stop()


async def test_f6_what_comes_puts_it_off() -> None:
    """F6: for who waits all the time, each thing that comes puts the idle deadline off; then silence counts, from the
    first thing of the answer on."""
    deadlines = Deadlines(Timeouts(first_byte=5, idle=0.2), streamed=True)
    watcher = Watcher(deadlines)
    deadlines.wait()
    deadlines.came()
    deadlines.begin()
    for _ in range(8):
        await asyncio.sleep(0.05)
        deadlines.came()
    assert not watcher.expired.done()
    began = asyncio.get_running_loop().time()
    assert await watcher.outcome() == "up_idle_timeout"
    assert asyncio.get_running_loop().time() - began >= 0.15
    silent = Deadlines(Timeouts(first_byte=5, idle=0.1), streamed=True)
    watcher = Watcher(silent)
    silent.wait()
    silent.begin()
    assert await watcher.outcome() == "up_idle_timeout"


async def test_f6_a_whole_reply_begins_with_its_first_byte() -> None:
    """F6: of a reply that is not streamed any byte is its beginning: silence counts from there on."""
    deadlines = Deadlines(Timeouts(idle=0.1, whole=5), streamed=False)
    watcher = Watcher(deadlines)
    deadlines.wait()
    await asyncio.sleep(0.2)
    assert not watcher.expired.done()
    deadlines.came()
    assert await watcher.outcome() == "up_idle_timeout"


async def test_another_watcher() -> None:
    """The deadlines of a call that is sent again are told to who watches now, and to nobody else."""
    deadlines = Deadlines(Timeouts(first_byte=0.1), streamed=True)
    first, second = Watcher(deadlines), Watcher(deadlines)
    assert await second.outcome() == "up_ttft_timeout"
    assert not first.expired.done()


async def test_stop() -> None:
    """After the end nothing passes any more."""
    deadlines = Deadlines(Timeouts(stream=0.05), streamed=True)
    watcher = Watcher(deadlines)
    deadlines.stop()
    await asyncio.sleep(0.15)
    assert not watcher.expired.done()


async def test_calls_share_a_timer() -> None:
    """Of several calls that are looked at together each has its own time, whichever began first or was let go."""
    timeouts = Timeouts(first_byte=0.4, idle=0.1, whole=0.25)
    looks = Looks(timeouts)
    streamed, whole, gone = (Deadlines(timeouts, streamed=kind, looks=looks) for kind in (True, False, True))
    watchers = [Watcher(deadlines) for deadlines in (streamed, whole, gone)]
    began = asyncio.get_running_loop().time()
    await asyncio.sleep(0.15)
    gone.stop()
    late = Deadlines(timeouts, streamed=False, looks=looks)
    latest = Watcher(late)
    for watcher, outcome, seconds in (
        (watchers[1], "up_total_timeout", 0.25),
        (latest, "up_total_timeout", 0.4),
        (watchers[0], "up_ttft_timeout", 0.4),
    ):
        assert await watcher.outcome() == outcome
        assert asyncio.get_running_loop().time() - began >= seconds - 0.01
    await asyncio.sleep(0.1)
    assert not watchers[2].expired.done()


async def test_calls_share_no_mistake() -> None:
    """What goes wrong while one call is looked at keeps no other from being looked at."""
    raised: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: raised.append(context["exception"]))
    timeouts = Timeouts(first_byte=0.3, idle=0.05)
    looks = Looks(timeouts)
    calls = [Deadlines(timeouts, streamed=True, looks=looks) for _ in range(10)]
    watchers = [Watcher(deadlines) for deadlines in calls]
    error = ValueError("no progress")

    def fail() -> tuple[int, bool]:
        raise error

    calls[3].follow(fail)
    for watcher in (*watchers[:3], *watchers[4:]):
        assert await watcher.outcome() == "up_ttft_timeout"
    assert raised == [error]
    calls[3].stop()


async def test_let_go_while_looked_at() -> None:
    """A call that is let go while others are looked at is not looked at any more."""
    timeouts = Timeouts(first_byte=5, idle=0.05)
    looks = Looks(timeouts)
    calls = [Deadlines(timeouts, streamed=True, looks=looks) for _ in range(4)]
    watchers = [Watcher(deadlines) for deadlines in calls]
    looked = [0] * len(calls)

    def follow(number: int) -> None:
        def progress() -> tuple[int, bool]:
            looked[number] += 1
            for other in range(len(calls)):
                if other != number:
                    calls[other].stop()
            return 0, False

        calls[number].follow(progress)

    for number in range(len(calls)):
        follow(number)
    await eventually(lambda: max(looked) >= 2)
    assert sorted(looked)[:-1] == [0] * (len(calls) - 1)
    assert not any(watcher.expired.done() for watcher in watchers)
    for deadlines in calls:
        deadlines.stop()
