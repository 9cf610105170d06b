"""How a client's connection ends: what lingers, what is turned away, what is cut."""

from __future__ import annotations

import asyncio
import gc
import time
import weakref
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
import uvloop
from starlette.types import Receive, Scope, Send

from ollama_openai_proxy.limits import ClientLimits
from ollama_openai_proxy.serve.server import Drain, Server, serving
from ollama_openai_proxy.serve.sockets import address, listen
from support.asgi import alive
from support.rawclient import RawClient
from support.waiting import eventually


@alive
async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
    """An application that answers without a look at the body."""
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


async def test_refused_client_that_stays() -> None:
    """Who is refused, reads the answer and stays, is closed after a while: nothing waits without an end."""
    async with serving(app) as url, RawClient(url) as client:
        began = time.monotonic()
        await client.send(b"nonsense\r\n\r\n")
        assert (await client.response()).status == 400
        assert await client.read_to_end() == b""  # our side ends at once
        assert time.monotonic() - began < 4
        for _ in range(200):
            try:
                await client.send(b"more")  # what still comes is thrown away
            except ConnectionError:
                break
            await asyncio.sleep(0.1)
        assert 4 < time.monotonic() - began < 15


async def test_refused_client_that_sends_without_end() -> None:
    """What is thrown away has a limit in bytes, too."""
    async with serving(app) as url, RawClient(url) as client:
        await client.send(b"nonsense\r\n\r\n")
        sent, piece = 0, bytes(1024 * 1024)
        while sent < 300 * len(piece):
            try:
                await client.send(piece)
            except ConnectionError:
                break
            sent += len(piece)
        assert sent < 100 * len(piece)


async def is_gone(client: RawClient) -> bool:
    """Whether what is sent to the server is no longer taken."""
    try:
        await client.send(b"more")
        await asyncio.sleep(0.001)  # for the reset to come
        await client.send(b"more")
    except ConnectionError:
        return True
    return False


async def test_turned_away_are_few_at_a_time() -> None:
    """C13: those that are one too many wait for their answer to be read, a few of them; the others are just closed."""
    async with serving(app, limits=ClientLimits(connections=1)) as url, RawClient(url) as first:
        await first.ask("GET", "/")
        assert (await first.response()).body == b"ok"
        clients = [RawClient(url) for _ in range(100)]
        try:
            for client in clients:
                await client.__aenter__()
            for client in clients:
                assert (await client.response()).status == 503
                assert await client.read_to_end() == b""
            assert [await is_gone(client) for client in clients].count(True) >= 100 - 32
        finally:
            for client in clients:
                client.close()
        await first.ask("GET", "/")
        assert (await first.response()).body == b"ok"


