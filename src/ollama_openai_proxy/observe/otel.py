"""Traces by OpenTelemetry's SDK. Imported only when traces are asked for: the SDK is an extra.

What the variables OTEL_* say of samplers, batches, resources, addresses and keys is read by the SDK itself.
"""

from __future__ import annotations

import logging
import os
import re
import socket
import sys
import threading
import time
from collections.abc import Collection, Sequence
from contextlib import ExitStack
from http import HTTPStatus

from opentelemetry.context import Context
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter, SpanExporter, SpanExportResult
from opentelemetry.trace import (
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    TraceState,
    format_span_id,
    format_trace_id,
    set_span_in_context,
)

from ollama_openai_proxy.observe import spans
from ollama_openai_proxy.observe.record import Record
from ollama_openai_proxy.observe.tracing import (
    UNTRACED,
    Headers,
    PassedOn,
    Trace,
    parse_traceparent,
    valid_tracestate,
)

_NAME = "ollama-openai-proxy"
_PLACE = re.compile(r"%[-.\d]*[a-z]")

_log = logging.getLogger(__name__)


def create(exporters: Collection[str], *, version: str, upstream_host: str, environment: str) -> OtelTracer:
    """Return a tracer of its own: the SDK's global one is left to whoever else wants it."""
    with ExitStack() as undo:
        sdk = SdkLines()
        undo.callback(sdk.close)
        known = OTELResourceDetector().detect().attributes
        about: dict[str, str | int] = {
            "service.name": _NAME,
            "service.version": version,
            "deployment.environment.name": environment,
            "host.name": socket.gethostname(),
            "process.pid": os.getpid(),
        }
        resource = Resource.create({name: value for name, value in about.items() if name not in known})
        provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        deliveries = [Delivery(_exporter(name), sdk) for name in sorted(exporters)]
        for delivery in deliveries:
            provider.add_span_processor(BatchSpanProcessor(delivery))
        tracer = OtelTracer(provider, deliveries, sdk, version, spans.address(upstream_host))
        undo.pop_all()
    return tracer


def _exporter(name: str) -> SpanExporter:
    if name == "console":
        return ConsoleSpanExporter(out=sys.stdout, formatter=lambda span: span.to_json(indent=None) + "\n")
    # Not at the top: the console needs the SDK alone.
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415  # see above

    return OTLPSpanExporter()


class SdkLines(logging.Handler):
    """What OpenTelemetry logs, made fit for our log: one short line each, without tracebacks.

    Nothing that a collector answered, a client sent or a variable holds is repeated, for there may be
    keys in it. Why a batch was not delivered is kept for the one line that `Delivery` writes.
    """

    def __init__(self) -> None:
        super().__init__()
        self.here = threading.local()  # `cause`, in threads that deliver
        self._logger = logging.getLogger("opentelemetry")
        self._logger.addHandler(self)
        self._logger.propagate = False

    def emit(self, record: logging.LogRecord) -> None:
        shown = [_shown(part) for part in record.args] if isinstance(record.args, tuple) else []
        if record.name.startswith("opentelemetry.exporter.") and hasattr(self.here, "cause"):
            self.here.cause = self.here.cause or next(filter(None, shown), "")
        # What is said in an exchange is for a client's making, as of its `tracestate`.
        elif not record.name.startswith(("opentelemetry.trace", "opentelemetry.attributes")):
            parts = iter(shown)
            _log.log(record.levelno, "traces: %.200s", _PLACE.sub(lambda _: next(parts, "") or "...", str(record.msg)))

    def close(self) -> None:
        self._logger.removeHandler(self)
        self._logger.propagate = not any(isinstance(handler, SdkLines) for handler in self._logger.handlers)
        super().close()


def _shown(part: object) -> str:
    """Return what may be repeated of an argument: a class, a status, a variable's name."""
    if isinstance(part, BaseException):
        return type(part).__name__
    if isinstance(part, int) and part in set(HTTPStatus):
        return f"HTTP {int(part)}"
    if isinstance(part, str) and (part in {status.phrase for status in HTTPStatus} or part.startswith("OTEL_")):
        return part
    return ""


class Delivery(SpanExporter):
    """An exporter that says once that spans do not arrive, and once that they do again."""

    def __init__(self, exporter: SpanExporter, sdk: SdkLines) -> None:
        self._exporter = exporter
        self._sdk = sdk
        self._lost = 0
        self._stopped = threading.Event()

    def export(self, batch: Sequence[ReadableSpan]) -> SpanExportResult:
        if self._stopped.is_set():
            return SpanExportResult.FAILURE
        self._sdk.here.cause = ""
        try:
            result = self._exporter.export(batch)
        except (OSError, ValueError) as error:  # of the network, and of what can't be encoded
            result = SpanExportResult.FAILURE
            self._sdk.here.cause = type(error).__name__
        if result is SpanExportResult.FAILURE:
            if not self._lost and not self._stopped.is_set():
                _log.warning(
                    "traces are not delivered: %s",
                    self._sdk.here.cause or "not taken within OTEL_EXPORTER_OTLP_TIMEOUT",
                )
            self._lost += len(batch)
        elif self._lost:
            _log.info("traces are delivered again: %d spans were lost", self._lost)
            self._lost = 0
        return result

    def shutdown(self) -> None:
        """Stop, even in the middle of a delivery."""
        if not self._stopped.is_set():
            self._stopped.set()
            self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return True


