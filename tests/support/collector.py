"""A collector of OpenTelemetry's, scripted: OTLP over HTTP on a loopback socket, for spans."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span as WireSpan

KINDS = {WireSpan.SPAN_KIND_SERVER: "server", WireSpan.SPAN_KIND_CLIENT: "client"}


@dataclass
class Span:
    """A span that arrived. Ids are hex digits, times nanoseconds since 1970."""

    name: str
    kind: str
    trace_id: str
    span_id: str
    parent_id: str
    trace_state: str
    start: int
    end: int
    failed: bool
    message: str
    attributes: dict[str, Any]
    events: int
    resource: dict[str, Any]


@dataclass
class Collector:
    """What arrived, and how the next requests are answered."""

    url: str
    spans: list[Span] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    status: int = 200
    text: bytes = b""
    answers: threading.Event = field(default_factory=threading.Event)  # while it is not set, none is given

    @property
    def server(self) -> Span:
        """The only span of an exchange."""
        (span,) = [span for span in self.spans if span.kind == "server"]
        return span

    @property
    def client(self) -> Span:
        """The only span of a call."""
        (span,) = [span for span in self.spans if span.kind == "client"]
        return span

    def took_more_than(self, requests: int) -> bool:
        return len(self.bodies) > requests

    def take(self, headers: dict[str, str], body: bytes) -> tuple[int, bytes]:
        """Take a request; return status and text of the answer."""
        self.headers.append(headers)
        plain = gzip.decompress(body) if headers.get("content-encoding") == "gzip" else body
        self.bodies.append(plain)
        self.answers.wait()
        if self.status == 200:
            self.spans += decode(plain)
        return self.status, self.text


@contextmanager
def collecting() -> Iterator[Collector]:
    """Run a collector until the block ends."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as server:
        collector = Collector(f"http://127.0.0.1:{server.server_port}")
        collector.answers.set()
        server.collector = collector  # type: ignore[attr-defined]  # the way in that http.server leaves
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield collector
        finally:
            collector.answers.set()
            server.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 5.0

    def do_POST(self) -> None:
        collector: Collector = self.server.collector  # type: ignore[attr-defined]  # see collecting()
        body = self.rfile.read(int(self.headers["Content-Length"]))
        headers = {name.lower(): value for name, value in self.headers.items()} | {"path": self.path}
        status, text = collector.take(headers, body)
        try:
            self.send_response(status)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)
        except OSError:  # it did not wait for the answer
            self.close_connection = True

    def log_message(self, *arguments: object) -> None:
        """Say nothing."""


def decode(body: bytes) -> list[Span]:
    """Return the spans of a request."""
    request = ExportTraceServiceRequest.FromString(body)
    return [
        _span(span, _values(group.resource.attributes))
        for group in request.resource_spans
        for scope in group.scope_spans
        for span in scope.spans
    ]


def _span(span: WireSpan, resource: dict[str, Any]) -> Span:
    return Span(
        span.name,
        KINDS[span.kind],
        span.trace_id.hex(),
        span.span_id.hex(),
        span.parent_span_id.hex(),
        span.trace_state,
        span.start_time_unix_nano,
        span.end_time_unix_nano,
        span.status.code == 2,
        span.status.message,
        _values(span.attributes),
        len(span.events),
        resource,
    )


def _values(pairs: Iterable[KeyValue]) -> dict[str, Any]:
    return {pair.key: _value(pair.value) for pair in pairs}


def _value(value: AnyValue) -> Any:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [_value(each) for each in value.array_value.values]
    return getattr(value, kind) if kind else None