@pytest.mark.parametrize("way", ["broken", "closed", "kept"])
async def test_t5_little_that_nobody_takes(way: str) -> None:
    """T5: bytes that are too few for the transport to be full end with their connection, too, whatever ended that."""

    async def little(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await app(scope, receive, send)
            return
        headers = [(b"connection", b"close")] if way == "closed" else []
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        (connection,) = server.server_state.connections
        assert connection.transport is not None
        while not connection.transport.get_write_buffer_size():
            await send({"type": "http.response.body", "body": bytes(8192), "more_body": True})
            await asyncio.sleep(0)
        if way != "broken":
            await send({"type": "http.response.body", "body": b""})

    limits = ClientLimits(write_timeout=0.5, keep_alive=0.2)
    server = Server(little, None, Drain(0, 1), limits, handle_signals=False)
    listener = listen("127.0.0.1", 0)
    task = asyncio.create_task(server.serve(sockets=[listener]))
    await server.listening.wait()
    async with RawClient(f"http://{address(listener)}", receive_buffer=4096) as client:
        await client.ask("GET", "/")
        await eventually(lambda: server.server_state.connections)
        await eventually(lambda: not server.server_state.connections, within=5)
    server.stop()
    await task


async def test_kept_connection_after_a_late_body() -> None:
    """A body that comes after its answer, soon and whole, leaves the connection as good as any."""
    limits = ClientLimits(keep_alive=0.5)
    async with serving(app, limits=limits) as url, RawClient(url) as client:
        await client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n")
        assert (await client.response()).body == b"ok"
        await client.send(b"0123456789")
        await client.ask("GET", "/")
        assert (await client.response()).body == b"ok"
        ended = asyncio.create_task(client.read_to_end())
        await eventually(ended.done, within=3)
        assert ended.result() == b""


@pytest.mark.parametrize(("header_timeout", "keep_alive"), [(0.3, 1.2), (10, 0.6)])
async def test_kept_connection_has_its_whole_time(header_timeout: float, keep_alive: float) -> None:
    """A connection is kept for its time after the last answer, whatever was to end it before that."""
    limits = ClientLimits(header_timeout=header_timeout, keep_alive=keep_alive)
    async with serving(app, limits=limits) as url, RawClient(url) as client:
        for pause in (0.0, keep_alive * 0.7, keep_alive * 0.7):
            await asyncio.sleep(pause)
            began = time.monotonic()
            await client.ask("GET", "/")
            assert (await client.response()).body == b"ok"
        assert await client.read_to_end() == b""
        assert keep_alive - 0.01 <= time.monotonic() - began < keep_alive + 3


async def test_head_that_begins_on_a_kept_connection() -> None:
    """A head that began has its own deadline, not the one of a connection that nobody uses."""
    limits = ClientLimits(header_timeout=0.5, keep_alive=60)
    async with serving(app, limits=limits) as url, RawClient(url) as client:
        await client.ask("GET", "/")
        assert (await client.response()).body == b"ok"
        await client.send(b"GET / HT")
        began = time.monotonic()
        assert (await client.response()).status == 408
        assert 0.4 < time.monotonic() - began < 5


@pytest.mark.parametrize("keep_alive", [60, 0.0001], ids=["", "due at once"])
@pytest.mark.parametrize("run", [asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
def test_head_that_begins_with_the_end_of_a_late_body(
    run: Callable[[Coroutine[Any, Any, None]], None], keep_alive: float
) -> None:
    """So has one of which the first bytes come in one read with what was still to come of a body, in either loop."""

    async def ask() -> None:
        limits = ClientLimits(header_timeout=0.5, keep_alive=keep_alive)
        async with serving(app, limits=limits) as url, RawClient(url) as client:
            await client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n")
            assert (await client.response()).body == b"ok"
            await client.send(b"0123456789GET / HT")
            began = time.monotonic()
            assert (await client.response()).status == 408
            assert 0.4 < time.monotonic() - began < 5

    run(ask())


async def test_head_that_begins_before_an_answer() -> None:
    """A head that began while a request was answered is waited for as long as any, though idle connections are not."""
    go = asyncio.Event()
    asked: list[Scope] = []

    @alive
    async def slow(scope: Scope, receive: Receive, send: Send) -> None:
        asked.append(scope)
        await go.wait()
        await app(scope, receive, send)

    async with serving(slow, limits=ClientLimits(header_timeout=30, keep_alive=0.1)) as url, RawClient(url) as client:
        await client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\nGET / HT")
        await eventually(lambda: asked)
        go.set()
        assert (await client.response()).body == b"ok"
        await asyncio.sleep(0.5)
        await client.send(b"TP/1.1\r\nHost: a\r\n\r\n")
        assert (await client.response()).body == b"ok"


@pytest.mark.parametrize("kept", [True, False])
async def test_c14_request_that_has_come_is_answered(kept: bool) -> None:
    """C14: a connection that is to end, with a request that came in the same moment, ends after the answer to it."""
    server = Server(app, None, Drain(0, 1), handle_signals=False)
    listener = listen("127.0.0.1", 0)
    task = asyncio.create_task(server.serve(sockets=[listener]))
    await server.listening.wait()
    async with RawClient(f"http://{address(listener)}") as client:
        await eventually(lambda: server.server_state.connections)
        (connection,) = server.server_state.connections
        if kept:
            await client.ask("GET", "/")
            assert (await client.response()).body == b"ok"
        await client.ask("GET", "/")
        connection.shutdown()  # nothing was read in between, for nothing was waited for
        assert (await client.response()).body == b"ok"
        connection.shutdown()
        assert await client.read_to_end() == b""
    server.stop()
    await task


async def test_c14_thrown_away_bytes_keep_no_connection() -> None:
    """C14, K1: what a client that was refused still sends does not hold the end up."""
    server = Server(app, None, Drain(0, 1), handle_signals=False)
    listener = listen("127.0.0.1", 0)
    task = asyncio.create_task(server.serve(sockets=[listener]))
    await server.listening.wait()
    async with RawClient(f"http://{address(listener)}") as client:
        await client.send(b"nonsense\r\n\r\n")
        assert (await client.response()).status == 400
        (connection,) = server.server_state.connections
        await client.send(b"more")
        connection.shutdown()
        await eventually(lambda: not server.server_state.connections, within=2)
    server.stop()
    await task


@pytest.mark.parametrize("size", [2, 4_000_000])
async def test_c14_answer_that_closes_is_no_reset(size: int) -> None:
    """C14, A17: an answer that ends its connection comes whole, is the last, and an end follows it, whatever came."""
    asked: list[Scope] = []

    async def closing(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await app(scope, receive, send)
            return
        asked.append(scope)
        headers = [(b"connection", b"close"), (b"content-length", b"%d" % size)]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await client.ask("GET", "/")  # nothing reads it in between, for nothing is waited for
        await send({"type": "http.response.body", "body": bytes(size)})

    async with serving(closing) as url, RawClient(url, receive_buffer=4096) as client:
        await client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n" * 2)
        await eventually(lambda: asked)
        await client.send(bytes(16 * 1024 * 1024))
        assert len((await client.response()).body) == size
        assert await client.read_to_end() == b""
        assert len(asked) == 1


async def test_nothing_holds_a_connection_that_has_ended() -> None:
    """P5: what a connection held is free when it ends, not when the garbage is looked through."""
    server = Server(app, None, Drain(0, 1), handle_signals=False)
    listener = listen("127.0.0.1", 0)
    task = asyncio.create_task(server.serve(sockets=[listener]))
    await server.listening.wait()
    gc.disable()
    try:
        async with RawClient(f"http://{address(listener)}") as client:
            await client.ask("GET", "/")
            assert (await client.response()).body == b"ok"
            held = [weakref.ref(connection) for connection in server.server_state.connections]
        await eventually(lambda: [one() for one in held] == [None])
    finally:
        gc.enable()
    server.stop()
    await task
