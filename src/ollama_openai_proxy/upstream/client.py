"""The backend: calls go out, replies come back. A reply is read by whoever opened it (reply.py)."""

from __future__ import annotations

import asyncio
import time
from types import TracebackType
from typing import Self

from ollama_openai_proxy.call import BreakerState, Call, Unwatched, Watcher
from ollama_openai_proxy.deadlines import Deadlines, Looks, Timeouts
from ollama_openai_proxy.errors import (
    Busy,
    ProxyError,
    UpstreamBroken,
    UpstreamError,
    UpstreamRefused,
    UpstreamTimeout,
    UpstreamUnavailable,
)
from ollama_openai_proxy.limits import UpstreamLimits
from ollama_openai_proxy.translate.openai import retry_after
from ollama_openai_proxy.translate.openai.errors import decode_error
from ollama_openai_proxy.upstream.breaker import Breaker
from ollama_openai_proxy.upstream.dial import Dialer
from ollama_openai_proxy.upstream.egress import Egress
from ollama_openai_proxy.upstream.errors import INVALID, TRANSPORT
from ollama_openai_proxy.upstream.heads import Head
from ollama_openai_proxy.upstream.reply import Reply
from ollama_openai_proxy.upstream.resolver import Lookup, ask_system
from ollama_openai_proxy.upstream.retries import LONGEST_WAIT, PATIENT, pause
from ollama_openai_proxy.upstream.sender import Sender

# While the breaker is open. A backend that is back is to be asked within a second.
_PROBE_SECONDS = 0.5


