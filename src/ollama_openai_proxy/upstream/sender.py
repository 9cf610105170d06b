"""A call is sent, and sent again where nobody can have answered it: what is safe to repeat is decided here.

Safe is a call that found no connection, and one whose kept connection was dead before a byte came back. A fresh
connection that dies is not: the backend may have begun to generate.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from types import SimpleNamespace

import aiohttp

from ollama_openai_proxy.call import Call, Watcher
from ollama_openai_proxy.deadlines import Deadlines
from ollama_openai_proxy.errors import Busy, UpstreamUnreachable
from ollama_openai_proxy.limits import UpstreamLimits
from ollama_openai_proxy.upstream.connections import connect_within, connector, session, trusted
from ollama_openai_proxy.upstream.errors import NO_NAME, is_half_head, is_out_of_files, is_unconnected, translated
from ollama_openai_proxy.upstream.heads import REACHED
from ollama_openai_proxy.upstream.payload import payload
from ollama_openai_proxy.upstream.resolver import Lookup, Resolver
from ollama_openai_proxy.upstream.retries import Budget, pause


class Sender:
    """Sends calls to one backend. It owns the connections to it, from `open` to `close`."""

    def __init__(
        self,
        base_url: str,
        headers: dict[str, str],
        connect_seconds: float,
        limits: UpstreamLimits,
        watcher: Watcher,
        *,
        lookup: Lookup,
        on_connected: Callable[[], None],
    ) -> None:
        """`headers` go with every call. `on_connected` is called when a connection came about."""
        self._base_url = base_url
        self._root_url = base_url.removesuffix("/v1")
        self._headers = headers
        self._connect_seconds = connect_seconds
        self._limit = connect_within(connect_seconds)
        self._limits = limits
        self._watcher = watcher
        self._on_connected = on_connected
        self._resolver = Resolver(lookup)
        self._budget = Budget(limits.retry.budget, time.monotonic)

    async def open(self) -> None:
        trace = aiohttp.TraceConfig()
        trace.on_connection_reuseconn.append(self._note_reuse)
        trace.on_connection_create_end.append(self._note_connection)
        self._trust = trust = trusted(self._base_url)
        pooled = connector(self._resolver, trust, self._limits.keep_alive)
        self._pooled = session(pooled, self._headers, trace)
        self._fresh = session(connector(self._resolver, trust, 0), self._headers, trace)

    async def close(self) -> None:
        await self._pooled.close()
        await self._fresh.close()
        await self._resolver.close()

    async def send(self, call: Call, deadlines: Deadlines) -> aiohttp.ClientResponse:
        """Return the head of an answer, whatever it is. Raises UpstreamError, and Busy when no connection can be
        opened for want of file descriptors."""
        try:
            async with deadlines.first_byte():
                return await self._try(call)
        except aiohttp.ClientError as error:
            if is_out_of_files(error):
                raise Busy("the server has too many connections open", retry_after=1) from None
            tls, reached = self._trust is not None, REACHED.get(False)
            raise translated(error, in_lookup=self._resolver.hangs, tls=tls, reached=reached) from None
        except TimeoutError:
            raise deadlines.passed() from None
        except UnicodeError:  # of a host that can't be a name
            raise UpstreamUnreachable(NO_NAME, outcome="up_dns") from None

    async def answers(self, call: Call) -> bool:
        """Whether the call, sent once on a connection of its own, is answered as fast as connections have to be."""
        try:
            async with asyncio.timeout(self._connect_seconds):
                response = await self._request(self._fresh, call, SimpleNamespace(reused=False), self._limit)
        except (aiohttp.ClientError, UpstreamUnreachable, TimeoutError, UnicodeError):
            return False
        response.close()
        return True

    def count(self) -> None:
        """A call is about to be sent for the first time: it pays for repeats."""
        self._budget.called()

    def may_repeat(self) -> bool:
        """Whether the budget has something for a repeat. If so it is spent."""
        if self._budget.spend():
            return True
        self._watcher.retry_refused()
        return False

    async def _try(self, call: Call) -> aiohttp.ClientResponse:
        """Send the call: once more, on a fresh connection, when a reused one turns out to be dead; and after a pause
        where no connection came about, all within the time that connections have."""
        http, limit, repeats = self._pooled, self._limit, 0
        began = time.monotonic()
        while True:
            trace = SimpleNamespace(reused=False)
            try:
                return await self._request(http, call, trace, limit)
            except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError) as error:
                if trace.reused and not is_half_head(error):
                    self._watcher.retried("stale_connection")
                    http, began = self._fresh, time.monotonic()
                    continue
                wait = pause(repeats)
                left = began + self._connect_seconds - time.monotonic() - wait
                if not is_unconnected(error) or repeats >= self._limits.retry.connect or left <= 0:
                    raise
                if not self.may_repeat():
                    raise
            await asyncio.sleep(wait)
            limit, repeats = connect_within(left), repeats + 1
            self._watcher.retried("connect")

    async def _request(
        self, http: aiohttp.ClientSession, call: Call, trace: SimpleNamespace, limit: aiohttp.ClientTimeout
    ) -> aiohttp.ClientResponse:
        self._watcher.attempted()
        call.on_attempt()
        REACHED.set(False)
        return await http.request(
            "POST" if call.body else "GET",
            (self._root_url if call.rooted else self._base_url) + call.path,
            data=payload(call.body),
            allow_redirects=False,
            timeout=limit,
            trace_request_ctx=trace,
            headers=(("Accept", "text/event-stream" if call.streamed else "application/json"), *call.headers),
        )

    async def _note_reuse(
        self, _session: aiohttp.ClientSession, context: SimpleNamespace, _params: aiohttp.TraceConnectionReuseconnParams
    ) -> None:
        context.trace_request_ctx.reused = True
        self._watcher.connected(reused=True)

    async def _note_connection(
        self,
        _session: aiohttp.ClientSession,
        _context: SimpleNamespace,
        _params: aiohttp.TraceConnectionCreateEndParams,
    ) -> None:
        self._watcher.connected(reused=False)
        self._on_connected()
