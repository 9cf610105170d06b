"""Heads are checked before anything is made of them, and a body that broke wakes who reads it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest

from ollama_openai_proxy.deadlines import Timeouts
from ollama_openai_proxy.errors import UpstreamBroken
from ollama_openai_proxy.upstream.heads import MAX_HEAD, MAX_INTERIM
from ollama_openai_proxy.upstream.reply import Reply
from support.opening import CALL, opened
from support.replies import SSE, body
from support.scripted import Chunk, Hold, Pause, Send, Status, Step

INTERIM = b"HTTP/1.1 103 Early Hints\r\n\r\n"


def of_size(size: int) -> Sequence[Step]:
    """An empty reply whose headers, with their line ends, have so many bytes."""
    rest = size - len("Content-Length: 2\r\n") - 2 * len("A: \r\n")
    half = rest // 2
    return (Status(200, "Content-Length: 2", "A: " + "x" * half, "A: " + "x" * (rest - half)), Send(b"{}"))


async def iter_of(reply: Reply) -> AsyncIterator[bytes]:
    while read := await reply.read():
        yield read


async def test_e5_exactly_the_limit() -> None:
    """E5: headers may have exactly 64 KiB, and not one byte more."""
    async with opened(of_size(MAX_HEAD)) as (upstream, backend):
        (await upstream.open(CALL)).close()
        backend.script("m", of_size(MAX_HEAD + 1))
        with pytest.raises(UpstreamBroken):
            await upstream.open(CALL)


@pytest.mark.parametrize("apart", [False, True], ids=["at once", "apart"])
async def test_e8_exactly_the_limit(apart: bool) -> None:
    """E8: ten interim heads may come, and not one more; they are counted for each reply anew."""
    heads = [Send(INTERIM)] * MAX_INTERIM if apart else [Send(INTERIM * MAX_INTERIM)]
    async with opened((*heads, *body({}))) as (upstream, backend):
        for _ in range(3):
            reply = await upstream.open(CALL)
            assert [await reply.read(), await reply.read()] == [b"{}", b""]
            reply.close()
        assert {request.connection for request in backend.posts} == {1}
        backend.script("m", (*heads, Send(INTERIM), *body({})))
        with pytest.raises(UpstreamBroken):
            await upstream.open(CALL)


async def test_f5_what_is_read_when_the_framing_breaks() -> None:
    """F5: a reader is woken by broken framing at once, when it has read what came before it."""
    async with opened((SSE, Chunk(b"a"), Pause(0.05), Send(b"1\r\nb\r\nzz\r\n"), Hold()), Timeouts()) as (upstream, _):
        reply = await upstream.open(CALL)
        assert [await reply.read(), await reply.read()] == [b"a", b"b"]
        with pytest.raises(UpstreamBroken) as caught:
            await reply.read()
        reply.close()
        assert caught.value.message == "invalid response from upstream"


@pytest.mark.parametrize("whole", [b"a", b""], ids=["after a chunk", "in the first chunk"])
async def test_f5_a_head_and_broken_framing_in_one_piece(whole: bytes) -> None:
    """F5: so it is when all of that comes in one piece with the head."""
    piece = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%szz\r\n" % (b"1\r\na\r\n" if whole else b"")
    async with opened((Send(piece), Hold())) as (upstream, _):
        reply = await upstream.open(CALL)
        if whole:
            assert await reply.read() == whole
        with pytest.raises(UpstreamBroken) as caught:
            await reply.read()
        reply.close()
        assert caught.value.message == "invalid response from upstream"


ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"
CHUNKED = Status(200, "Transfer-Encoding: chunked")
UNASKED = {
    "an answer": (*body({}), Pause(0.02), Send(ANSWER)),
    "two": (*body({}), Pause(0.02), Send(ANSWER * 2)),
    "a head that is refused": (*body({}), Pause(0.02), Send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: what\r\n\r\n")),
    "many interim heads": (*body({}), Pause(0.02), Send(INTERIM * (MAX_INTERIM + 1))),
    "half a head": (*body({}), Pause(0.02), Send(ANSWER[:25])),
    "half a head at once": (Status(200, "Content-Length: 2"), Send(b"{}" + ANSWER[:25])),
    "an answer after the last chunk": (CHUNKED, Pause(0.02), Send(b"2\r\n{}\r\n0\r\n\r\n" + ANSWER)),
    "half a head after the last chunk": (CHUNKED, Pause(0.02), Send(b"2\r\n{}\r\n0\r\n\r\nHT")),
}


@pytest.mark.parametrize("steps", UNASKED.values(), ids=UNASKED.keys())
async def test_e7_t11_what_nobody_asked_for(steps: Sequence[Step]) -> None:
    """E7, T11: what comes after an answer, at once or while the connection is idle, is never part of the next one:
    the connection is not used again."""
    async with opened(steps) as (upstream, backend):
        for _ in range(3):
            reply = await upstream.open(CALL)
            assert [await reply.read(), await reply.read()] == [b"{}", b""]
            reply.close()
            await backend.posts[-1].answered.wait()
            await asyncio.sleep(0.02)  # until it has been read
        assert [request.connection for request in backend.posts] == [1, 2, 3]


async def test_e7_what_comes_apart_is_one_answer() -> None:
    """E7: a connection is used again whatever pieces an answer comes in."""
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r"
    pieces = (head, b"\n", b"2\r\n{", b"}\r\n0\r\n", b"\r\n")
    async with opened([step for piece in pieces for step in (Send(piece), Pause(0.01))]) as (upstream, backend):
        for _ in range(3):
            reply = await upstream.open(CALL)
            read = [part async for part in iter_of(reply)]
            assert b"".join(read) == b"{}"
            reply.close()
        assert {request.connection for request in backend.posts} == {1}


async def test_e7_a_body_and_garbage_in_one_piece() -> None:
    """E7: a whole reply that comes in one piece with what is none is read, and its connection closed."""
    whole = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}garbage"
    async with opened((Send(whole), Hold())) as (upstream, backend):
        reply = await upstream.open(CALL)
        assert [await reply.read(), await reply.read()] == [b"{}", b""]
        reply.close()
        await backend.peer_left(within=1.0)
