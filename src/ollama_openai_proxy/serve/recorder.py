"""What is said of every request, as plain ASGI: its id, its log line, its figures and its spans.

It is the outermost edge of an exchange: what nobody foresaw ends here, and so does what the end of
the process cuts short.
"""

from __future__ import annotations

import asyncio
import logging
import re
import secrets
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ollama_openai_proxy.errors import Draining, ProxyError
from ollama_openai_proxy.observe.logs import log_exchange
from ollama_openai_proxy.observe.metrics import Metrics
from ollama_openai_proxy.observe.metrics_labels import ANOMALIES
from ollama_openai_proxy.observe.record import Record, request_id
from ollama_openai_proxy.observe.tracing import Trace, Tracer
from ollama_openai_proxy.serve.guard import who_answers
from ollama_openai_proxy.serve.headers import header, joined, named
from ollama_openai_proxy.serve.lifecycle import Lifecycle

OPERATIONS = frozenset({"/live", "/ready", "/health", "/metrics"})
_IDS = 64  # that are made at a time
_SANE_ID = re.compile(r"[\w.:/+=-]{1,128}", re.ASCII)
_log = logging.getLogger(__name__)


class Told(NamedTuple):
    """What an exchange tells of itself: by the record, by its trace, and by what it calls when the
    upstream is asked."""

    record: Record
    trace: Trace
    attempted: Callable[[], None]


def told(scope: Scope) -> Told:
    """Return what is told of the request."""
    found: Told = scope["told"]
    return found


def record_of(scope: Scope) -> Record:
    """Return the record of the request."""
    found: Told = scope["told"]
    return found.record


class Observers(NamedTuple):
    """Who is told of each exchange."""

    lifecycle: Lifecycle
    metrics: Metrics
    tracer: Tracer


class Recorder:
    """Gives each request a record, and tells it when the request has ended."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        observers: Observers,
        render: Callable[[Scope, ProxyError], Response],
        tell_added: bool = False,
    ) -> None:
        """`render` writes an error in the words of the API that was asked; `tell_added` adds a header."""
        self._app = app
        self._who_answers = who_answers(app)
        self._lifecycle, self._metrics, self._tracer = observers
        self._render = render
        self._tell_added = tell_added
        self._ids: list[str] = []  # that are still to be given to requests

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        record = self._begin(scope)
        noting = self._noting(record, send)
        if record.front == "operations":
            await self._answer(scope, receive, noting)
            if record.outcome == "auth":  # else keys could be tried there unseen
                self._metrics.began()
                self._end(record, scope, cut=False)
            return
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a request runs in a task")
        self._lifecycle.enter(task)
        self._metrics.began()
        try:
            await self._answer(scope, receive, noting)
        except asyncio.CancelledError:
            if not self._lifecycle.was_cut(task):
                raise
            task.uncancel()
            await self._fail(Draining(), scope, receive, noting)
        finally:
            cut = self._lifecycle.was_cut(task)
            self._lifecycle.leave(task)
            self._end(record, scope, cut=cut)

    def _begin(self, scope: Scope) -> Record:
        headers, path = named(scope), scope["path"]
        given = header(scope, b"x-request-id") if b"x-request-id" in headers else None
        known = given if given and _SANE_ID.fullmatch(given) else self._new_id()
        record = Record(known, scope["method"], path, "operations" if path in OPERATIONS else "ollama")
        parent = joined(scope, b"traceparent") if b"traceparent" in headers else None
        trace = self._tracer.begin(record, parent, joined(scope, b"tracestate") if parent else None)
        record.trace_id = trace.trace_id
        scope["told"] = Told(record, trace, record.attempted)
        request_id.set(record.request_id)
        return record

    def _new_id(self) -> str:
        """Return 32 hex digits. The system is asked for those of many requests at once."""
        if not self._ids:
            digits = secrets.token_hex(16 * _IDS)
            self._ids = [digits[start : start + 32] for start in range(0, len(digits), 32)]
        return self._ids.pop()

    def _noting(self, record: Record, send: Send) -> Send:
        sent, counts = record.sent, record.method != "HEAD"

        def note(message: Message) -> Awaitable[None]:
            if message["type"] != "http.response.body":
                return self._start(record, message, send)
            sent(len(message.get("body", b"")) if counts else 0)
            return send(message)

        return note

    async def _start(self, record: Record, message: Message, send: Send) -> None:
        message["headers"] = headers = [*message.get("headers", ()), (b"x-request-id", record.request_id.encode())]
        if self._lifecycle.closes:
            headers.append((b"connection", b"close"))
        if self._tell_added:
            headers.append((b"x-proxy-added-ms", b"%.3f" % (record.so_far() / 1e6)))
        await send(message)
        record.status = message["status"]

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        record = record_of(scope)
        try:
            await self._who_answers(scope)(scope, receive, send)
            # Handlers that say 403 tell their own outcome. The rules on origins and hosts do not: they
            # stand before another port's pages, too.
            record.outcome = record.outcome or ("auth" if record.status == 403 else "ok")
        except Exception as error:  # noqa: BLE001  # the outermost edge: nobody else answers
            _log.exception("internal error")
            record.error = type(error).__name__
            await self._fail(ProxyError("internal error"), scope, receive, send)

    async def _fail(self, error: ProxyError, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer with the error, unless there is an answer: then the server breaks its connection off."""
        record = record_of(scope)
        record.outcome = error.outcome
        if not record.status:
            await self._render(scope, error)(scope, receive, send)

    def _end(self, record: Record, scope: Scope, *, cut: bool) -> None:
        record.end()
        route = scope.get("route")
        record.route = route.path if route else ""
        log_exchange(record)
        if record.odd and (anomalies := {kind: count for kind, count in record.odd.items() if kind in ANOMALIES}):
            _log.info("the upstream's reply was odd", extra={"anomalies": anomalies})
        self._metrics.ended(record)
        if cut and record.outcome == Draining.outcome:  # not who was turned away before anything was asked
            self._metrics.cut()
        told(scope).trace.end(record)
