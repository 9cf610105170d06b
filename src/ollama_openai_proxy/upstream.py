"""The backend: the only module that opens connections.

Foreign errors become ours here, by the table at the end. The seam is narrow on purpose: `open` a
call, `read` what arrives until it ends or fails, `close`.
"""

from __future__ import annotations

import asyncio
from types import SimpleNamespace, TracebackType
from typing import NamedTuple, Self

import aiohttp

from ollama_openai_proxy.errors import (
    ProxyError,
    UpstreamBroken,
    UpstreamError,
    UpstreamTimeout,
    UpstreamUnreachable,
)
from ollama_openai_proxy.translate.openai.errors import decode_error

_MAX_HEAD = 64 * 1024
_MAX_ERROR_BODY = 64 * 1024
_ERROR_BODY_SECONDS = 5.0
# Shorter than what servers keep (uvicorn and vLLM: 5 s), so that few die as we reuse them.
_IDLE_CONNECTION_SECONDS = 2.0
_DRAIN_SECONDS = 0.5


class Timeouts(NamedTuple):
    """Seconds. 0 is no limit, for `whole` and `stream`: the most a reply may take, asked for whole
    or as a stream. `first_byte` runs from the call, `idle` from the last byte."""

    connect: float = 5.0
    first_byte: float = 300.0
    idle: float = 120.0
    whole: float = 600.0
    stream: float = 0.0


class Call(NamedTuple):
    """A request to the backend. `model` is the client's name of it, for errors."""

    path: str
    body: bytes = b""
    model: str = ""
    streamed: bool = False


class Reply:
    """The backend's answer to a call: its status was 2xx, its body is still to come."""

    def __init__(self, response: aiohttp.ClientResponse, deadlines: _Deadlines) -> None:
        self.content_type = response.headers.get("Content-Type", "")
        self._response = response
        self._deadlines = deadlines
        self._read_any = response.content.readany
        deadlines.watch(response)

    async def read(self) -> bytes:
        """Return the next bytes, b"" at the end. Raises UpstreamError."""
        self._deadlines.wait()
        try:
            return await self._read_any()
        except aiohttp.ClientError as error:
            raise self._deadlines.passed or _translated(error) from None
        finally:
            self._deadlines.stop_waiting()

    async def drain(self) -> None:
        """Read what trails after the answer, briefly, so that the connection can be used again."""
        try:
            async with asyncio.timeout(_DRAIN_SECONDS):
                while await self._read_any():
                    pass
        except (aiohttp.ClientError, TimeoutError):
            self.close()

    def close(self) -> None:
        """Let go: at once, and of the connection too unless the body was read to its end."""
        self._deadlines.stop()
        self._response.close()


class _Deadlines:
    """One timer for a call: it looks, when it fires, whether anything came meanwhile.

    Moving a timer with every read would cost more than the read.
    """

    def __init__(self, timeouts: Timeouts, streamed: bool) -> None:
        self._loop = asyncio.get_running_loop()
        now = self._loop.time()
        total = timeouts.stream if streamed else timeouts.whole
        self._end = now + total if total else float("inf")
        # A reply that comes whole shows its first byte when all is done.
        self._first = timeouts.first_byte if streamed else max(timeouts.first_byte, total)
        self._idle = timeouts.idle
        self._next = now + self._first
        self._timer: asyncio.TimerHandle | None = None
        self._response: aiohttp.ClientResponse | None = None
        self.passed: UpstreamTimeout | None = None
        self._started = False

    def first_byte(self) -> asyncio.Timeout:
        return asyncio.timeout_at(min(self._next, self._end))

    def watch(self, response: aiohttp.ClientResponse) -> None:
        self._response = response
        self._timer = self._loop.call_at(min(self._next, self._end), self._check)

    def wait(self) -> None:
        """A read begins."""
        if self._started:
            self._next = self._loop.time() + self._idle

    def stop_waiting(self) -> None:
        """A read has ended. Until the next begins it is the client who takes its time."""
        self._started = True
        self._next = float("inf")

    def stop(self) -> None:
        if self._timer:
            self._timer.cancel()

    def _check(self) -> None:
        now = self._loop.time()
        deadline = min(self._next, self._end)
        if now < deadline:
            self._timer = self._loop.call_at(min(deadline, now + self._idle), self._check)
        elif self._response:
            self.passed = self.error()
            self._response.close()  # wakes the reader

    def error(self) -> UpstreamTimeout:
        """Return the error that tells which deadline has passed."""
        if self._loop.time() >= self._end:
            return UpstreamTimeout("the request exceeded its maximum duration", outcome="up_total_timeout")
        if self._started:
            return UpstreamTimeout("the upstream stopped sending", outcome="up_idle_timeout")
        return UpstreamTimeout("the upstream did not answer in time")


