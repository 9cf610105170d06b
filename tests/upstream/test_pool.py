"""Connections are kept for the next request: the one that was used last first, and none that is old or dead."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import pytest

from ollama_openai_proxy.errors import UpstreamError
from ollama_openai_proxy.upstream.connection import Connection
from ollama_openai_proxy.upstream.dial import Dialer, Unconnected
from ollama_openai_proxy.upstream.pool import Pool
from support.listeners import closed
from support.replies import SSE, body
from support.scripted import Chunk, Close, Hold, Pause, Send, Step, Upstream
from support.waiting import eventually, no_descriptors_left
from support.wire import Heard

POST = b'POST /v1/chat/completions HTTP/1.1\r\nContent-Length: 13\r\n\r\n{"model":"m"}'


@asynccontextmanager
async def pooled(keep_alive: float, *answer: Step) -> AsyncIterator[tuple[Pool, Upstream]]:
    """Yield a pool, and the backend of its connections, which answers so."""
    async with no_descriptors_left(), Upstream() as backend:
        backend.script("m", answer or body({}))
        pool = Pool(Dialer(backend.url), keep_alive)
        try:
            yield pool, backend
        finally:
            await pool.close()


async def used(connection: Connection) -> Connection:
    """Send a request over it, and wait for all of the answer."""
    heard = Heard()
    connection.ask(POST, b"", heard)
    await eventually(lambda: heard.whole)
    return connection


async def made(pool: Pool, count: int) -> list[Connection]:
    """Return so many connections that are in use."""
    assert pool.take() is None
    return [await pool.make(5) for _ in range(count)]


async def test_the_last_comes_first() -> None:
    """The connection that was free last is taken first, each once; then there is none."""
    async with pooled(5) as (pool, _):
        connections = await made(pool, 3)
        assert [connection.reused for connection in connections] == [False] * 3
        for connection in connections:
            await used(connection)
        assert [pool.take() for _ in range(4)] == [*reversed(connections), None]
        assert all(connection.reused for connection in connections)


async def test_t17_idle_ones_are_closed() -> None:
    """T17: an idle connection is closed after its time, not before, and each by its own."""
    async with pooled(0.4) as (pool, backend):
        one, two = await made(pool, 2)
        now, since, until = time.monotonic, dict[Connection, float](), dict[Connection, float]()
        for connection in (one, two):
            await used(connection)
            since[connection] = now()
            await asyncio.sleep(0.25)
        for connection in (one, two):
            await eventually(partial(getattr, connection, "lost"))
            until[connection] = now()
        assert all(0.39 < until[each] - since[each] < 2 for each in (one, two))
        await eventually(lambda: not backend.connections)
        assert pool.take() is None


async def test_t17_used_again_in_time() -> None:
    """T17: each use buys a connection its whole time anew."""
    async with pooled(0.3) as (pool, backend):
        (connection,) = await made(pool, 1)
        for _ in range(5):
            await used(connection)
            await asyncio.sleep(0.15)
            assert pool.take() is connection
        assert len(backend.posts) == 5


async def test_t17_old_ones_are_not_taken() -> None:
    """T17: one whose time has passed is not taken, though nobody had a turn to close it."""
    async with pooled(0.05) as (pool, backend):
        for connection in await made(pool, 2):
            await used(connection)
        time.sleep(0.1)  # noqa: ASYNC251  # so late is the loop
        assert pool.take() is None
        await eventually(lambda: not backend.connections)


async def test_t17_none_is_kept() -> None:
    """T17: with 0 seconds each connection is closed after its answer."""
    async with pooled(0) as (pool, backend):
        (connection,) = await made(pool, 1)
        await used(connection)
        assert pool.take() is None
        await eventually(lambda: not backend.connections)


@pytest.mark.parametrize("end", [Close(), Send(b"HTTP/1.1 200 OK\r\n\r\n"), Send(b"?")], ids=["FIN", "answer", "byte"])
async def test_e7_closed_ones_are_not_taken(end: Step) -> None:
    """E7, D9: what was closed while it was idle, or said what nobody asked for, is not taken: the one before it is."""
    async with pooled(5) as (pool, backend):
        one, two = await made(pool, 2)
        await used(one)
        backend.script("m", (*body({}), Pause(0.02), end, *((Hold(),) * isinstance(end, Send))))
        await used(two)
        await eventually(lambda: two.lost)
        assert (pool.take(), pool.take()) == (one, None)


async def test_what_is_closing_is_not_taken() -> None:
    """A connection that was closed in this very turn of the loop is not taken."""
    async with pooled(5) as (pool, _):
        (connection,) = await made(pool, 1)
        await used(connection)
        connection.abort()
        assert pool.take() is None


@pytest.mark.parametrize("many", [1, 30])
async def test_close(many: int) -> None:
    """Closing closes all, those in use as well as those that are idle."""
    async with pooled(5, SSE, Chunk(b"a"), Hold()) as (pool, backend):
        busy, idle = await made(pool, many), await made(pool, many)
        heard = [Heard() for _ in busy]
        for connection, asker in zip(busy, heard, strict=True):
            connection.ask(POST, b"", asker)
        await eventually(lambda: all(asker.pieces for asker in heard))
        backend.script("m", body({}))
        for connection in idle:
            await used(connection)
        assert len(backend.connections) == 2 * many
        await pool.close()
        await eventually(lambda: not backend.connections)
        assert pool.take() is None


async def test_freed_after_the_end() -> None:
    """A connection whose answer ends when the pool is closed is closed, too."""
    async with pooled(5) as (pool, backend):
        (connection,) = await made(pool, 1)
        await pool.close()
        late = await pool.make(5)
        await used(late)
        await eventually(lambda: not backend.connections)
        assert connection.lost
        assert pool.take() is None


async def test_no_connection() -> None:
    """Where no connection comes about there is an error, and nothing is kept of it."""
    async with no_descriptors_left():
        pool = Pool(Dialer(closed()), 5)
        with pytest.raises(Unconnected) as caught:
            await pool.make(5)
        assert isinstance(caught.value.error, UpstreamError)
        await pool.close()
