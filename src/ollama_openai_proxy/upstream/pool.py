"""Connections to one backend: those in use, and those that wait for the next request."""

from __future__ import annotations

import asyncio
from collections import deque

from ollama_openai_proxy.upstream.connection import Connection
from ollama_openai_proxy.upstream.dial import Dialer


class Pool:
    """All connections to a backend. An idle one is kept for so many seconds: servers close theirs after a few, too.

    There is no limit: how many are in use is for whoever admits requests.
    """

    def __init__(self, dialer: Dialer, keep_alive: float) -> None:
        """`keep_alive`: seconds, 0 to keep none."""
        self._dialer = dialer
        self._keep_alive = keep_alive
        self._connections: set[Connection] = set()
        self._idle: deque[tuple[float, Connection]] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False

    def take(self) -> Connection | None:
        """Return the connection that was used last, of those that are there; None if there is none."""
        oldest = asyncio.get_running_loop().time() - self._keep_alive
        while self._idle:
            since, connection = self._idle.pop()
            if connection.lost or connection.transport.is_closing():
                continue
            if since >= oldest:
                return connection
            connection.abort()
        return None

    async def make(self, seconds: float) -> Connection:
        """Return a new connection, made within so many seconds. Raises Unconnected."""
        connection = await self._dialer.connect(self._new, seconds)
        if not connection.lost:
            self._connections.add(connection)
        return connection

    async def close(self) -> None:
        """Close all, also those in use."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        self._idle.clear()
        for connection in tuple(self._connections):
            connection.abort()
        await self._dialer.close()

    def _new(self) -> Connection:
        return Connection(self._freed, self._connections.discard)

    def _freed(self, connection: Connection) -> None:
        if self._closed or not self._keep_alive:
            connection.abort()
            return
        loop = asyncio.get_running_loop()
        self._idle.append((loop.time(), connection))
        if self._timer is None:
            self._timer = loop.call_later(self._keep_alive, self._look)

    def _look(self) -> None:
        """Close those that were idle for too long, and look again when the next may be."""
        self._timer = None
        loop, idle = asyncio.get_running_loop(), self._idle
        while idle:
            since, connection = idle[0]
            if since + self._keep_alive > loop.time() and not connection.lost:
                self._timer = loop.call_at(since + self._keep_alive, self._look)
                return
            idle.popleft()
            if not connection.lost:
                connection.abort()
