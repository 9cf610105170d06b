"""However an answer is cut into reads it is the same answer; and what is cut short is never taken for a whole one."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Sequence

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from ollama_openai_proxy.call import Call
from ollama_openai_proxy.deadlines import Deadlines, Timeouts
from ollama_openai_proxy.errors import UpstreamError
from ollama_openai_proxy.upstream.reply import Reply
from support.answers import ANSWERS
from support.opening import opened
from support.scripted import Close, Send, Step
from support.wire import Answer, Wire, cut

GET = b"GET /v1/models HTTP/1.1\r\n\r\n"
RESET = ConnectionResetError(104, "Connection reset by peer")
POSITIONS = st.sets(st.integers(1, max(len(answer.raw) for answer in ANSWERS.values())), max_size=12)
# A shorter list of cuts would tell no more.
SOME = settings(max_examples=40, phases=(Phase.explicit, Phase.generate))
ALL = pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS.keys())
ENDED = {name: answer for name, answer in ANSWERS.items() if not answer.until_close}


class Taken:
    """A reply over a wire, and what whoever listens to it has taken."""

    def __init__(self, wire: Wire) -> None:
        self.wire = wire
        self.body = b""
        self.failure: UpstreamError | None = None
        self.unpacks = False
        self.reply = Reply(wire.connection, Deadlines(Timeouts(), streamed=True), 2**20)
        wire.connection.ask(GET, b"", self.reply)
        self.reply.listen(self.take)

    def take(self) -> None:
        if self.reply.head is not None and not self.unpacks:
            self.unpacks = True
            self.reply.unpack()
        try:
            while data := self.reply.take():
                self.body += data
                assert self.failure is None
        except UpstreamError as error:
            self.failure = error

    @property
    def status(self) -> int | None:
        return self.reply.head.status if self.reply.head else None


def unpacked(answer: Answer, size: int) -> bytes:
    """Return what a reader has of the body when so many bytes of the answer have come."""
    body = answer.body_of(size)
    packed = ("content-encoding", "gzip") in answer.headers
    return zlib.decompressobj(31).decompress(body) if packed else body


async def taken(wire: Wire, answer: Answer, pieces: Sequence[bytes]) -> Taken:
    """Ask over the wire, and let this come."""
    came = Taken(wire)
    wire.arrive(*pieces)
    if answer.until_close:
        wire.lose(None)
        await asyncio.sleep(0)
    return came


def check(came: Taken, answer: Answer) -> None:
    """It is the whole answer."""
    assert (came.status, came.body) == (answer.status, unpacked(answer, len(answer.raw)))
    assert (came.reply.whole, came.failure) == (True, None)
    assert came.reply.head is not None
    assert dict(answer.headers).items() <= came.reply.head.headers.items()
    came.reply.close()


@ALL
@SOME
@given(positions=POSITIONS)
async def test_cut_anywhere(answer: Answer, positions: set[int]) -> None:
    """Cut anywhere: status, headers, body, and whether the connection is kept for the next request."""
    wire = Wire()
    check(await taken(wire, answer, cut(answer.raw, positions)), answer)
    assert (wire.freed, wire.is_closing()) == ((1, False) if answer.kept else (0, True))


@ALL
async def test_each_byte_alone(answer: Answer) -> None:
    """Each byte alone: the same, over a wire, and over a socket."""
    wire = Wire()
    check(await taken(wire, answer, cut(answer.raw, range(len(answer.raw)))), answer)
    if answer.status >= 300:
        return  # `open` raises
    steps: list[Step] = [Send(piece) for piece in cut(answer.raw, range(len(answer.raw)))]
    steps += [Close()] * answer.until_close
    async with opened(steps, Timeouts()) as (upstream, _):
        body = await upstream.fetch(Call("/models"), 2**20, 10.0)
    assert body == unpacked(answer, len(answer.raw))


@SOME
@given(st.lists(st.sampled_from([answer for answer in ANSWERS.values() if answer.kept]), min_size=2), st.data())
async def test_one_after_the_other(answers: list[Answer], data: st.DataObject) -> None:
    """Answers over one connection, one request after the other: nothing of one is in the next."""
    wire = Wire()
    for count, answer in enumerate(answers, start=1):
        check(await taken(wire, answer, cut(answer.raw, data.draw(POSITIONS))), answer)
        assert (wire.freed, wire.connection.reused) == (count, True)
    assert bytes(wire.sent) == GET * len(answers)


@pytest.mark.parametrize("error", [None, RESET], ids=["FIN", "RST"])
@ALL
@SOME
@given(size=st.integers(0, 2000), positions=POSITIONS)
async def test_d8_e3_f2_f4_cut_short(answer: Answer, error: OSError | None, size: int, positions: set[int]) -> None:
    """D8, E3, F2, F4: what ends before its end is never whole. All that came before is taken first; then the error
    tells whether nothing, half a head or half a body had come."""
    size %= len(answer.raw)
    wire = Wire()
    came = Taken(wire)
    wire.arrive(*cut(answer.raw[:size], positions))
    wire.lose(error)
    await asyncio.sleep(0)
    assert came.body == unpacked(answer, size)
    assert (came.reply.unheard, wire.freed) == (size == 0, 0)
    came.reply.close()
    if size >= len(answer.head) and answer.until_close and error is None:
        assert (came.reply.whole, came.failure) == (True, None)  # nobody can tell
        return
    assert not came.reply.whole
    assert came.failure is not None
    assert came.failure.outcome == outcome(answer, size, error)


def outcome(answer: Answer, size: int, error: OSError | None) -> str:
    """Return the word for an answer that broke off after so many bytes."""
    if size >= len(answer.head):
        return "up_truncated"
    return "up_protocol" if size and error is None else "up_reset"


UNASKED = st.binary(min_size=1).filter(lambda data: data.strip(b"\r\n")) | st.sampled_from(
    [answer.raw for answer in ANSWERS.values()]
)


@pytest.mark.parametrize("answer", ENDED.values(), ids=ENDED.keys())
@SOME
@given(positions=POSITIONS, unasked=UNASKED)
async def test_e7_bytes_after_the_end(answer: Answer, positions: set[int], unasked: bytes) -> None:
    """E7: whatever comes after an answer, in the same read or in a later one, the answer is what it was, and the
    connection carries no other."""
    wire = Wire()
    pieces = cut(answer.raw + unasked, positions)
    check(await taken(wire, answer, pieces), answer)
    assert wire.is_closing()
    assert wire.freed <= (len(answer.raw) in positions)
