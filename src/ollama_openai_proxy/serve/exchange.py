"""An exchange: the upstream is opened, its reply relayed, and let go. The only streaming code here."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from ollama_openai_proxy.errors import UpstreamError
from ollama_openai_proxy.observe.record import Record
from ollama_openai_proxy.translate.translator import Translator
from ollama_openai_proxy.upstream import Call, Reply, Upstream

# How long an answer that has its finish reason waits for a usage chunk that may never come.
FINISH_GRACE = 2.0

_STREAM_HEADERS = [(b"cache-control", b"no-cache"), (b"x-accel-buffering", b"no")]


class Exchange(Response):
    """The response of a handler that calls the upstream.

    The status line waits for the first output, so that whatever goes wrong before it is a status,
    raised as a ProxyError; what goes wrong later is a record in the stream. When the client leaves,
    in any phase, the upstream is closed at once.
    """

    def __init__(
        self, upstream: Upstream, call: Call, translator: Translator, record: Record, on_open: Callable[[], None]
    ) -> None:
        """`on_open` is called when the upstream has taken the call."""
        self._on_open = on_open
        self.background = None
        self.status_code = 200
        self._upstream = upstream
        self._call = call
        self._translator = translator
        self._record = record
        self._reply: Reply | None = None
        self._client_left = False
        self._started = False
        self._answered = False
        self._finish_by: float | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("an exchange runs in a task")
        watch = asyncio.create_task(self._watch(receive, task))
        try:
            await self._relay(send)
        except asyncio.CancelledError:
            if not self._client_left:
                raise
            task.uncancel()
            self._record.outcome = "client_abort"
        finally:
            watch.cancel()
            if self._reply:
                self._reply.close()

    async def _watch(self, receive: Receive, task: asyncio.Task[object]) -> None:
        """Cancel the relay when the client leaves."""
        while (await receive())["type"] != "http.disconnect":
            pass
        if not self._answered:  # servers say "disconnect" after the last byte, too
            self._client_left = True
            task.cancel()

    def _elapsed(self) -> int:
        return time.perf_counter_ns() - self._record.started

    async def _relay(self, send: Send) -> None:
        opened = self._elapsed()
        self._reply = reply = await self._upstream.open(self._call)
        self._on_open()
        self._translator.open(reply.content_type, opened)
        try:
            await self._stream(reply, send)
        except UpstreamError as error:
            if not self._started:
                raise
            self._record.outcome = error.outcome
            await self._send(send, self._translator.failed(error), last=True)
        else:
            await reply.drain()

    async def _stream(self, reply: Reply, send: Send) -> None:
        translator, begun = self._translator, False
        while True:
            read = await self._read(reply)
            out = translator.feed(read, self._elapsed()) if read else translator.close(self._elapsed())
            if translator.begun and not begun:
                begun = True
                reply.begin()
            done = translator.done
            if out or done:
                await self._send(send, out, last=done)
            if translator.failure:
                raise translator.failure
            if done:
                return

    async def _read(self, reply: Reply) -> bytes:
        """Return the next bytes, b"" when no more come or none need be waited for."""
        if not self._translator.finishing:
            return await reply.read()
        loop = asyncio.get_running_loop()
        if self._finish_by is None:
            self._finish_by = loop.time() + FINISH_GRACE
        try:
            async with asyncio.timeout_at(self._finish_by):
                return await reply.read()
        except (TimeoutError, UpstreamError):
            return b""  # the answer was whole, only its trailing facts are missing

    async def _send(self, send: Send, body: bytes, *, last: bool) -> None:
        if not self._started:
            self._started = True
            await send({"type": "http.response.start", "status": 200, "headers": self._head(len(body))})
        self._answered = last
        await send({"type": "http.response.body", "body": body, "more_body": not last})

    def _head(self, length: int) -> list[tuple[bytes, bytes]]:
        content_type = (b"content-type", self._translator.media_type.encode())
        if self._translator.streamed:
            return [content_type, *_STREAM_HEADERS]
        return [content_type, (b"content-length", b"%d" % length)]
