"""Bodies that come packed although the proxy asks for none (reliability E16, T19)."""

from __future__ import annotations

import asyncio
import gzip
import json
import tracemalloc
import zlib
from collections.abc import Callable, Sequence

import pytest

from support.outcomes import Outcomes
from support.proxy import chat, proxied
from support.replies import DONE, HI, body, completion, finish, text, usage
from support.scripted import Chunk, Close, End, Hold, Pause, Send, Status, Step, Wait

MIB = 1024 * 1024
EVENTS = (text("Hi"), text(" you"), finish(), usage(), DONE)
CUT = "the upstream closed the stream before finishing"
OTHER = "unexpected content encoding from upstream"
INVALID = "invalid response from upstream"


@pytest.fixture
def outcomes(caplog: pytest.LogCaptureFixture) -> Outcomes:
    return Outcomes(caplog)


def bare(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(data) + packer.flush()


def members(data: bytes) -> bytes:
    return gzip.compress(data[:10]) + gzip.compress(data[10:])


PACKED: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "gzip": ("gzip", gzip.compress),
    "x-gzip": ("x-gzip", gzip.compress),
    "capitals": ("GZip", gzip.compress),
    "several members": ("gzip", members),
    "deflate": ("deflate", zlib.compress),
    "deflate without a header": ("deflate", bare),
    "identity": ("identity", bytes),
    "none": ("none", bytes),
    "an empty name": ("", bytes),
}


@pytest.mark.parametrize(("encoding", "pack"), PACKED.values(), ids=PACKED.keys())
async def test_e16_packed_bodies(encoding: str, pack: Callable[[bytes], bytes]) -> None:
    """E16: gzip and deflate are unpacked, of streams and of whole replies, however they are cut."""
    stream, whole = pack(b"".join(EVENTS)), pack(json.dumps(completion("Hi you")).encode())
    head = Status(200, "Content-Type: text/event-stream", f"Content-Encoding: {encoding}", "Transfer-Encoding: chunked")
    bytewise = (head, *(Chunk(stream[at : at + 1]) for at in range(len(stream))), End())
    async with proxied() as proxy:
        one = body(whole, 200, "Content-Type: application/json", f"Content-Encoding: {encoding}")
        proxy.upstream.script("m", (head, Chunk(stream), End()), bytewise, one)
        for _ in range(2):
            lines = (await proxy.chat()).lines
            assert "".join(line["message"]["content"] for line in lines) == "Hi you"
            assert lines[-1]["done"] is True
        assert (await proxy.chat(stream=False)).json["message"]["content"] == "Hi you"
        assert len({request.connection for request in proxy.upstream.posts}) == 1


async def test_e16_each_event_is_handed_on_when_it_is_there() -> None:
    """E16: a packed event whose end was flushed is told at once, not at the end of the body."""
    barrier, packer = asyncio.Event(), zlib.compressobj(wbits=zlib.MAX_WBITS | 16)
    first = packer.compress(text("Hi")) + packer.flush(zlib.Z_SYNC_FLUSH)
    rest = packer.compress(finish() + usage() + DONE) + packer.flush()
    head = Status(200, "Content-Type: text/event-stream", "Content-Encoding: gzip", "Transfer-Encoding: chunked")
    async with proxied() as proxy, proxy.client() as client:
        proxy.upstream.script("m", (head, Chunk(first), Wait(barrier), Chunk(rest), End()))
        await client.ask("POST", "/api/chat", chat())
        await client.read_until(b'"content":"Hi"')
        barrier.set()
        await client.read_until(b'"done":true')


def gzipped(data: bytes, *then: Step, kind: str = "text/event-stream") -> Sequence[Step]:
    head = Status(200, f"Content-Type: {kind}", "Content-Encoding: gzip", "Transfer-Encoding: chunked")
    return (head, Chunk(data), *(then or (End(),)))


