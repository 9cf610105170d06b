"""An exchange: the upstream is opened, its reply relayed, and let go. The only streaming code here."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from ollama_openai_proxy.call import Call
from ollama_openai_proxy.errors import Draining, ProxyError, UpstreamError
from ollama_openai_proxy.observe.pulse import Pulse
from ollama_openai_proxy.serve.admission import Admission
from ollama_openai_proxy.serve.recorder import told
from ollama_openai_proxy.serve.relay import Relay
from ollama_openai_proxy.serve.stepping import Steps, Watch
from ollama_openai_proxy.translate.translator import Translator
from ollama_openai_proxy.upstream.client import Upstream
from ollama_openai_proxy.upstream.reply import Reply

# How long, at the end of the process, a client may take to take the record that tells why its stream ends.
LAST_WORDS = 2.0

_OPERATIONS = {
    "/completions": "text_completion",
    "/infill": "text_completion",
    "/fim/completions": "text_completion",
    "/embeddings": "embeddings",
}

OnOpen = Callable[[], Callable[[], None] | None]

_STREAM_HEADERS = [(b"cache-control", b"no-cache"), (b"x-accel-buffering", b"no")]


class Exchange(Response):
    """The response of a handler that calls the upstream.

    The status line waits for the first output, so that whatever goes wrong before it is a status,
    raised as a ProxyError; what goes wrong later is a record in the stream. When the client leaves,
    in any phase, the upstream is closed at once.
    """

    def __init__(
        self,
        upstream: Upstream,
        call: Call,
        translator: Translator,
        pulse: Pulse,
        *,
        admission: Admission,
        on_open: OnOpen,
    ) -> None:
        """`on_open` is called when the upstream has taken the call; what it returns, when all is over."""
        self._admission = admission
        self._leave: Callable[[], None] | None = None
        self._on_open = on_open
        self._on_end: Callable[[], None] | None = None
        self.background = None
        self.status_code = 200
        self._upstream = upstream
        self._call = call
        self._translator = translator
        self._pulse = pulse
        self._reply: Reply | None = None
        self._client_left = False
        self._started = False
        self._answered = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("an exchange runs in a task")
        self._task = task
        self._record = record = told(scope).record
        watch = Watch(receive, self._on_left)
        try:
            self._leave = self._admission.enter_at_once() or await self._admission.enter(scope)
            await self._relay(self._tied_call(scope), send)
        except asyncio.CancelledError:
            if self._client_left:
                task.uncancel()
                record.outcome, record.client_gone = _ended_by_client(scope), True
                record.status = record.status or 499
            elif self._answered:
                task.uncancel()  # what trails after a whole answer is not worth an error
            elif self._started:
                task.uncancel()
                with suppress(TimeoutError):
                    async with asyncio.timeout(LAST_WORDS):
                        await self._break_off(Draining(), send)
            else:
                raise
        except Exception:
            if self._started and not self._answered:
                await self._break_off(ProxyError("internal error"), send)
            raise
        finally:
            watch.close()
            self._conclude()

    def _tied_call(self, scope: Scope) -> Call:
        """Return the call, tied to the request whose id and trace it hands on."""
        record, trace, attempted = told(scope)
        record.upstream, record.streamed = self._upstream.name, self._translator.streamed
        headers = (("X-Request-Id", record.request_id), *trace.call(_OPERATIONS.get(self._call.path, "chat")))
        return self._call.tied(headers, attempted)

    async def _break_off(self, error: ProxyError, send: Send) -> None:
        """Tell in the stream why it ends."""
        self._record.outcome, self._record.error = error.outcome, type(error).__name__
        await self._send(send, self._translator.failed(error), last=True)

    def _conclude(self) -> None:
        if self._reply:
            self._reply.close()
        self._end()
        record, facts = self._record, self._translator.facts()
        record.prompt_tokens, record.completion_tokens = facts.usage.prompt_tokens, facts.usage.completion_tokens
        record.finish_reason, record.events = facts.finish_reason, facts.events
        if facts.odd:
            record.odd.update(facts.odd)
        if facts.first_token is not None and facts.last_token is not None:
            record.first_token = record.started + facts.first_token
            record.last_token = record.started + facts.last_token

    def _end(self) -> None:
        if self._leave:
            self._leave()
            self._leave = None
        if self._on_end:
            self._on_end()
            self._on_end = None

    def _on_left(self) -> None:
        """Cancel all when the client leaves."""
        if not self._answered:  # servers say so after the last byte, too
            self._client_left = True
            self._task.cancel()

    async def _relay(self, call: Call, send: Send) -> None:
        record, translator, opened = self._record, self._translator, time.perf_counter_ns()
        try:
            self._reply = reply = await self._upstream.open(call)
        finally:
            record.waited += time.perf_counter_ns() - opened
        self._on_end = self._on_open()
        translator.open(reply.content_type, opened - record.started)
        reply.follow(translator.progress)
        self._asgi_send = send
        try:
            await Relay(reply, translator, self._put, record, self._pulse).run()
        except UpstreamError as error:
            self._upstream.watcher.ended(call, error)
            if not self._started:
                raise
            await self._break_off(error, send)
        else:
            self._upstream.watcher.ended(call, None)
            reply.release()

    def _put(self, body: bytes, last: bool) -> Steps:
        if self._started and not last:
            return self._asgi_send({"type": "http.response.body", "body": body, "more_body": True})  # type: ignore[return-value]  # servers have coroutines
        return self._send(self._asgi_send, body, last=last)

    async def _send(self, send: Send, body: bytes, *, last: bool) -> None:
        if not self._started:
            await send({"type": "http.response.start", "status": 200, "headers": self._head(len(body))})
            self._started = True
        if last:
            self._answered = True
            self._end()  # before the client knows that it is over: what it asks next is to find it so
        await send({"type": "http.response.body", "body": body, "more_body": not last})

    def _head(self, length: int) -> list[tuple[bytes, bytes]]:
        content_type = (b"content-type", self._translator.media_type.encode())
        if self._translator.streamed:
            return [content_type, *_STREAM_HEADERS]
        return [content_type, (b"content-length", b"%d" % length)]


def _ended_by_client(scope: Scope) -> str:
    """Return the outcome of a client that left, or that took nothing for so long that the server left it."""
    return "client_timeout" if scope.get("stalled") else "client_abort"
