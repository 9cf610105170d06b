"""What is wrong with the body of the upstream's answer (reliability 2.F, 2.G).

Before the client has seen a byte it is a status; later a line with the error, the end in order, and
never a line that is done.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence

import pytest

from support.proxy import chat, proxied
from support.rawclient import Response
from support.replies import DONE, HI, SSE, body, completion, delta, finish, streamed, text, usage
from support.scripted import Chunk, Close, End, Flood, Hold, Pause, Reset, Send, Status, Step
from support.waiting import eventually

CUT = "the upstream closed the stream before finishing"
HALF_CALL = delta(tool_calls=[{"index": 0, "id": "c1", "function": {"name": "f", "arguments": '{"ci'}}])


def check_broken_off(response: Response, message: str, *texts: str) -> None:
    """Assert that the texts came, then the error, then nothing."""
    assert response.status == 200
    *lines, last = response.lines
    assert [line["message"]["content"] for line in lines] == list(texts)
    assert last == {"error": message}
    assert not any(line["done"] for line in lines)


CUTS: dict[str, Sequence[Step]] = {
    "F2 FIN between chunks": (Close(),),
    "F2 RST": (Pause(0.05), Reset()),
    "F2 FIN within a chunk": (Send(b"40\r\ndata: {"), Close()),
    "F2 the body ends, but the answer does not": (End(),),
    "F2 half of a tool call": (Chunk(HALF_CALL), End()),
    "G12 half an event at the end": (Chunk(b'data: {"choices":[{"delta":{"content":"lo'), End()),
    "a finish reason in an event that was cut": (Chunk(finish()[:-8]), End()),
}


@pytest.mark.parametrize("cut", CUTS.values(), ids=CUTS.keys())
async def test_f2_cut_stream(cut: Sequence[Step]) -> None:
    """F2: a stream that is cut ends in an error line, whatever it had said so far."""
    async with proxied() as proxy:
        proxy.upstream.script("m", (SSE, Chunk(text("Hi")), *cut))
        check_broken_off(await proxy.chat(), CUT, "Hi")


@pytest.mark.parametrize("cut", CUTS.values(), ids=CUTS.keys())
async def test_cut_stream_of_a_whole_reply(cut: Sequence[Step]) -> None:
    """2.0: half a text is never success: cut while the client waits for all of it, the answer is 502."""
    async with proxied() as proxy:
        proxy.upstream.script("m", (SSE, Chunk(text("Hi")), *cut))
        response = await proxy.chat(stream=False)
        assert (response.status, response.json) == (502, {"error": CUT})


@pytest.mark.parametrize("end", [Close(), Reset()], ids=["FIN", "RST"])
@pytest.mark.parametrize("framing", ["length", "chunks"])
async def test_f4_cut_body(end: Step, framing: str) -> None:
    """F4: a JSON body that is shorter than announced is 502."""
    data = json.dumps(completion()).encode()
    announced = "Transfer-Encoding: chunked" if framing == "chunks" else f"Content-Length: {len(data) + 1}"
    part = Send(b"%x\r\n%b" % (len(data) + 1, data)) if framing == "chunks" else Send(data)
    async with proxied() as proxy:
        head = Status(200, "Content-Type: application/json", announced)
        proxy.upstream.script("m", (head, part, Pause(0.05), end))
        response = await proxy.chat(stream=False)
        assert response.status == 502
        assert set(response.json) == {"error"}


@pytest.mark.parametrize("end", [Close(), Reset()], ids=["FIN", "RST"])
async def test_f1_broken_before_the_first_event(end: Step) -> None:
    """F1: comments are no answer: broken after them, it is still 502."""
    async with proxied() as proxy:
        proxy.upstream.script("m", (SSE, Chunk(b": waiting\n\n"), Pause(0.05), end))
        assert (await proxy.chat()).status == 502


BAD_CHUNKS = {"F5 a size that is no number": b"zz\r\nabc\r\n", "F5 no line end after a chunk": b"3\r\nabcdef\r\n"}


@pytest.mark.parametrize("bad", BAD_CHUNKS.values(), ids=BAD_CHUNKS.keys())
async def test_f5_bad_chunk(bad: bytes) -> None:
    """F5: broken framing in mid-stream is an error line that says so."""
    async with proxied() as proxy:
        proxy.upstream.script("m", (SSE, Chunk(text("Hi")), Pause(0.05), Send(bad), Hold()))
        check_broken_off(await proxy.chat(), "invalid response from upstream", "Hi")


async def test_e7_t11_m12_extra_bytes_poison_nothing() -> None:
    """E7, T11: bytes after a body are dropped with their connection; the next client gets its own answer."""
    evil = json.dumps(completion("evil")).encode()
    smuggled = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(evil), evil)
    async with proxied() as proxy:
        proxy.upstream.script("m", (*body(completion("first")), Send(smuggled)), body(completion("second")))
        first = await proxy.chat(stream=False)
        second = await proxy.chat(stream=False)
        assert first.json["message"]["content"] == "first"
        assert second.json["message"]["content"] == "second"
        one, other = proxy.upstream.posts
        assert one.connection != other.connection


async def test_f15_trailers_are_no_body() -> None:
    """F15: trailers after the last chunk are dropped, and the connection is used again."""
    async with proxied() as proxy:
        trailed = (*HI[:-1], Send(b"0\r\nX-Checksum: abc\r\n\r\n"))
        proxy.upstream.script("m", trailed, HI)
        for _ in range(2):
            assert [line["message"]["content"] for line in (await proxy.chat()).lines] == ["Hi", ""]
        assert len({request.connection for request in proxy.upstream.posts}) == 1


async def test_f12_fast_upstream_waits_for_a_slow_client() -> None:
    """F12: what the client does not read the upstream can't send, and nothing is lost of it."""
    piece = text("x" * 60_000)
    total = 800  # 48 MB, several times what the system's own buffers hold
    async with proxied() as proxy, proxy.client(receive_buffer=4096) as client:
        proxy.upstream.script("m", (SSE, Flood(piece, total), Chunk(finish() + usage() + DONE), End()))
        await client.ask("POST", "/api/chat", chat())
        await proxy.upstream.request_received()
        (connection,) = (one for one in proxy.upstream.connections if one.busy)
        await eventually(lambda: not connection.writable)
        await eventually(lambda: connection.written > 1_000_000)
        await asyncio.sleep(0.5)  # time in which it could send all
        assert connection.written < total * len(piece) / 2
        lines = (await client.response()).lines
        assert sum(len(line["message"]["content"]) for line in lines) == total * 60_000
        assert lines[-1]["done"] is True


