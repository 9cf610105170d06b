"""The way of a reply: each read is a write, in the turn in which it comes, as fast as the client takes it."""

from __future__ import annotations

import asyncio
import gzip
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ollama_openai_proxy.errors import UpstreamError
from ollama_openai_proxy.serve.relay import FINISH_GRACE
from ollama_openai_proxy.translate.ollama.reply import CHAT, ReplyEncoder
from ollama_openai_proxy.translate.ollama.reply import Reply as Told
from ollama_openai_proxy.translate.translator import ReplyTranslator
from support.relaying import END, HEAD, Scene, chunk, relayed
from support.replies import DONE, finish, text, usage
from support.waiting import eventually
from support.wire import cut


async def test_in_the_turn_in_which_it_comes() -> None:
    """What arrives is with the client before anybody else has a turn: one write for each read, in order."""
    async with relayed() as scene:
        scene.wire.arrive(chunk(text("a")))
        assert len(scene.client.pieces) == 1
        scene.wire.arrive(chunk(text("b")) + chunk(text("c")) + chunk(text("d")[:20]))
        assert len(scene.client.pieces) == 2
        scene.wire.arrive(chunk(text("d")[20:]))
        assert (scene.client.said, len(scene.client.pieces)) == ("abcd", 3)
        scene.wire.arrive(chunk(finish() + usage() + DONE))
        assert (scene.client.last, len(scene.client.pieces)) == (True, 4)
        await scene.ended()


async def test_what_came_before() -> None:
    """What had come before anybody listened is passed on first, and a reply that was whole then is whole."""
    scene = Scene()
    scene.wire.arrive(chunk(text("a")) + chunk(text("b") + finish() + DONE) + END)
    assert scene.reply.whole
    await scene.begin()
    await scene.ended()
    assert (scene.client.said, scene.client.last, len(scene.client.pieces)) == ("ab", True, 1)


@given(st.lists(st.text(min_size=1, max_size=20), min_size=1), st.sets(st.integers(1, 3000)), st.data())
async def test_any_cut_and_any_client(words: list[str], positions: set[int], data: st.DataObject) -> None:
    """However the reply is cut, and whenever the client stops to take and goes on: it has all of it, in order, once."""
    raw = b"".join(chunk(text(word)) for word in words) + chunk(finish() + usage()) + chunk(DONE) + END
    async with relayed() as scene:
        for piece in cut(raw, positions):
            if data.draw(st.booleans()):
                scene.client.gate.clear()
            scene.wire.arrive(piece)
            if data.draw(st.booleans()):
                scene.client.gate.set()
                await asyncio.sleep(0)
                scene.wire.arrive()
        scene.client.gate.set()
        async with asyncio.timeout(5):
            while not scene.client.last:
                await asyncio.sleep(0)
                scene.wire.arrive()
        await scene.ended()
        assert scene.client.said == "".join(words)


async def test_c10_f12_a_client_that_takes_its_time() -> None:
    """C10, F12: while the client has not taken what there was nothing is read; what came meanwhile leaves as one, in
    the turn in which it has."""
    async with relayed() as scene:
        scene.client.gate.clear()
        scene.wire.arrive(chunk(text("a")))
        assert (scene.client.said, scene.wire.reading) == ("a", False)
        scene.wire.arrive(chunk(text("b")), chunk(text("c")))
        scene.wire.connection.data_received(chunk(text("x")))  # what was on its way when it was paused
        await asyncio.sleep(0.02)
        assert scene.client.said == "a"
        scene.client.gate.set()
        await eventually(lambda: scene.wire.reading)
        scene.wire.arrive()
        assert scene.client.said == "axbc"
        assert len(scene.client.pieces) == 4


async def test_added_time() -> None:
    """What passes while the backend is silent, or the client takes its time, is not the proxy's time: it was waited
    for the one, and is counted elsewhere for the other."""
    async with relayed() as scene:
        await asyncio.sleep(0.1)
        scene.wire.arrive(chunk(text("a")))
        waited = scene.record.waited
        assert waited >= 100_000_000
        scene.client.gate.clear()
        scene.wire.arrive(chunk(text("b")))
        assert scene.record.waited - waited < 50_000_000


