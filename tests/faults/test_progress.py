"""Replies that go on without getting on, and a process that stood still (reliability F7, F8, J17, J18)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from datetime import UTC, datetime

import pytest

from support.outcomes import Outcomes
from support.proxy import chat, proxied
from support.replies import DONE, HI, SSE, body, completion, finish, text, usage
from support.scripted import Block, Chunk, End, Flood, Hold, Pause, Send, Status, Step

SILENT = "the upstream stopped sending"
PING = b": ping\n\n"
TAIL = (Chunk(finish() + usage() + DONE), End())


@pytest.fixture
def outcomes(caplog: pytest.LogCaptureFixture) -> Outcomes:
    return Outcomes(caplog)


def slowly(pieces: Sequence[bytes], seconds: float) -> tuple[Step, ...]:
    return tuple(step for piece in pieces for step in (Chunk(piece), Pause(seconds)))


PINGS: dict[str, bytes] = {
    "comments": PING,
    "bare comments": b":\n",
    "empty data": b"data:\n\n",
    "blank lines": b"\n",
    "ids": b"id: 7\n\n",
    "empty objects": b"data: {}\n\n",
    "objects that say so": b'data: {"type": "ping"}\n\n',
}


@pytest.mark.parametrize("ping", PINGS.values(), ids=PINGS.keys())
async def test_f8_pings_only(ping: bytes, outcomes: Outcomes) -> None:
    """F8: a stream that only pings keep alive ends when nothing came for PROGRESS_TIMEOUT; what had come was told."""
    async with proxied(progress_timeout=0.5, idle_timeout=10) as proxy:
        proxy.upstream.script("m", (SSE, Chunk(text("Hi")), *slowly([ping] * 200, 0.02)))
        started = time.monotonic()
        lines = (await proxy.chat()).lines
        assert 0.4 <= time.monotonic() - started < 3
        assert lines[0]["message"]["content"] == "Hi"
        assert lines[1:] == [{"error": SILENT}]
        await proxy.upstream.peer_left(within=1.0)
        await outcomes.expect("up_idle_timeout")


async def test_f8_pings_before_the_first_event(outcomes: Outcomes) -> None:
    """F8: pings alone, and nothing before them, are 504 at PROGRESS_TIMEOUT, if FIRST_BYTE_TIMEOUT is not earlier."""
    async with proxied(progress_timeout=0.5) as proxy:
        proxy.upstream.script("m", (SSE, *slowly([PING] * 200, 0.02)))
        response = await proxy.chat()
        assert (response.status, response.json) == (504, {"error": SILENT})
        await proxy.upstream.peer_left(within=1.0)
        await outcomes.expect("up_idle_timeout")


async def test_f8_pings_up_to_the_first_byte_deadline(outcomes: Outcomes) -> None:
    """F8, E2: pings do not put off the deadline of the first byte."""
    async with proxied(first_byte_timeout=0.4) as proxy:
        proxy.upstream.script("m", (SSE, *slowly([PING] * 200, 0.02)))
        response = await proxy.chat()
        assert (response.status, response.json) == (504, {"error": "the upstream did not answer in time"})
        await outcomes.expect("up_ttft_timeout")


async def test_f8_events_put_it_off() -> None:
    """F8: a stream may take longer than PROGRESS_TIMEOUT as long as events come, whatever they say."""
    async with proxied(progress_timeout=0.3) as proxy:
        proxy.upstream.script("m", (SSE, *slowly([text("a"), PING] * 12, 0.05), *TAIL))
        assert (await proxy.chat()).lines[-1]["done"] is True


async def test_f7_f8_a_slow_client_is_no_silent_upstream() -> None:
    """F7, F8: while the client takes its time, nothing is waited for."""
    async with proxied(progress_timeout=0.2, idle_timeout=0.1) as proxy, proxy.client(receive_buffer=4096) as client:
        proxy.upstream.script("m", (SSE, Flood(text("x" * 60_000), 150), *TAIL))
        await client.ask("POST", "/api/chat", chat())
        await client.head()
        await asyncio.sleep(0.8)  # for longer than both deadlines
        last = b""
        while piece := await client.chunk():
            last = piece
        assert b'"done":true' in last


async def test_f7_a_drip(outcomes: Outcomes) -> None:
    """F7: bytes that never become a whole event end the stream after twice IDLE_TIMEOUT, though none is late."""
    drip = text("x" * 400)
    async with proxied(idle_timeout=0.3) as proxy:
        proxy.upstream.script("m", (SSE, Chunk(text("Hi")), *slowly([drip[at : at + 1] for at in range(400)], 0.02)))
        started = time.monotonic()
        lines = (await proxy.chat()).lines
        assert 0.5 <= time.monotonic() - started < 3
        assert lines[0]["message"]["content"] == "Hi"
        assert lines[1:] == [{"error": SILENT}]
        await proxy.upstream.peer_left(within=1.0)
        await outcomes.expect("up_idle_timeout")


@pytest.mark.parametrize("piece", [PING, text("a")], ids=["pings", "events"])
async def test_f7_whole_pieces_are_no_drip(piece: bytes) -> None:
    """F7: what comes in whole events or comments may take much longer than twice IDLE_TIMEOUT, cut within or not."""
    halves = [piece[:5], piece[5:]]
    async with proxied(idle_timeout=0.2) as proxy:
        proxy.upstream.script("m", (SSE, Chunk(text("Hi")), *slowly(halves * 12, 0.05), *TAIL))
        assert (await proxy.chat()).lines[-1]["done"] is True


async def test_f7_json_is_no_event() -> None:
    """F7: a JSON body in slow pieces has no events: the deadline of a whole reply is for it."""
    data = b" " * 30 + body(completion("Hi"))[1].data  # type: ignore[attr-defined]  # of what is sent
    head = Status(200, "Content-Type: application/json", f"Content-Length: {len(data)}")
    async with proxied(idle_timeout=0.2, progress_timeout=0.3) as proxy:
        drip = (step for at in range(30) for step in (Send(data[at : at + 1]), Pause(0.03)))
        proxy.upstream.script("m", (head, *drip, Send(data[30:])))
        assert (await proxy.chat(stream=False)).json["message"]["content"] == "Hi"


STILL = (Block(1.0), Pause(0.1), *TAIL)  # and then goes on, which nobody hears who has given up
STOOD: dict[str, tuple[Sequence[Step], dict[str, float]]] = {
    "the head": ((SSE, Block(1.0), Chunk(text("Hi")), Pause(0.1), *TAIL), {"first_byte_timeout": 0.3}),
    "the first event": ((SSE, Pause(0.05), Chunk(text("Hi")), *STILL), {"first_byte_timeout": 0.3}),
    "the next event": ((SSE, Chunk(text("Hi")), Pause(0.05), Chunk(text("!")), *STILL), {"idle_timeout": 0.3}),
    "after pings": (
        (SSE, Chunk(text("Hi")), Chunk(PING), Pause(0.05), Chunk(text("!")), *STILL),
        {"progress_timeout": 0.3},
    ),
    "the rest of an event": (
        (SSE, Chunk(text("Hi")), Chunk(text("!")[:9]), Pause(0.05), Chunk(text("!")[9:]), *STILL),
        {"idle_timeout": 0.3},
    ),
}


@pytest.mark.parametrize(("steps", "deadlines"), STOOD.values(), ids=STOOD.keys())
async def test_j18_the_process_stood_still(steps: Sequence[Step], deadlines: dict[str, float]) -> None:
    """J18: what had come while the process could not look is read before any deadline counts."""
    async with proxied(**deadlines) as proxy:
        proxy.upstream.script("m", steps)
        assert (await proxy.chat()).lines[-1]["done"] is True


async def test_j18_silence_still_counts() -> None:
    """J18: where nothing came while the process stood still, the deadline has passed."""
    async with proxied(idle_timeout=0.2) as proxy:
        proxy.upstream.script("m", (SSE, Chunk(text("Hi")), Pause(0.05), Block(0.5), Hold()))
        assert (await proxy.chat()).lines[-1] == {"error": SILENT}


async def test_j17_created_at_is_the_wall_clock() -> None:
    """J17: `created_at` is the time of day, in UTC."""
    async with proxied() as proxy:
        proxy.upstream.script("m", HI)
        told = datetime.fromisoformat((await proxy.chat()).lines[0]["created_at"])
        assert abs((datetime.now(UTC) - told).total_seconds()) < 60