@pytest.mark.parametrize("framing", ["chunked", "length"])
async def test_upstream_that_is_gone_before_it_was_read(framing: str) -> None:
    """All that an upstream sent before it closed reaches a client that reads later (aiohttp#13348)."""
    data = text("x" * 20_000) * 30 + finish() + usage() + DONE
    sse = "Content-Type: text/event-stream"
    whole = {"chunked": (SSE, Chunk(data), End()), "length": body(data, 200, sse, "Connection: close")}
    async with proxied() as proxy, proxy.client(receive_buffer=4096) as client:
        proxy.upstream.script("m", (*whole[framing], Close()))
        await client.ask("POST", "/api/chat", chat())
        await eventually(lambda: proxy.upstream.posts and not proxy.upstream.busy)
        lines = (await client.response()).lines
        assert sum(len(line["message"]["content"]) for line in lines) == 600_000
        assert lines[-1]["done"] is True


@pytest.mark.parametrize("size", [1_200_000, 10_000_000])
async def test_g13_t15_big_event(size: int) -> None:
    """G13, T15: a big event arrives whole, in lines of at most 1 MB."""
    async with proxied() as proxy:
        proxy.upstream.script("m", streamed(text("x" * size), finish(), DONE))
        response = await proxy.chat()
        assert max(map(len, response.body.split(b"\n"))) <= 1_000_000
        assert "".join(line["message"]["content"] for line in response.lines) == "x" * size
        assert response.lines[-1]["done"] is True


async def test_g13_event_without_end() -> None:
    """G13: an event of more than 16 MiB is an error line, and the upstream is let go."""
    async with proxied() as proxy:
        endless = (SSE, Chunk(text("Hi")), Chunk(b"data: "), Flood(b"x" * 65536, 300), Hold())
        proxy.upstream.script("m", endless)
        check_broken_off(await proxy.chat(), "the upstream sent an event that is too large", "Hi")
        await proxy.upstream.peer_left(within=1.0)


async def test_f11_body_without_end() -> None:
    """F11: a JSON body of more than 64 MiB is 502, not read on."""
    async with proxied() as proxy:
        head = Status(200, "Content-Type: application/json", "Transfer-Encoding: chunked")
        proxy.upstream.script("m", (head, Chunk(b'{"choices":"'), Flood(b"x" * 1_000_000, 70), Hold()))
        response = await proxy.chat(stream=False)
        assert (response.status, response.json) == (502, {"error": "the upstream's response is too large"})
        await proxy.upstream.peer_left(within=1.0)


@pytest.mark.parametrize(
    "tail",
    [
        (b"data: [DONE]\n\n" * 2,),
        (b"data:[done]\n\n",),
        (b'data: "[DONE]"\n\n',),
        (DONE, text("late"), finish("length")),
    ],
    ids=["twice", "lower case", "quoted", "data after it"],
)
async def test_g11_done_marker(tail: tuple[bytes, ...]) -> None:
    """G11: the first [DONE], however it is spelled, ends the answer; what follows is dropped."""
    async with proxied() as proxy:
        proxy.upstream.script("m", streamed(text("Hi"), finish(), *tail))
        lines = (await proxy.chat()).lines
        assert [(line["message"]["content"], line["done"]) for line in lines] == [("Hi", False), ("", True)]
        assert lines[-1]["done_reason"] == "stop"


async def test_g12_last_event_without_blank_line() -> None:
    """G12: the last event counts without its blank line when it is whole and finishes the answer."""
    async with proxied() as proxy:
        proxy.upstream.script("m", streamed(text("Hi"), finish().removesuffix(b"\n\n")))
        assert [line["done"] for line in (await proxy.chat()).lines] == [False, True]
