"""The backend: calls go out, replies come back. A reply is read by whoever opened it (reply.py)."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace, TracebackType
from typing import Self

import aiohttp

from ollama_openai_proxy.call import Call, Unwatched, Watcher
from ollama_openai_proxy.deadlines import Deadlines, Timeouts
from ollama_openai_proxy.errors import (
    ProxyError,
    UpstreamBroken,
    UpstreamError,
    UpstreamRefused,
    UpstreamTimeout,
    UpstreamUnreachable,
)
from ollama_openai_proxy.limits import UpstreamLimits
from ollama_openai_proxy.translate.openai.errors import decode_error
from ollama_openai_proxy.upstream.errors import INVALID, NO_NAME, is_half_head, translated
from ollama_openai_proxy.upstream.reply import Reply

_MAX_HEAD = 64 * 1024


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
    ) -> None:
        self._limits = limits or UpstreamLimits()
        self.watcher = watcher or Unwatched()
        self.secrets = (api_key,) if api_key else ()
        self._base_url = base_url
        self._root_url = base_url.removesuffix("/v1")
        self._timeouts = timeouts
        self._headers = {
            "Content-Type": "application/json",
            "Accept-Encoding": "identity",
            "User-Agent": user_agent,
        }
        if api_key:
            self._headers["Authorization"] = f"Bearer {api_key}"

    async def __aenter__(self) -> Self:
        self._pooled = self._session(aiohttp.TCPConnector(limit=0, keepalive_timeout=self._limits.keep_alive))
        self._fresh = self._session(aiohttp.TCPConnector(limit=0, force_close=True))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._pooled.close()
        await self._fresh.close()

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
        except ProxyError as error:
            self.watcher.ended(call, error)
            raise

    async def _open(self, call: Call) -> Reply:
        deadlines = Deadlines(self._timeouts, streamed=call.streamed)
        response = await self._send(call, deadlines)
        try:
            await self._check(response, call)
        except BaseException:
            response.close()
            raise
        return Reply(response, deadlines)

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

    def _session(self, connector: aiohttp.TCPConnector) -> aiohttp.ClientSession:
        trace = aiohttp.TraceConfig()
        trace.on_connection_reuseconn.append(self._note_reuse)
        trace.on_connection_create_end.append(self._note_connection)
        return aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            timeout=aiohttp.ClientTimeout(total=None, connect=self._timeouts.connect),
            max_line_size=_MAX_HEAD,
            max_field_size=_MAX_HEAD,
            skip_auto_headers=("User-Agent", "Accept-Encoding"),
            headers=self._headers,
            trace_configs=[trace],
        )

    async def _send(self, call: Call, deadlines: Deadlines) -> aiohttp.ClientResponse:
        """Send the call; once more, on a fresh connection, when a reused one turns out to be dead."""
        trace = SimpleNamespace(reused=False)
        try:
            async with deadlines.first_byte():
                try:
                    return await self._request(self._pooled, call, trace)
                except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError) as error:
                    if not trace.reused or is_half_head(error):
                        raise
                    self.watcher.retried("stale_connection")
                    return await self._request(self._fresh, call, trace)
        except aiohttp.ClientError as error:
            raise translated(error) from None
        except TimeoutError:
            raise deadlines.passed() from None
        except UnicodeError:  # of a host that can't be a name
            raise UpstreamUnreachable(NO_NAME, outcome="up_dns") from None

    async def _request(
        self, session: aiohttp.ClientSession, call: Call, trace: SimpleNamespace
    ) -> aiohttp.ClientResponse:
        self.watcher.attempted()
        call.on_attempt()
        return await session.request(
            "POST" if call.body else "GET",
            (self._root_url if call.rooted else self._base_url) + call.path,
            data=call.body or None,
            allow_redirects=False,
            trace_request_ctx=trace,
            headers=(("Accept", "text/event-stream" if call.streamed else "application/json"), *call.headers),
        )

    async def _note_reuse(
        self, _session: aiohttp.ClientSession, context: SimpleNamespace, _params: aiohttp.TraceConnectionReuseconnParams
    ) -> None:
        context.trace_request_ctx.reused = True
        self.watcher.connected(reused=True)

    async def _note_connection(
        self,
        _session: aiohttp.ClientSession,
        _context: SimpleNamespace,
        _params: aiohttp.TraceConnectionCreateEndParams,
    ) -> None:
        self.watcher.connected(reused=False)

    async def _check(self, response: aiohttp.ClientResponse, call: Call) -> None:
        status = response.status
        if status >= 400:
            raise await self._refusal(response, call)
        if 300 <= status < 400 and status != 304:
            raise UpstreamBroken("the upstream redirected; check its base URL")
        if status < 200:
            raise UpstreamBroken(INVALID)
        if response.headers.get("Content-Encoding", "identity").lower() != "identity":
            raise UpstreamBroken("unexpected content encoding from upstream")

    async def _refusal(self, response: aiohttp.ClientResponse, call: Call) -> ProxyError:
        body, limits = bytearray(), self._limits.reply
        try:
            async with asyncio.timeout(limits.error_seconds):
                while len(body) < limits.error and (read := await response.content.readany()):
                    body += read
        except (aiohttp.ClientError, TimeoutError):
            pass  # the status says enough
        return decode_error(
            response.status,
            bytes(body[: limits.error]),
            model=call.model,
            no_route=call.no_route,
            too_long=call.too_long,
            retry_after=response.headers.get("Retry-After"),
            secrets=self.secrets,
        )
