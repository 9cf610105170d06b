"""Watching what a client does not take."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from ollama_openai_proxy.serve.stall import StallWatch, reset, unsent
from support.waiting import eventually

LIMIT = 0.4


class Server(asyncio.Protocol):
    """A connection whose transport is watched."""

    def __init__(self) -> None:
        self.stalls = 0
        self.lost = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.watch = StallWatch(transport, LIMIT, self.stalled)

    def stalled(self) -> None:
        self.stalls += 1

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = True
        self.watch.end()

    def pause_writing(self) -> None:
        self.watch.full()

    def resume_writing(self) -> None:
        self.watch.free()


@asynccontextmanager
async def connected() -> AsyncIterator[tuple[Server, socket.socket]]:
    """A connection, and the socket of its client."""
    server, loop = Server(), asyncio.get_running_loop()
    listener = await loop.create_server(lambda: server, "127.0.0.1", 0)
    async with listener:
        with socket.socket() as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.setblocking(False)
            await loop.sock_connect(client, listener.sockets[0].getsockname())
            await eventually(lambda: hasattr(server, "transport"))
            yield server, client
            server.transport.abort()
            await eventually(lambda: server.lost)


def taken(client: socket.socket) -> int:
    """Take all that is there."""
    size = 0
    while part := client.recv(65_536):
        size += len(part)
    return size


async def test_t5_stalled() -> None:
    """T5: a client that takes nothing for so long is reset, once."""
    async with connected() as (server, client):
        server.transport.write(bytes(8_000_000))
        await eventually(lambda: server.lost)
        assert server.stalls == 1
        with pytest.raises(ConnectionResetError):
            taken(client)


async def test_t5_stalled_at_the_end() -> None:
    """T5: the same when nothing more comes, and the connection waits for its last bytes to be taken."""
    async with connected() as (server, _client):
        server.transport.set_write_buffer_limits(high=100_000_000)
        server.transport.write(bytes(8_000_000))
        server.transport.close()
        server.watch.begin()
        await eventually(lambda: server.lost)
        assert server.stalls == 1


async def test_c10_progress() -> None:
    """C10: who takes a little within the time is not stalled, be it that the system took it for him."""
    async with connected() as (server, client):
        server.transport.write(bytes(8_000_000))
        for _ in range(20):
            await asyncio.sleep(LIMIT / 5)
            before = unsent(server.transport)
            await eventually(lambda: client.recv(4096) and unsent(server.transport) < before)  # noqa: B023  # runs at once
        assert (server.stalls, server.lost) == (0, False)


async def test_nothing_is_watched_without_need() -> None:
    """What was sent and taken leaves no timer behind."""
    async with connected() as (server, client):
        loop = asyncio.get_running_loop()
        server.transport.write(bytes(8_000_000))
        left = 8_000_000
        while left:
            left -= len(await loop.sock_recv(client, 1_000_000))
        await asyncio.sleep(LIMIT)
        assert server.watch._timer is None
        assert (server.stalls, unsent(server.transport)) == (0, 0)


async def test_gone_already() -> None:
    """A connection that is gone has nothing to send, and can be reset once more."""
    async with connected() as (server, client):
        client.close()
        await eventually(lambda: server.lost)
        assert unsent(server.transport) == 0
        reset(server.transport)