class OtelTracer:
    """Makes one span of each exchange, and one of its call of the upstream."""

    def __init__(
        self,
        provider: TracerProvider,
        deliveries: Sequence[Delivery],
        sdk: SdkLines,
        version: str,
        upstream: spans.Attributes,
    ) -> None:
        self._provider = provider
        self._deliveries = deliveries
        self._sdk = sdk
        self.upstream = upstream
        self.start_span = provider.get_tracer(_NAME, version).start_span
        self.closed = False

    def begin(self, record: Record, traceparent: str | None, tracestate: str | None) -> Trace:
        if record.front == "operations":
            return UNTRACED
        if self.closed:
            return PassedOn().begin(record, traceparent, tracestate)
        span = self.start_span(
            spans.server_name(record),
            _context(traceparent, tracestate),
            SpanKind.SERVER,
            spans.server_start(record),
            start_time=record.arrived,
        )
        return OtelTrace(self, record, span)

    def close(self, seconds: float) -> None:
        if self.closed:
            return
        self.closed = True
        # In a thread, for the SDK's own end takes as long as its last delivery, with all its retries.
        flush = threading.Thread(target=self._flush, name="last spans", daemon=True)
        flush.start()
        flush.join(seconds)
        if not flush.is_alive():
            return
        _log.warning("traces: not all spans were delivered before the end")
        for delivery in self._deliveries:
            delivery.shutdown()

    def _flush(self) -> None:
        self._provider.shutdown()
        self._sdk.close()


class OtelTrace:
    """The spans of an exchange."""

    __slots__ = ("_called", "_client", "_headers", "_operation", "_record", "_server", "_tracer", "trace_id")

    def __init__(self, tracer: OtelTracer, record: Record, server: Span) -> None:
        self.trace_id = format_trace_id(server.get_span_context().trace_id)
        self._tracer = tracer
        self._record = record
        self._server = server
        self._client: Span | None = None
        self._called = 0
        self._headers: Headers = ()
        self._operation = ""

    def call(self, operation: str) -> Headers:
        if self._client is not None:  # a span is of the call with all its attempts
            return self._headers
        self._operation, self._called = operation, time.perf_counter_ns()
        self._client = self._tracer.start_span(
            spans.client_name(operation, self._record),
            set_span_in_context(self._server, Context()),
            SpanKind.CLIENT,
            {**spans.client_start(operation, self._record), **self._tracer.upstream},
            start_time=self._record.arrived + self._called - self._record.started,
        )
        context = self._client.get_span_context()
        traceparent = f"00-{self.trace_id}-{format_span_id(context.span_id)}-{context.trace_flags:02x}"
        self._headers = (("traceparent", traceparent),)
        if context.trace_state:
            self._headers = (*self._headers, ("tracestate", context.trace_state.to_header()))
        return self._headers

    def end(self, record: Record) -> None:
        if self._tracer.closed or record.front == "operations":
            return
        end = record.arrived + record.duration
        if (client := self._client) is not None and client.is_recording():
            client.update_name(spans.client_name(self._operation, record))
            client.set_attributes(spans.client_end(self._operation, record, record.asked or self._called))
            if spans.client_failed(record):
                client.set_status(Status(StatusCode.ERROR))
            client.end(max(end, record.arrived + self._called - record.started))
        server = self._server
        if server.is_recording():
            server.update_name(spans.server_name(record))
            server.set_attributes(spans.server_end(record))
            if spans.server_failed(record):
                server.set_status(Status(StatusCode.ERROR))
            server.end(end)


def _context(traceparent: str | None, tracestate: str | None) -> Context:
    """Return what the client's headers say, or that this is where the trace begins."""
    parent = parse_traceparent(traceparent) if traceparent else None
    if not parent:
        return Context()
    state = valid_tracestate(tracestate)
    remote = SpanContext(
        int(parent.trace_id, 16),
        int(parent.span_id, 16),
        is_remote=True,
        trace_flags=TraceFlags(int(parent.flags, 16) & 0b11),  # sampled, random: the others have no meaning yet
        trace_state=TraceState.from_header([state]) if state else None,
    )
    return set_span_in_context(NonRecordingSpan(remote), Context())
