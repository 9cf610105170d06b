"""A call is sent, and sent again where nobody can have answered it: what is safe to repeat is decided here.

Safe is a call that found no connection, and one whose kept connection was dead before a byte came back. A fresh
connection that dies is not: the backend may have begun to generate.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping

from ollama_openai_proxy.call import Call, Watcher
from ollama_openai_proxy.deadlines import Deadlines, Timeouts
from ollama_openai_proxy.errors import UpstreamError
from ollama_openai_proxy.limits import UpstreamLimits
from ollama_openai_proxy.upstream.connection import Connection
from ollama_openai_proxy.upstream.dial import Dialer, Unconnected
from ollama_openai_proxy.upstream.pool import Pool
from ollama_openai_proxy.upstream.reply import Reply
from ollama_openai_proxy.upstream.request import Requests
from ollama_openai_proxy.upstream.retries import Budget, pause


class Sender:
    """Sends calls to one backend. It owns the connections to it, from `open` to `close`."""

    def __init__(
        self,
        base_url: str,
        headers: Mapping[str, str],
        connect_seconds: float,
        limits: UpstreamLimits,
        watcher: Watcher,
        *,
        dialer: Dialer,
        on_connected: Callable[[], None],
    ) -> None:
        """`headers` go with every call. `on_connected` is called when a connection came about."""
        self._requests = Requests(base_url, dialer.host, headers, prefix=dialer.prefix, more=dialer.headers)
        self._pool = Pool(dialer, limits.keep_alive)
        self._connect_seconds = connect_seconds
        self._limits = limits
        self._watcher = watcher
        self._on_connected = on_connected
        self._budget = Budget(limits.retry.budget, time.monotonic)

    async def close(self) -> None:
        await self._pool.close()

    async def send(self, call: Call, deadlines: Deadlines) -> Reply:
        """Return a reply that has begun, whatever it is. Raises UpstreamError, and Busy when no connection can be
        opened for want of file descriptors."""
        request = self._requests.head(call)
        connection = self._pool.take()
        if connection is not None:
            self._note(call)
            self._watcher.connected(reused=True)
            reply = await self._ask(connection, request, call, deadlines)
            if reply is not None:
                return reply
            self._watcher.retried("stale_connection")
        connection = await self._connect(call, deadlines)
        reply = await self._ask(connection, request, call, deadlines)
        if reply is None:
            raise RuntimeError("a fresh connection is not stale")
        return reply

    async def answers(self, call: Call) -> bool:
        """Whether the call, sent once on a connection of its own, is answered as fast as connections have to be."""
        seconds = self._connect_seconds
        deadlines = Deadlines(Timeouts(first_byte=seconds, stream=seconds), streamed=True)
        self._note(call)
        try:
            connection = await self._pool.make(seconds)
            self._connected()
            reply = await self._ask(connection, self._requests.head(call), call, deadlines)
        except (Unconnected, UpstreamError):
            return False
        if reply is not None:
            reply.close()
        return reply is not None

    def count(self) -> None:
        """A call is about to be sent for the first time: it pays for repeats."""
        self._budget.called()

    def may_repeat(self) -> bool:
        """Whether the budget has something for a repeat. If so it is spent."""
        if self._budget.spend():
            return True
        self._watcher.retry_refused()
        return False

    async def _ask(self, connection: Connection, request: bytes, call: Call, deadlines: Deadlines) -> Reply | None:
        """Send the call, and return the reply once it has begun: None if a kept connection turns out to be dead.

        Raises UpstreamError.
        """
        reused = connection.reused
        reply = Reply(connection, deadlines, max(self._limits.reply.whole, call.max_reply))
        connection.ask(request, call.body, reply)
        begun = False
        try:
            await reply.begun()
            begun = True
        except UpstreamError:
            if reused and reply.unheard:
                return None
            raise
        finally:
            if not begun:  # be it that somebody gave up in the moment in which it had
                reply.close()
        return reply

    async def _connect(self, call: Call, deadlines: Deadlines) -> Connection:
        """Return a new connection: after a pause where none came about, all within the time that connections have.

        Raises ProxyError.
        """
        repeats, now = 0, asyncio.get_running_loop().time
        end = now() + self._connect_seconds
        while True:
            self._note(call)
            by = deadlines.first_byte_by()
            try:
                connection = await self._pool.make(min(end, by) - now())
            except Unconnected as failed:
                if now() >= by:
                    raise deadlines.passed() from None
                wait = pause(repeats)
                if not failed.passing or repeats >= self._limits.retry.connect or now() + wait >= min(end, by):
                    raise failed.error from None
                if not self.may_repeat():
                    raise failed.error from None
            else:
                self._connected()
                return connection
            await asyncio.sleep(wait)
            repeats += 1
            self._watcher.retried("connect")

    def _note(self, call: Call) -> None:
        self._watcher.attempted()
        call.on_attempt()

    def _connected(self) -> None:
        self._watcher.connected(reused=False)
        self._on_connected()