class Upstream:
    """A backend, by its base URL. Use it as a context manager: it owns a pool of connections."""

    def __init__(self, base_url: str, api_key: str, timeouts: Timeouts, *, user_agent: str) -> None:
        self.secrets = (api_key,) if api_key else ()
        self._base_url = base_url
        self._timeouts = timeouts
        self._headers = {
            "Content-Type": "application/json",
            "Accept-Encoding": "identity",
            "User-Agent": user_agent,
        }
        if api_key:
            self._headers["Authorization"] = f"Bearer {api_key}"

    async def __aenter__(self) -> Self:
        self._pooled = self._session(aiohttp.TCPConnector(limit=0, keepalive_timeout=_IDLE_CONNECTION_SECONDS))
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
        deadlines = _Deadlines(self._timeouts, call.streamed)
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
            raise UpstreamTimeout("the upstream did not answer in time") from None

    async def _fetch(self, call: Call, limit: int) -> bytes:
        reply = await self.open(call)
        body = bytearray()
        try:
            while read := await reply.read():
                body += read
                if len(body) > limit:
                    raise UpstreamBroken("the upstream's response is too large")
        finally:
            reply.close()
        return bytes(body)

    def _session(self, connector: aiohttp.TCPConnector) -> aiohttp.ClientSession:
        trace = aiohttp.TraceConfig()
        trace.on_connection_reuseconn.append(_note_reuse)
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

    async def _send(self, call: Call, deadlines: _Deadlines) -> aiohttp.ClientResponse:
        """Send the call; once more, on a fresh connection, when a reused one turns out to be dead."""
        trace = SimpleNamespace(reused=False)
        try:
            async with deadlines.first_byte():
                try:
                    return await self._request(self._pooled, call, trace)
                except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError):
                    if not trace.reused:
                        raise
                    return await self._request(self._fresh, call, trace)
        except aiohttp.ClientError as error:
            raise _translated(error) from None
        except TimeoutError:
            raise deadlines.error() from None

    async def _request(
        self, session: aiohttp.ClientSession, call: Call, trace: SimpleNamespace
    ) -> aiohttp.ClientResponse:
        return await session.request(
            "POST" if call.body else "GET",
            self._base_url + call.path,
            data=call.body or None,
            allow_redirects=False,
            trace_request_ctx=trace,
            headers={"Accept": "text/event-stream" if call.streamed else "application/json"},
        )

    async def _check(self, response: aiohttp.ClientResponse, call: Call) -> None:
        status = response.status
        if status >= 400:
            raise await self._refusal(response, call)
        if not 200 <= status < 300:
            raise UpstreamBroken("the upstream redirected; check its base URL")
        if response.headers.get("Content-Encoding", "identity").lower() != "identity":
            raise UpstreamBroken("unexpected content encoding from upstream")

    async def _refusal(self, response: aiohttp.ClientResponse, call: Call) -> ProxyError:
        body = bytearray()
        try:
            async with asyncio.timeout(_ERROR_BODY_SECONDS):
                while len(body) < _MAX_ERROR_BODY and (read := await response.content.readany()):
                    body += read
        except (aiohttp.ClientError, TimeoutError):
            pass  # the status says enough
        return decode_error(
            response.status,
            bytes(body[:_MAX_ERROR_BODY]),
            model=call.model,
            retry_after=response.headers.get("Retry-After"),
            secrets=self.secrets,
        )


async def _note_reuse(
    _session: aiohttp.ClientSession, context: SimpleNamespace, _params: aiohttp.TraceConnectionReuseconnParams
) -> None:
    context.trace_request_ctx.reused = True


def _translated(error: aiohttp.ClientError) -> UpstreamError:
    for kind, make, message, outcome in _ERRORS:
        if isinstance(error, kind):
            return make(message, outcome=outcome)
    return UpstreamBroken("invalid response from upstream")


# The first that fits counts: special ones come before the kinds they belong to.
_ERRORS: tuple[tuple[type[aiohttp.ClientError], type[UpstreamError], str, str], ...] = (
    (aiohttp.ClientConnectorDNSError, UpstreamUnreachable, "the upstream's name could not be resolved", "up_dns"),
    (aiohttp.ClientSSLError, UpstreamUnreachable, "the upstream's TLS could not be verified", "up_tls"),
    (aiohttp.ConnectionTimeoutError, UpstreamTimeout, "timed out connecting to the upstream", "up_connect_timeout"),
    (aiohttp.ClientConnectorError, UpstreamUnreachable, "the upstream refused the connection", "up_connect"),
    (aiohttp.ServerDisconnectedError, UpstreamUnreachable, "the upstream closed the connection", "up_reset"),
    (aiohttp.ClientPayloadError, UpstreamBroken, "the upstream closed the stream before finishing", "up_truncated"),
    (aiohttp.ClientOSError, UpstreamUnreachable, "the connection to the upstream was lost", "up_reset"),
    (aiohttp.ClientConnectionError, UpstreamBroken, "the upstream closed the stream before finishing", "up_truncated"),
)