class Upstream:
    """A backend, by its base URL. Use it as a context manager: it owns a pool of connections."""

    name = "default"  # in logs and metrics: no more than that there is one

    def __init__(
        self,
        base_url: str,
        api_key: str,
        timeouts: Timeouts,
        limits: UpstreamLimits | None = None,
        *,
        user_agent: str,
        watcher: Watcher | None = None,
        lookup: Lookup = ask_system,
        egress: Egress | None = None,
    ) -> None:
        """`lookup` finds the addresses of the backend's name; `egress`: the proxy that leads there, if one does."""
        self._limits = limits = limits or UpstreamLimits()
        self.watcher = watcher = watcher or Unwatched()
        self.secrets = (api_key,) if api_key else ()
        self._timeouts = timeouts
        self._looks = Looks(timeouts)
        headers = {
            "Content-Type": "application/json",
            "Accept-Encoding": "identity",
            "User-Agent": user_agent,
        }
        if api_key:
            headers["Authorization"] = f"Bearer {api_key}"
        self._breaker = Breaker(limits.breaker, time.monotonic, self._breaker_changed)
        self._prober: asyncio.Task[None] | None = None
        connected = self._breaker.connected
        self._sender = Sender(
            base_url,
            headers,
            timeouts.connect,
            limits,
            watcher,
            dialer=Dialer(base_url, lookup, egress),
            on_connected=connected,
        )

    async def __aenter__(self) -> Self:
        self._looks = Looks(self._timeouts)  # another loop's timer would never fire in this one
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._prober:
            self._prober.cancel()
            await asyncio.wait((self._prober,))
        await self._sender.close()

    async def open(self, call: Call) -> Reply:
        """Send the call and return the reply, once its status is known to be 2xx.

        Raises ProxyError: the backend's own error, or that it could not be reached or understood.
        """
        try:
            try:
                return await self._open(call)
            except UpstreamRefused as error:
                if call.without_usage is None or "stream_options" not in error.message:
                    raise
                self.watcher.retried("stream_options")
                return await self._open(call._replace(body=call.without_usage()))
        except (UpstreamUnavailable, Busy):
            raise  # the backend has no part in it
        except ProxyError as error:
            self.watcher.ended(call, error)
            raise

    async def _open(self, call: Call) -> Reply:
        deadlines = Deadlines(self._timeouts, streamed=call.streamed, looks=self._looks)
        self._sender.count()
        breaker, light, repeats = self._breaker, not call.body, 0
        while True:
            tried = False if light else breaker.enter()
            try:
                reply = await self._sender.send(call, deadlines)
            except BaseException as error:
                self._unanswered(error, tried=tried, light=light)
                raise
            breaker.succeeded(light=light)
            try:
                if not reply.fine:
                    await self._check(reply, call)
                reply.unpack()
            except UpstreamRefused:
                reply.close()
                if not await self._is_again(reply, repeats, deadlines):
                    raise
            except BaseException:
                reply.close()
                raise
            else:
                return reply
            repeats += 1
            self.watcher.retried("status")

    async def fetch(self, call: Call, limit: int, seconds: float) -> bytes:
        """Return the whole body of the reply to a call. Raises ProxyError.

        `limit` is the most bytes that it may have, `seconds` the longest that it may take.
        """
        try:
            async with asyncio.timeout(seconds):
                return await self._fetch(call, limit)
        except TimeoutError:
            late = UpstreamTimeout("the upstream did not answer in time")
            self.watcher.ended(call, late)
            raise late from None

    async def _fetch(self, call: Call, limit: int) -> bytes:
        reply = await self.open(call)
        body = bytearray()
        try:
            while read := await reply.read():
                body += read
                if len(body) > limit:
                    raise UpstreamBroken("the upstream's response is too large")
        except UpstreamError as error:
            self.watcher.ended(call, error)
            raise
        finally:
            reply.close()
        self.watcher.ended(call, None)
        return bytes(body)

    def _unanswered(self, error: BaseException, *, tried: bool, light: bool) -> None:
        """Tell the breaker why a call has no answer."""
        if isinstance(error, UpstreamError) and error.outcome in TRANSPORT:
            self._breaker.failed(tried=tried, connected=error.outcome == "up_reset", light=light)
        else:
            self._breaker.left(tried=tried)

    async def _is_again(self, reply: Reply, repeats: int, deadlines: Deadlines) -> bool:
        """Whether to send the call again after this answer; wait for as long as it asks for, if it is not too long."""
        head = reply.head
        if head is None or head.status not in PATIENT or repeats >= self._limits.retry.status:
            return False
        asked = retry_after.seconds(head.headers, time.time())
        wait = pause(repeats) if asked is None else asked + pause(0)
        if wait > LONGEST_WAIT or asyncio.get_running_loop().time() + wait >= deadlines.first_byte_by():
            return False
        if not self._sender.may_repeat():
            return False
        await asyncio.sleep(wait)
        return True

    def _breaker_changed(self, state: BreakerState) -> None:
        self.watcher.breaker(state)
        if state == "open" and (self._prober is None or self._prober.done()):
            self._prober = asyncio.create_task(self._probe())

    async def _probe(self) -> None:
        """Look whether the backend is back, as long as nobody is sent to it: by its list, which costs nothing."""
        while self._breaker.pausing:
            await asyncio.sleep(_PROBE_SECONDS)
            if await self._sender.answers(Call("/models")):
                self._breaker.succeeded(light=True)
                return
            self._breaker.failed(light=True)

    async def _check(self, reply: Reply, call: Call) -> None:
        head = await reply.begun()
        if head.status >= 400:
            raise await self._refusal(reply, head, call)
        if 300 <= head.status < 400 and head.status != 304:
            raise UpstreamBroken("the upstream redirected; check its base URL")
        if head.status < 200:
            raise UpstreamBroken(INVALID)

    async def _refusal(self, reply: Reply, head: Head, call: Call) -> ProxyError:
        body, limits = bytearray(), self._limits.reply
        try:
            reply.unpack()
            async with asyncio.timeout(limits.error_seconds):
                while len(body) < limits.error and (read := await reply.read()):
                    body += read
        except (UpstreamError, TimeoutError):
            pass  # the status says enough
        return decode_error(
            head.status,
            bytes(body[: limits.error]),
            model=call.model,
            no_route=call.no_route,
            too_long=call.too_long,
            retry_after=retry_after.seconds(head.headers, time.time()),
            secrets=self.secrets,
        )