BROKEN: dict[str, tuple[Sequence[Step], str, str]] = {
    "no gzip": (gzipped(b"data: {}\n\n"), INVALID, "up_protocol"),
    "cut, in order": (gzipped(gzip.compress(EVENTS[0])[:-12]), CUT, "up_truncated"),
    "cut by a FIN": (gzipped(gzip.compress(EVENTS[0])[:-12], Close()), CUT, "up_truncated"),
    "a header alone": (gzipped(gzip.compress(b"")[:10]), CUT, "up_truncated"),
    "a wrong checksum": (gzipped(gzip.compress(b"".join(EVENTS[:1]))[:-8] + b"x" * 8), INVALID, "up_protocol"),
    "whole, but no end of the answer": (gzipped(gzip.compress(EVENTS[0])), CUT, "up_truncated"),
    "br": (body(b"x", 200, "Content-Encoding: br"), OTHER, "up_protocol"),
    "zstd": (body(b"x", 200, "Content-Encoding: zstd"), OTHER, "up_protocol"),
    "twice": (body(b"x", 200, "Content-Encoding: gzip, gzip"), OTHER, "up_protocol"),
    "two lines": (body(b"x", 200, "Content-Encoding: identity", "Content-Encoding: gzip"), OTHER, "up_protocol"),
}


@pytest.mark.parametrize(("steps", "message", "outcome"), BROKEN.values(), ids=BROKEN.keys())
async def test_e16_broken_packing(steps: Sequence[Step], message: str, outcome: str, outcomes: Outcomes) -> None:
    """E16: what can't be unpacked is 502 where the whole answer is waited for, and harms no later call."""
    async with proxied() as proxy:
        proxy.upstream.script("m", steps)
        response = await proxy.chat(stream=False)
        assert (response.status, response.json) == (502, {"error": message})
        proxy.upstream.script("m", HI)
        assert (await proxy.chat()).lines[-1]["done"] is True
        await outcomes.expect(outcome, "ok")


async def test_e16_broken_in_mid_stream() -> None:
    """E16: events that were unpacked are told, then why no more come."""
    packer = zlib.compressobj(wbits=zlib.MAX_WBITS | 16)
    data = packer.compress(EVENTS[0]) + packer.flush(zlib.Z_SYNC_FLUSH)
    async with proxied() as proxy:
        for then, error in (((End(),), CUT), ((Pause(0.05), Chunk(b"\xff" * 20), Hold()), INVALID)):
            proxy.upstream.script("m", gzipped(data, *then))
            lines = (await proxy.chat()).lines
            assert lines[0]["message"]["content"] == "Hi"
            assert lines[1:] == [{"error": error}]


def bomb(size: int) -> bytes:
    packer = zlib.compressobj(9, wbits=zlib.MAX_WBITS | 16)
    return b"".join(packer.compress(b" " * MIB) for _ in range(size // MIB)) + packer.flush()


@pytest.mark.parametrize("kind", ["text/event-stream", "application/json"])
@pytest.mark.parametrize("stream", [True, False])
async def test_e16_t19_bombs(kind: str, stream: bool, outcomes: Outcomes) -> None:
    """E16, T19: what unpacks to more than 100 times its size is 502 before it takes memory."""
    packed = bomb(200 * MIB)
    assert len(packed) < MIB / 4
    async with proxied() as proxy:
        proxy.upstream.script("m", gzipped(packed, Hold(), kind=kind))
        tracemalloc.start()
        try:
            response = await proxy.chat(stream=stream)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert response.status == 502
        assert peak < 32 * MIB
        await proxy.upstream.peer_left(within=1.0)
        await outcomes.expect("up_protocol")


async def test_e16_a_packed_error() -> None:
    """E16: an error that comes packed is told in its own words; one that can't be unpacked by its status."""
    error = json.dumps({"error": {"message": "too many cats"}}).encode()
    headers = ("Content-Type: application/json", "Content-Encoding: gzip")
    async with proxied() as proxy:
        proxy.upstream.script("m", body(gzip.compress(error), 400, *headers), body(error, 400, *headers))
        assert (await proxy.chat()).json == {"error": "too many cats"}
        response = await proxy.chat()
        assert (response.status, set(response.json)) == (400, {"error"})


async def test_e16_a_long_answer_that_packs_well() -> None:
    """E16: a packed answer of some megabytes is whole."""
    pieces = [f"piece {number} " for number in range(20_000)]
    packed = gzip.compress(b"".join(map(text, pieces)) + finish() + DONE)
    async with proxied() as proxy:
        head = Status(200, "Content-Encoding: gzip", f"Content-Length: {len(packed)}")
        proxy.upstream.script("m", (head, Send(packed)))
        lines = (await proxy.chat()).lines
        assert "".join(line["message"]["content"] for line in lines) == "".join(pieces)
