"""One request and its answer, as an application has them: the same over the wire as uvicorn's own, in fewer writes."""

from __future__ import annotations

import asyncio
import gc
import logging
import tracemalloc
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from starlette.types import Message, Receive, Scope, Send
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from ollama_openai_proxy.serve.cycle import Cycle
from ollama_openai_proxy.serve.server import serving
from support.asgi import alive
from support.rawclient import RawClient

DATE = [(b"date", b"Mon, 23 Nov 2026 14:00:00 GMT")]
SCOPE: Scope = {"type": "http", "method": "POST", "http_version": "1.1", "headers": []}
START: Message = {"type": "http.response.start", "status": 200}
BODY: Message = {"type": "http.response.body"}


class Written(asyncio.Transport):
    """A transport that keeps what it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[bytes] = []
        self.closed = False

    def write(self, data: Any) -> None:
        if data:
            self.writes.append(bytes(data))

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True


def ours(transport: Written, method: str = "POST", *, keep_alive: bool = True) -> Cycle:
    return Cycle(
        {**SCOPE, "method": method},
        transport,
        FlowControl(transport),
        DATE,
        lambda: None,
        logger=logging.getLogger(__name__),
        expect_100_continue=False,
        keep_alive=keep_alive,
    )


def uvicorns(transport: Written, method: str) -> RequestResponseCycle:
    logger = logging.getLogger(__name__)
    scope: Any = {**SCOPE, "method": method}
    event = asyncio.Event()
    flow = FlowControl(transport)
    return RequestResponseCycle(scope, transport, flow, logger, logger, False, DATE, event, False, True, lambda: None)


async def outcome(cycle: RequestResponseCycle, transport: Written, messages: Sequence[Any]) -> tuple[Any, ...]:
    """Return what was written, whether something was refused, and what is known of the answer."""
    refused = False
    try:
        for message in messages:
            await cycle.send(message)
    except (RuntimeError, ValueError):
        refused = True
    await asyncio.sleep(0)
    return b"".join(transport.writes), refused, cycle.response_complete, cycle.keep_alive, transport.closed


names = st.sampled_from([b"X-A", b"x-b", b"Content-Type", b"a:b", b"a b", b"x\n", b"\x80"]) | st.binary(max_size=3)
values = st.sampled_from([b"text/plain", b"a\tb", b"a\r\nx: y", b"a\x00", b"\xff", b""]) | st.binary(max_size=4)
framing = st.sampled_from(
    [
        (b"content-length", b"0"),
        (b"Content-Length", b"2"),
        (b"content-length", b"5"),
        (b"content-length", b"zz"),
        (b"transfer-encoding", b"Chunked"),
        (b"Transfer-Encoding", b"gzip"),
    ]
)
heads = st.lists(st.tuples(names, values) | framing, max_size=4).filter(
    lambda headers: all(name.lower() != b"connection" for name, _ in headers)
)
starts = st.fixed_dictionaries(
    {"type": st.just("http.response.start"), "status": st.sampled_from([200, 204, 304, 404, 599]), "headers": heads}
)
bodies = st.fixed_dictionaries(
    {"type": st.just("http.response.body")},
    optional={"body": st.sampled_from([b"", b"ab", b"abcde", bytes(70_000)]), "more_body": st.booleans()},
)
wrong: st.SearchStrategy[Message] = st.just({"type": "http.response.debug"})


messages = st.lists(bodies, max_size=4) | st.lists(bodies | wrong | starts, max_size=4)


@given(st.sampled_from(["GET", "HEAD", "POST"]), starts, messages)
@example("HEAD", {**START, "headers": [(b"content-length", b"2")]}, [{**BODY, "body": b"ab"}])
@example("HEAD", {**START, "headers": [(b"transfer-encoding", b"chunked")]}, [{**BODY, "body": b"ab"}])
@example("GET", BODY, [])
async def test_same_answers_as_uvicorn(method: str, first: Message, rest: list[Message]) -> None:
    """Whatever an application sends, the bytes are those of uvicorn, and what uvicorn refuses is refused."""
    theirs, mine = Written(), Written()
    expected = await outcome(uvicorns(theirs, method), theirs, [first, *rest])
    for _ in range(2):  # the second time with lines that are known
        mine.writes.clear()
        assert await outcome(ours(mine, method), mine, [first, *rest]) == expected


@pytest.mark.parametrize(
    ("kept", "value", "lines"),
    [
        (True, None, []),
        (False, None, [b"connection: close"]),
        (True, b"keep-alive", [b"connection: keep-alive"]),
        (True, b"x, Close", [b"connection: x, Close"]),
        (False, b"close", [b"connection: close"]),
    ],
)
async def test_end_of_the_connection(kept: bool, value: bytes | None, lines: list[bytes]) -> None:
    """RFC 9112, 9.6: who is to end the connection says so once, and ends it when the answer is whole."""
    transport = Written()
    cycle = ours(transport, keep_alive=kept)
    headers = [(b"content-length", b"0")] + [(b"connection", value)] * (value is not None)
    await cycle.send({"type": "http.response.start", "status": 200, "headers": headers})
    assert not transport.closed
    await cycle.send({"type": "http.response.body"})
    (answer,) = transport.writes
    assert [line for line in answer.split(b"\r\n") if line.startswith(b"connection")] == lines
    assert transport.closed is (not kept or b"close" in (value or b"").lower())


@pytest.mark.parametrize(("size", "writes"), [(2, 1), (64 * 1024, 1), (64 * 1024 + 1, 2)])
async def test_head_leaves_with_its_body(size: int, writes: int) -> None:
    """Head and body are one write, which uvloop makes one packet; a large body is not copied for that."""
    transport = Written()
    cycle = ours(transport)
    headers = [(b"content-length", b"%d" % size)]
    await cycle.send({"type": "http.response.start", "status": 200, "headers": headers})
    await cycle.send({"type": "http.response.body", "body": bytes(size)})
    await asyncio.sleep(0)
    assert len(transport.writes) == writes
    assert b"".join(transport.writes).endswith(b"\r\n\r\n" + bytes(size))


async def test_head_does_not_wait_for_a_body() -> None:
    """A client sees the head of an answer whose body takes its time."""
    go = asyncio.Event()

    @alive
    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await go.wait()
        await send({"type": "http.response.body", "body": b"ok"})

    async with serving(app) as url, RawClient(url) as client:
        await client.ask("GET", "/")
        assert (await client.head()).status == 200
        go.set()
        assert await client.chunk() == b"ok"


async def test_head_leaves_before_the_end() -> None:
    """An application that fails right after the head of its answer has sent that head."""

    @alive
    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 202, "headers": []})
        raise RuntimeError

    async with serving(app) as url, RawClient(url) as client:
        await client.ask("GET", "/")
        assert (await client.head()).status == 202
        assert await client.read_to_end() == b""


async def test_send_is_one_step() -> None:
    """Who sends from outside a task takes one step, unless the client takes nothing: then there is a future."""
    transport = Written()
    cycle = ours(transport)
    with pytest.raises(StopIteration):
        cycle.send({"type": "http.response.start", "status": 200}).send(None)
    cycle.flow.pause_writing()
    step = cycle.send({"type": "http.response.body", "body": b"ab", "more_body": True})
    waits = step.send(None)
    assert asyncio.isfuture(waits)
    cycle.flow.resume_writing()
    await asyncio.sleep(0)
    with pytest.raises(StopIteration):
        step.send(None)
    assert b"".join(transport.writes).endswith(b"\r\n\r\n2\r\nab\r\n")


@given(st.lists(st.binary(min_size=1, max_size=9), max_size=5))
async def test_parts_of_a_body(parts: list[bytes]) -> None:
    """What came of a body before somebody asks is one message of bytes, in order."""
    cycle = ours(Written())
    size = 0
    for part in parts:
        size += len(part)
        assert cycle.hold(part) == size
    cycle.more_body = False
    cycle.message_event.set()
    message = await cycle.receive()
    assert type(message["body"]) is bytes
    assert message == {"type": "http.request", "body": b"".join(parts), "more_body": False}


def whole() -> Cycle:
    """Return a cycle whose request has come, and was read."""
    cycle = ours(Written())
    cycle.more_body = False
    return cycle


async def test_told_that_the_client_left() -> None:
    """Who watches a client whose request is read is told at once that it left, and once."""
    told: list[str] = []
    cycle = whole()
    assert cycle.watch(lambda: told.append("left"))
    cycle.leave()
    assert told == ["left"]
    cycle.leave()
    assert told == ["left"]
    assert await cycle.receive() == {"type": "http.disconnect"}


async def test_told_no_more() -> None:
    """Who does not watch any more is not told."""
    told: list[str] = []
    cycle = whole()
    assert cycle.watch(lambda: told.append("left"))
    cycle.unwatch()
    cycle.leave()
    assert told == []


async def test_not_watched_before_all_was_told() -> None:
    """While there is more to receive than that the client left, nobody is told but by receiving."""
    told: list[str] = []
    coming, unread, gone, answered = ours(Written()), whole(), whole(), whole()
    unread.hold(b"ab")
    gone.leave()
    await answered.send({**START, "headers": [(b"content-length", b"0")]})
    await answered.send(BODY)
    for cycle in (coming, unread, gone, answered):
        assert not cycle.watch(lambda: told.append("left"))
        cycle.leave()
    assert told == []


async def test_watching_reads_on() -> None:
    """A connection of which nothing was read for a while is read again, or nobody would see its end."""
    cycle = whole()
    cycle.flow.read_paused = True
    cycle.transport.resume_reading = lambda: None  # type: ignore[method-assign]  # there is nothing to read from
    assert cycle.watch(lambda: None)
    assert not cycle.flow.read_paused


async def test_long_headers_are_not_kept() -> None:
    """What answers have said at length, as an origin that a client made up, takes no memory when they are over."""

    async def answer(number: int) -> None:
        origin = b"http://localhost:%d" % number + bytes(60_000).replace(b"\0", b"a")
        await ours(Written()).send({**START, "headers": [(b"access-control-allow-origin", origin)]})
        await asyncio.sleep(0)

    await answer(0)
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        for number in range(100):
            await answer(number)
        gc.collect()
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after - before < 1_000_000
