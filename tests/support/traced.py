"""Tracing as a test asks for it: with a collector, and with none of this process's own settings."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from ollama_openai_proxy.observe.record import Record
from ollama_openai_proxy.observe.tracing import PassedOn, Tracer, create_tracer

# Of W3C Trace Context's examples.
TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = "b7ad6b7169203331"
UPSTREAM = "https://backend.example/v1"


@contextmanager
def tracing(monkeypatch: pytest.MonkeyPatch, url: str = "", **settings: str) -> Iterator[Tracer]:
    """Set what the variables OTEL_* hold; yields the tracer, which has delivered all when the block has ended."""
    for name in [name for name in os.environ if name.startswith("OTEL_")]:
        monkeypatch.delenv(name)
    for name, value in ({"OTEL_EXPORTER_OTLP_ENDPOINT": url} | settings).items():
        monkeypatch.setenv(name, value)
    tracer = create_tracer(os.environ, version="1.2.3", upstream_host=UPSTREAM, environment="test")
    assert not isinstance(tracer, PassedOn)
    try:
        yield tracer
    finally:
        tracer.close(10)


def run(
    tracer: Tracer,
    *,
    traceparent: str | None = None,
    tracestate: str | None = None,
    operation: str = "chat",
    **facts: Any,
) -> dict[str, str]:
    """Take an exchange from its beginning to its end; return the headers for the upstream."""
    record = Record(request_id="id-1", method="POST", path="/api/chat", front="ollama")
    trace = tracer.begin(record, traceparent, tracestate)
    record.trace_id = trace.trace_id
    headers = trace.call(operation) if operation else ()
    for name, value in {"route": "/api/chat", "model": "tiny", "status": 200, "outcome": "ok", **facts}.items():
        setattr(record, name, value)
    record.end()
    trace.end(record)
    return dict(headers)
