"""A connection sends a request whole, hears the answer to it and no other, and ends when it is told to.

What answers may be cut into is in test_connection_cuts.py, and which heads are refused in test_heads.py.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

import httptools
import pytest

from ollama_openai_proxy.errors import UpstreamBroken
from support.dialling import Run, on_asyncio, on_uvloop
from support.ends import connected
from support.waiting import eventually
from support.wire import Heard, Wire

MIB = 1024 * 1024
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
LARGE = bytes(range(256)) * (40 * 1024)  # 10 MiB
SIZES = (0, 1, 16 * 1024, 16 * 1024 + 1, 256 * 1024, 256 * 1024 + 1, 512 * 1024, len(LARGE))


@pytest.fixture(params=[on_asyncio, on_uvloop], ids=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Run:
    """What runs a coroutine, on one loop or on the other."""
    runner: Run = request.param
    return runner


def head(size: int) -> bytes:
    return b"POST / HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % size


@pytest.mark.parametrize("size", SIZES)
def test_d9_j6_bodies_of_any_size(run: Run, size: int) -> None:
    """D9, J6: a body of any size arrives whole, after its head, twice over the same connection; and that is free when
    the answer is whole."""

    async def sent() -> None:
        async with connected() as (line, peer):
            for count in (1, 2):
                line.ask(head(size), LARGE[:size])
                assert await peer.read(len(head(size)) + size) == head(size) + LARGE[:size]
                assert (line.heard.whole, line.freed) == (False, count - 1)
                await peer.send(OK + b"{}")
                await eventually(lambda: line.heard.whole)
                assert (line.heard.body, line.freed, line.connection.reused) == (b"{}", count, True)

    run(sent())


def test_large_bodies_wait_for_a_slow_reader(run: Run) -> None:
    """A body of megabytes is not handed to the system, or copied, before the backend takes it."""

    async def sent() -> None:
        async with connected() as (line, peer):
            line.ask(head(len(LARGE)), LARGE)
            await asyncio.sleep(0.1)  # for as much as goes
            transport = line.connection.transport
            assert 0 < transport.get_write_buffer_size() <= MIB
            for part in range(0, len(LARGE), MIB):
                assert await peer.read(MIB if part else MIB + len(head(len(LARGE))))
                assert transport.get_write_buffer_size() <= MIB
            assert peer.got == len(LARGE) + len(head(len(LARGE)))
            await peer.send(OK + b"{}")
            await eventually(lambda: line.freed)

    run(sent())


@pytest.mark.parametrize("size", [250 * 1024, len(LARGE)], ids=["written at once", "in pieces"])
def test_t11_an_answer_before_the_body_has_gone(run: Run, size: int) -> None:
    """T11: a backend that answers before it has read the request is heard, and the connection, on which the rest of the
    body would be the next request, is closed."""

    async def sent() -> None:
        async with connected() as (line, peer):
            line.ask(head(size), LARGE[:size])
            await peer.read(1000)
            await peer.send(b"HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\n\r\nno!")
            await eventually(lambda: line.lost)
            assert line.heard.head is not None
            assert (line.heard.head.status, line.heard.body, line.heard.whole) == (413, b"no!", True)
            assert line.freed == 0

    run(sent())


@pytest.mark.parametrize("size", [250 * 1024, len(LARGE)], ids=["written at once", "in pieces"])
def test_t11_an_answer_to_the_close_before_the_body_has_gone(run: Run, size: int) -> None:
    """T11: an answer that ends with the connection ends when the backend has no more to say, read or not."""

    async def sent() -> None:
        async with connected() as (line, peer):
            line.ask(head(size), LARGE[:size])
            await peer.read(1000)
            await peer.send(b"HTTP/1.1 413 Too Large\r\n\r\nno!")
            peer.sock.shutdown(socket.SHUT_WR)
            await eventually(lambda: line.lost)
            assert (line.heard.body, line.heard.whole, line.heard.failure) == (b"no!", True, None)

    run(sent())


def test_a_backend_that_leaves_while_it_is_asked(run: Run) -> None:
    """D8: a backend that breaks the connection while a large body is sent is gone, and no more is sent."""

    async def sent() -> None:
        async with connected() as (line, peer):
            line.ask(head(len(LARGE)), LARGE)
            await peer.read(1000)
            peer.sock.close()  # with bytes unread: RST
            await eventually(lambda: line.heard.failure)
            assert line.heard.failure is not None
            assert (line.heard.failure.outcome, line.heard.heard, line.freed) == ("up_reset", False, 0)

    run(sent())


IDLE: dict[str, Callable[[bytes], bytes]] = {
    "an answer": lambda answer: answer,
    "half an answer": lambda answer: answer[:9],
    "a byte": lambda _answer: b"x",
    "a line end": lambda _answer: b"\r\n",
}


@pytest.mark.parametrize("unasked", IDLE.values(), ids=IDLE.keys())
def test_e7_t11_bytes_on_an_idle_connection(run: Run, unasked: Callable[[bytes], bytes]) -> None:
    """E7, T11: whatever comes while nobody asked, the connection is closed."""

    async def sent() -> None:
        async with connected() as (line, peer):
            line.ask(head(0))
            await peer.send(OK + b"{}")
            await eventually(lambda: line.freed)
            await peer.send(unasked(OK + b"{}"))
            await eventually(lambda: line.lost)
            assert line.heard.body == b"{}"

    run(sent())


def test_c4_abort_is_at_once(run: Run) -> None:
    """C4: a connection that is aborted in mid-answer is closed at once, and its asker is told nothing more."""

    async def sent() -> None:
        async with connected() as (line, peer):
            line.ask(head(0))
            await peer.send(CHUNKED + b"1\r\na\r\n")
            await eventually(lambda: line.heard.pieces)
            turns = line.heard.turns
            await peer.read(len(head(0)))
            line.connection.abort()
            assert line.connection.transport.is_closing()
            async with asyncio.timeout(1):
                assert await peer.read(1) == b""
            await eventually(lambda: line.lost)
            assert (line.heard.turns, line.heard.failure, line.heard.whole) == (turns, None, False)

    run(sent())


async def test_c4_abort_while_a_body_is_sent() -> None:
    """C4: of a request that nobody waits for any more no more is sent."""
    async with connected() as (line, peer):
        line.ask(head(len(LARGE)), LARGE)
        line.connection.abort()
        got = b"x"
        while got:
            try:
                got = await peer.read(MIB)
            except ConnectionResetError:
                break
        assert peer.got < MIB


@pytest.mark.parametrize("whole", [True, False])
def test_c7_abort_in(run: Run, whole: bool) -> None:
    """C7: an answer has so much time for its end, and a connection whose answer has ended is not closed by it."""

    async def sent() -> None:
        async with connected() as (line, peer):
            line.ask(head(0))
            await peer.send(CHUNKED)
            await eventually(lambda: line.heard.head)
            line.connection.abort_in(0.2)
            if whole:
                await peer.send(b"0\r\n\r\n")
                await eventually(lambda: line.freed)
                await asyncio.sleep(0.3)
            else:
                await eventually(lambda: line.lost)
            assert (line.heard.whole, line.lost) == (whole, not whole)

    run(sent())


def test_f12_paused(run: Run) -> None:
    """F12: while it is paused nothing is read; a connection that was paused is read from when its answer has ended."""

    async def sent() -> None:
        async with connected() as (line, peer):
            line.ask(head(0))
            await peer.send(OK)
            await eventually(lambda: line.heard.head)
            line.connection.pause()
            await peer.send(b"{")
            await asyncio.sleep(0.05)
            assert line.heard.pieces == []
            line.connection.resume()
            await eventually(lambda: line.heard.pieces)
            line.connection.data_received(b"}")  # as what was on its way when it was paused
            line.connection.pause()
            await eventually(lambda: line.freed)

    run(sent())


async def test_pause_in_the_turn_of_the_end() -> None:
    """An asker that pauses as it is told of the last bytes leaves no connection behind that nobody reads from."""
    wire, heard = Wire(), Heard()
    wire.connection.ask(head(0), b"", heard)
    wire.arrive(OK + b"{")
    wire.connection.pause()
    assert not wire.reading
    wire.connection.data_received(b"}")
    assert (heard.whole, wire.freed, wire.reading) == (True, 1, True)


async def test_pausing_what_is_closed() -> None:
    """Whoever pauses and resumes a connection that is closed meanwhile does no harm."""
    wire = Wire()
    wire.connection.ask(head(0), b"", Heard())
    wire.connection.abort()
    wire.connection.pause()
    wire.connection.resume()
    wire.connection.abort()
    await asyncio.sleep(0)
    assert wire.connection.lost


async def test_f5_what_came_before_the_fault() -> None:
    """F5: what came before broken framing, in the same read, is told first."""
    wire, heard = Wire(), Heard()
    wire.connection.ask(head(0), b"", heard)
    wire.arrive(CHUNKED + b"1\r\na\r\nzz\r\n")
    assert (heard.body, heard.whole, heard.heard, wire.is_closing()) == (b"a", False, True, True)
    assert isinstance(heard.failure, UpstreamBroken)
    assert heard.failure.outcome == "up_protocol"


@pytest.mark.parametrize(("start", "more"), [(b"A: ", b"a" * 1000), (b"", b"A: b\r\n" * 150)], ids=["one", "many"])
async def test_f15_endless_trailers(start: bytes, more: bytes) -> None:
    """F15: trailers are read past, but not without end."""
    wire, heard = Wire(), Heard()
    wire.connection.ask(head(0), b"", heard)
    wire.arrive(CHUNKED + b"1\r\na\r\n0\r\n" + start, *[more] * 1000)
    assert (heard.body, heard.whole, wire.is_closing()) == (b"a", False, True)
    assert heard.failure is not None


class Mistaken(Heard):
    """An asker with a mistake in it."""

    def began(self, head: object) -> None:
        raise LookupError("ours")


async def test_our_own_mistakes_are_told() -> None:
    """A mistake of ours within the parser's turn is not told as one of the backend."""
    wire = Wire()
    wire.connection.ask(head(0), b"", Mistaken())
    with pytest.raises(httptools.HttpParserCallbackError) as caught:
        wire.arrive(OK + b"{}")
    assert isinstance(caught.value.__context__, LookupError)