async def test_whole_reads_yield() -> None:
    """A reply that comes faster than it is translated leaves others their turns between two full reads."""
    async with relayed() as scene:
        turns, events = 0, chunk(text("x" * 100)) * 3000  # about ten full reads
        scene.wire.connection.data_received(events)
        while len(scene.client.said) < 300_000:
            turns += 1
            await asyncio.sleep(0)
        assert 3 < turns < 100
        assert not any(len(piece) > 10**6 for piece in scene.client.pieces)
        assert scene.wire.reading
        scene.wire.arrive(chunk(finish() + DONE))
        await scene.ended()


async def test_rest_under_load() -> None:
    """J18: while the loop is late a stream rests after each write; what came meanwhile leaves as one, and nothing is
    read of it before. Silence needs no rest."""
    async with relayed() as scene:
        scene.pulse.rest = 0.1
        scene.wire.arrive(chunk(b": ping\n\n"))
        scene.wire.arrive(chunk(text("a")))
        assert (scene.client.said, scene.wire.reading) == ("a", False)
        scene.wire.arrive(chunk(text("b")), chunk(text("c")))
        scene.wire.connection.data_received(chunk(text("x")))
        began = time.monotonic()
        await eventually(lambda: scene.client.said == "ax")
        assert time.monotonic() - began > 0.08
        scene.pulse.rest = 0
        await eventually(lambda: scene.wire.reading)
        scene.wire.arrive()
        assert scene.client.said == "axbc"


@pytest.mark.parametrize("slow", [False, True])
async def test_h9_grace(slow: bool) -> None:
    """H9: after the finish reason what trails is waited for, as long as FINISH_GRACE and no longer: then it is over,
    though the reply is not; also where the client takes its time meanwhile."""
    async with relayed() as scene:
        if slow:
            scene.client.gate.clear()
        scene.wire.arrive(chunk(text("a")))
        scene.client.gate.set()
        await eventually(lambda: scene.wire.reading)
        began = time.monotonic()
        scene.wire.arrive(chunk(finish()))
        assert not scene.client.last
        await scene.ended()
        assert FINISH_GRACE - 0.1 < time.monotonic() - began < FINISH_GRACE + 1
        assert (scene.client.said, scene.client.last, scene.reply.whole) == ("a", True, False)
        assert not scene.record.odd


async def test_h9_a_client_that_takes_the_finish_slowly() -> None:
    """H9: so it is when the client has yet to take what came with the finish reason."""
    async with relayed() as scene:
        scene.client.gate.clear()
        scene.wire.arrive(chunk(text("a") + finish()))
        assert (scene.client.said, scene.wire.reading) == ("a", False)
        scene.client.gate.set()
        await asyncio.wait_for(scene.ended(), FINISH_GRACE + 1)
        assert (scene.client.last, scene.reply.whole) == (True, False)


async def test_h9_what_has_come_by_then_counts() -> None:
    """H9: what had come when that time is over is passed on, though the client was not ready for it."""
    async with relayed() as scene:
        scene.wire.arrive(chunk(text("a") + finish()))
        scene.client.gate.clear()
        scene.wire.arrive(chunk(text("b")))
        scene.wire.connection.data_received(chunk(text("c") + usage()))
        await asyncio.sleep(FINISH_GRACE + 0.1)
        scene.client.gate.set()
        await scene.ended()
        assert (scene.client.said, scene.translator.facts().usage.prompt_tokens is None) == ("abc", False)


async def test_e16_what_unpacks_to_a_fault() -> None:
    """E16: a packed body that breaks is told at once, after what came before the fault, whatever else may come."""
    packed = gzip.compress(text("a"))
    scene = Scene(head=HEAD.replace(b"\r\n\r\n", b"\r\nContent-Encoding: gzip\r\n\r\n"))
    scene.reply.unpack()
    await scene.begin()
    scene.wire.arrive(chunk(packed + b"nothing that is packed"))
    with pytest.raises(UpstreamError):
        await scene.ended()
    assert scene.client.said == "a"


