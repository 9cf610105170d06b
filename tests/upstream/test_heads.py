"""Heads are checked before anything is made of them, and a body that broke wakes who reads it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest

from ollama_openai_proxy.deadlines import Timeouts
from ollama_openai_proxy.errors import UpstreamBroken
from ollama_openai_proxy.upstream.heads import MAX_HEAD, MAX_HEADERS, MAX_INTERIM, Head, Header
from ollama_openai_proxy.upstream.reply import Reply
from support.opening import CALL, opened
from support.replies import SSE, body
from support.scripted import Chunk, End, Hold, Pause, Send, Status, Step

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


def head(*raw: Header, status: int = 200) -> Head:
    return Head(status, raw)


def test_first_values() -> None:
    """The first value of a header counts, whatever case its name is in; of codings all count, in order."""
    made = head(
        (b"CONTENT-type", b"text/event-stream"),
        (b"Content-Type", b"application/json"),
        (b"Retry-After", b"3"),
        (b"retry-after", b"4"),
        (b"Content-Encoding", b"GZip"),
        (b"content-encoding", b"br"),
        (b"X-A", b"\xe9"),
    )
    assert (made.status, made.content_type, made.encoding) == (200, "text/event-stream", "gzip, br")
    assert made.headers == {
        "content-type": "text/event-stream",
        "retry-after": "3",
        "content-encoding": "GZip",
        "x-a": "\xe9",
    }


async def test_white_space_around_values() -> None:
    """White space around a value is no part of it (RFC 9110, 5.5)."""
    made = head((b"Content-Type", b"text/event-stream \t"), (b"Retry-After", b"3 "), (b"Content-Encoding", b" gzip\t"))
    assert (made.content_type, made.encoding) == ("text/event-stream", "gzip")
    assert made.headers["retry-after"] == "3"
    steps = (Status(200, "Transfer-Encoding: chunked", "Content-Type:text/plain  "), Chunk(b"{}"), End())
    async with opened(steps) as (upstream, _):
        reply = await upstream.open(CALL)
        assert (reply.content_type, await reply.read(), await reply.read()) == ("text/plain", b"{}", b"")
        reply.close()


LENGTHS: dict[str, tuple[Head, bool]] = {
    "a length": (head((b"Content-Length", b"0")), True),
    "chunks": (head((b"Transfer-Encoding", b"chunked")), True),
    "neither": (head((b"Server", b"a")), False),
    "no content": (head(status=204), True),
    "not modified": (head(status=304), True),
}


@pytest.mark.parametrize(("made", "has_length"), LENGTHS.values(), ids=LENGTHS.keys())
def test_e12_what_tells_the_end(made: Head, has_length: bool) -> None:
    """E12: only where nothing else tells where a body ends the end of the connection does (RFC 9112, 6.3)."""
    assert made.has_length == has_length


SOUND: dict[str, tuple[Head, str, bool]] = {
    "HTTP/1.1": (head(), "1.1", True),
    "HTTP/1.0": (head(), "1.0", True),
    "HTTP/2": (head(), "2.0", False),
    "HTTP/0.9": (head(), "0.9", False),
    "chunked": (head((b"Transfer-Encoding", b"Chunked")), "1.1", True),
    "a coding that nobody has": (head((b"Transfer-Encoding", b"what")), "1.1", False),
    "two codings": (head((b"Transfer-Encoding", b"gzip, chunked")), "1.1", False),
    "two codings apart": (head((b"Transfer-Encoding", b"gzip"), (b"transfer-encoding", b"chunked")), "1.1", False),
    "chunked twice": (head((b"Transfer-Encoding", b"chunked"), (b"Transfer-Encoding", b"chunked")), "1.1", False),
}


@pytest.mark.parametrize(("made", "version", "sound"), SOUND.values(), ids=SOUND.keys())
def test_e6_e9_what_can_be_read(made: Head, version: str, sound: bool) -> None:
    """E6, E9: nothing is made of a head of another HTTP, or whose body is in a coding that may be read in two ways."""
    assert made.is_sound(version, 100) == sound


async def test_e5_number_of_headers() -> None:
    """E5: a head may have exactly so many headers, and not one more, however short they are."""
    async with opened((Status(200, "Content-Length: 2", *["A: b"] * (MAX_HEADERS - 1)), Send(b"{}"))) as (
        upstream,
        backend,
    ):
        (await upstream.open(CALL)).close()
        backend.script("m", (Status(200, "Content-Length: 2", *["A: b"] * MAX_HEADERS), Send(b"{}")))
        with pytest.raises(UpstreamBroken):
            await upstream.open(CALL)


@pytest.mark.parametrize("endless", [b"HTTP/1.1 200 " + b"O" * 200_000, b"HTTP/1.1 200 OK\r\nA: " + b"a" * 200_000])
async def test_e5_a_head_without_end(endless: bytes) -> None:
    """E5: a head whose line never ends is not read for ever."""
    async with opened((Send(endless), Hold()), Timeouts()) as (upstream, backend):
        with pytest.raises(UpstreamBroken):
            await upstream.open(CALL)
        await backend.peer_left(within=1.0)


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