@pytest.mark.parametrize("error", [None, ConnectionResetError()], ids=["FIN", "RST"])
async def test_f3_cut_after_the_finish(error: OSError | None) -> None:
    """F3: what breaks after the finish reason was whole; it is noted, and nothing is waited for."""
    async with relayed() as scene:
        scene.wire.arrive(chunk(text("a") + finish()))
        scene.wire.lose(error)
        await asyncio.wait_for(scene.ended(), FINISH_GRACE / 2)
        assert (scene.client.said, scene.client.last) == ("a", True)
        assert "truncated_after_finish" in scene.record.odd


@pytest.mark.parametrize("slow", [False, True])
async def test_f2_cut(slow: bool) -> None:
    """F2: what breaks before is an error, after all that came before it was taken."""
    async with relayed() as scene:
        if slow:
            scene.client.gate.clear()
        scene.wire.arrive(chunk(text("a")))
        scene.wire.connection.data_received(chunk(text("b")))
        scene.wire.lose(None)
        await asyncio.sleep(0.02)
        scene.client.gate.set()
        with pytest.raises(UpstreamError) as caught:
            await scene.ended()
        assert caught.value.outcome == "up_truncated"
        assert (scene.client.said, scene.client.last) == ("ab", False)


async def test_i5_an_error_in_the_stream() -> None:
    """I5: an error of the backend within the stream is raised, after what came before it, in the same read too."""
    async with relayed() as scene:
        scene.client.gate.clear()
        scene.wire.arrive(chunk(text("a") + b'data: {"error":{"message":"overloaded"}}\n\n' + text("b")))
        await asyncio.sleep(0.02)
        scene.client.gate.set()
        with pytest.raises(UpstreamError, match="overloaded"):
            await scene.ended()
        assert (scene.client.said, scene.client.last) == ("a", False)


class Mistaken(ReplyTranslator):
    """A translator with a mistake in it, which shows at the second read."""

    reads = 0

    def feed(self, read: bytes, elapsed: int) -> bytes:
        self.reads += 1
        if self.reads == 2:
            raise LookupError("ours")
        return super().feed(read, elapsed)


async def test_k12_a_mistake_of_ours() -> None:
    """K12: a mistake of ours is raised by whoever runs the relay, not in the turn of the connection; no more comes."""
    translator = Mistaken(ReplyEncoder(Told(CHAT, "m", arrived=0, streamed=True)))
    async with relayed(translator) as scene:
        scene.wire.arrive(chunk(text("a")), chunk(text("b")), chunk(text("c")))
        with pytest.raises(LookupError):
            await scene.ended()
        scene.wire.arrive(chunk(text("d")))
        assert (scene.client.said, translator.reads) == ("a", 2)


@pytest.mark.parametrize("slow", [False, True])
async def test_the_client_breaks(slow: bool) -> None:
    """An error of the client's side is raised, whether it shows at once or later."""
    async with relayed() as scene:
        scene.client.error = OSError("gone")
        if slow:
            scene.client.gate.clear()
        scene.wire.arrive(chunk(text("a")))
        scene.client.gate.set()
        with pytest.raises(OSError, match="gone"):
            await scene.ended()


@pytest.mark.parametrize("phase", ["silence", "a slow client", "rest", "grace"])
async def test_c4_c5_cancelled(phase: str) -> None:
    """C4, C5: a relay that is cancelled, in whatever phase, is at its end: what it waited for is let go, and what comes
    later goes nowhere."""
    async with relayed() as scene:
        if phase == "a slow client":
            scene.client.gate.clear()
        scene.pulse.rest = 0.05 if phase == "rest" else 0
        scene.wire.arrive(chunk(text("a")))
        if phase == "grace":
            scene.wire.arrive(chunk(finish()))
        assert scene.task
        scene.task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await scene.task
        assert scene.client.stopped == (phase == "a slow client")
        scene.client.gate.set()
        scene.wire.connection.data_received(chunk(text("b") + finish() + DONE) + END)
        await asyncio.sleep(0.1)
        assert (scene.client.said, len(scene.client.pieces)) == ("a", 1)


async def test_cancelled_before_its_first_turn() -> None:
    """A relay that is cancelled in the turn in which a slow client's write began stops that write."""
    scene = Scene()
    scene.client.gate.clear()
    scene.wire.arrive(chunk(text("a")))
    task = asyncio.create_task(scene.relay.run())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert scene.client.stopped == 1
    scene.reply.close()
