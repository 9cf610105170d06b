"""Spans as a collector receives them, over real OTLP."""

import json
import time
from collections.abc import Iterator

import pytest
from opentelemetry import trace as global_trace
from opentelemetry.sdk.trace import TracerProvider

from ollama_openai_proxy.observe.record import Record
from support.collector import Collector, collecting
from support.traced import PARENT, TRACE, run, tracing


@pytest.fixture
def collector() -> Iterator[Collector]:
    with collecting() as running:
        yield running


def test_exchange(monkeypatch: pytest.MonkeyPatch, collector: Collector) -> None:
    """Issue 3: an exchange is a SERVER span, its call a CLIENT span below it; both tell what conventions ask for."""
    with tracing(monkeypatch, collector.url) as tracer:
        run(
            tracer,
            streamed=True,
            prompt_tokens=7,
            completion_tokens=5,
            finish_reason="stop",
            known_model="org/tiny",
            first_token=time.perf_counter_ns() + 2 * 10**9,
        )
    server, client = collector.server, collector.client
    assert (server.name, server.parent_id, server.failed) == ("POST /api/chat", "", False)
    assert server.attributes["http.route"] == "/api/chat"
    assert server.attributes["http.response.status_code"] == 200
    assert server.attributes["ollama_openai_proxy.request_id"] == "id-1"
    assert (client.name, client.parent_id, client.failed) == ("chat org/tiny", server.span_id, False)
    assert client.trace_id == server.trace_id
    assert client.attributes["server.address"] == "backend.example"
    assert client.attributes["server.port"] == 443
    assert client.attributes["gen_ai.usage.input_tokens"] == 7
    assert client.attributes["gen_ai.usage.output_tokens"] == 5
    assert client.attributes["gen_ai.response.finish_reasons"] == ["stop"]
    assert client.attributes["gen_ai.response.time_to_first_chunk"] >= 1
    assert len(collector.spans) == 2


def test_times(monkeypatch: pytest.MonkeyPatch, collector: Collector) -> None:
    """A span of an exchange is as long as its log line says; that of the call begins at the call."""
    with tracing(monkeypatch, collector.url) as tracer:
        record = Record("id-1", front="ollama", outcome="ok", status=200)
        trace = tracer.begin(record, None, None)
        before = time.perf_counter_ns() - record.started
        trace.call("chat")
        after = time.perf_counter_ns() - record.started
        record.sent(10)
        record.end()
        trace.end(record)
    server, client = collector.server, collector.client
    assert (server.start, server.end) == (record.arrived, record.arrived + record.duration)
    assert record.arrived + before <= client.start <= record.arrived + after
    assert client.end == server.end


def test_upstream_gets_the_calls_span(monkeypatch: pytest.MonkeyPatch, collector: Collector) -> None:
    """W3C: the header for the upstream names the span of the call, which was sampled."""
    with tracing(monkeypatch, collector.url) as tracer:
        headers = run(tracer)
    version, trace_id, span_id, flags = headers["traceparent"].split("-")
    assert (version, trace_id, span_id) == ("00", collector.client.trace_id, collector.client.span_id)
    assert int(flags, 16) & 1
    assert headers.keys() == {"traceparent"}


def test_clients_trace_goes_on(monkeypatch: pytest.MonkeyPatch, collector: Collector) -> None:
    """W3C: the client's trace is continued, and its tracestate goes on in its order."""
    with tracing(monkeypatch, collector.url) as tracer:
        headers = run(tracer, traceparent=f"00-{TRACE}-{PARENT}-01", tracestate="rojo=1 , congo=2")
    assert (collector.server.trace_id, collector.server.parent_id) == (TRACE, PARENT)
    assert headers["traceparent"] == f"00-{TRACE}-{collector.client.span_id}-01"
    assert headers["tracestate"] == "rojo=1,congo=2"
    assert collector.server.trace_state == "rojo=1,congo=2"


def test_later_version(monkeypatch: pytest.MonkeyPatch, collector: Collector) -> None:
    """W3C: of a later version the known parts are used, and our own version is sent."""
    with tracing(monkeypatch, collector.url) as tracer:
        headers = run(tracer, traceparent=f"cc-{TRACE}-{PARENT}-01-what")
    assert headers["traceparent"] == f"00-{TRACE}-{collector.client.span_id}-01"


@pytest.mark.parametrize(
    "traceparent", ["hello", f"00-{TRACE}-{'0' * 16}-01", f"00-{TRACE}-{PARENT}-01,00-{TRACE}-{PARENT}-01"]
)
def test_malformed_traceparent(monkeypatch: pytest.MonkeyPatch, collector: Collector, traceparent: str) -> None:
    """Issue 3, bad input: a malformed traceparent is replaced by a new trace, and its tracestate is dropped."""
    with tracing(monkeypatch, collector.url) as tracer:
        headers = run(tracer, traceparent=traceparent, tracestate="rojo=1")
    assert collector.server.parent_id == ""
    assert collector.server.trace_id not in (TRACE, "0" * 32)
    assert headers.keys() == {"traceparent"}
    assert TRACE not in headers["traceparent"]


@pytest.mark.parametrize(
    ("traceparent", "settings"),
    [(f"00-{TRACE}-{PARENT}-00", {}), (f"00-{TRACE}-{PARENT}-01", {"OTEL_TRACES_SAMPLER": "always_off"})],
)
def test_not_sampled(
    monkeypatch: pytest.MonkeyPatch, collector: Collector, traceparent: str, settings: dict[str, str]
) -> None:
    """What the client or the sampler does not want is not sent, and the upstream is told so."""
    with tracing(monkeypatch, collector.url, **settings) as tracer:
        headers = run(tracer, traceparent=traceparent)
    assert collector.spans == []
    version, trace_id, span_id, flags = headers["traceparent"].split("-")
    assert (version, trace_id, flags) == ("00", TRACE, "00")
    assert span_id != PARENT


def test_trace_id_of_the_log(monkeypatch: pytest.MonkeyPatch, collector: Collector) -> None:
    """The id for the log line is that of the spans."""
    with tracing(monkeypatch, collector.url) as tracer:
        record = Record("id-1", front="ollama", status=200, outcome="ok")
        trace = tracer.begin(record, None, None)
        trace.end(record)
    assert trace.trace_id == collector.server.trace_id


def test_no_call(monkeypatch: pytest.MonkeyPatch, collector: Collector) -> None:
    """An exchange that asked no upstream has one span."""
    with tracing(monkeypatch, collector.url) as tracer:
        run(tracer, operation="", status=404, outcome="not_found")
    assert [span.kind for span in collector.spans] == ["server"]
    assert not collector.server.failed
    assert "error.type" not in collector.server.attributes


def test_called_again(monkeypatch: pytest.MonkeyPatch, collector: Collector) -> None:
    """GenAI conventions: one span for the call with all its attempts."""
    with tracing(monkeypatch, collector.url) as tracer:
        record = Record("id-1", front="ollama", status=200, outcome="ok")
        trace = tracer.begin(record, None, None)
        assert trace.call("chat") == trace.call("chat")
        trace.end(record)
    assert len(collector.spans) == 2


def test_failure(monkeypatch: pytest.MonkeyPatch, collector: Collector) -> None:
    """A failure is an error of both spans, with the outcome as its type; there is no message and no event."""
    with tracing(monkeypatch, collector.url) as tracer:
        run(tracer, status=502, outcome="up_connect", error="UpstreamUnreachable")
    for span in collector.spans:
        assert span.failed
        assert span.attributes["error.type"] == "up_connect"
        assert (span.message, span.events) == ("", 0)
    assert len(collector.spans) == 2


def test_operations_have_no_spans(monkeypatch: pytest.MonkeyPatch, collector: Collector) -> None:
    """Probes and scrapes, every few seconds, are nobody's trace."""
    with tracing(monkeypatch, collector.url) as tracer:
        probe = Record("id-1", path="/live", front="operations", status=200)
        trace = tracer.begin(probe, f"00-{TRACE}-{PARENT}-01", None)
        trace.end(probe)
        assert trace.trace_id == ""
        run(tracer, operation="", front="operations", route="/health")
        run(tracer)
    assert [span.name for span in collector.spans if span.kind == "server"] == ["POST /api/chat"]


def test_resource(monkeypatch: pytest.MonkeyPatch, collector: Collector) -> None:
    """Spans say whose they are: service, version, environment, host and process."""
    with tracing(monkeypatch, collector.url) as tracer:
        run(tracer)
    resource = collector.server.resource
    assert resource["service.name"] == "ollama-openai-proxy"
    assert resource["service.version"] == "1.2.3"
    assert resource["deployment.environment.name"] == "test"
    assert {"host.name", "process.pid"} <= resource.keys()


def test_resource_of_the_operator(monkeypatch: pytest.MonkeyPatch, collector: Collector) -> None:
    """The standard variables go before what the proxy says of itself."""
    settings = {
        "OTEL_SERVICE_NAME": "llm-gateway",
        "OTEL_RESOURCE_ATTRIBUTES": "service.name=x,deployment.environment.name=blue,team=a%20b",
    }
    with tracing(monkeypatch, collector.url, **settings) as tracer:
        run(tracer)
    resource = collector.server.resource
    assert resource["service.name"] == "llm-gateway"
    assert resource["deployment.environment.name"] == "blue"
    assert resource["team"] == "a b"
    assert resource["service.version"] == "1.2.3"


def test_request_to_the_collector(monkeypatch: pytest.MonkeyPatch, collector: Collector) -> None:
    """OTLP over HTTP: its path, its type, the operator's headers and compression; it is not traced itself."""
    settings = {"OTEL_EXPORTER_OTLP_HEADERS": "x-key=abc", "OTEL_EXPORTER_OTLP_COMPRESSION": "gzip"}
    with tracing(monkeypatch, collector.url, **settings) as tracer:
        run(tracer)
    (headers,) = collector.headers
    assert headers["path"] == "/v1/traces"
    assert headers["content-type"] == "application/x-protobuf"
    assert headers["content-encoding"] == "gzip"
    assert headers["x-key"] == "abc"
    assert "traceparent" not in headers
    assert len(collector.spans) == 2


def test_console(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Spans on standard output are one JSON object a line, as all that stands there."""
    with tracing(monkeypatch, OTEL_TRACES_EXPORTER="console") as tracer:
        run(tracer, model="a\nb")
    client, server = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert client["name"] == "chat a\nb"
    assert client["parent_id"] == f"0x{int(server['context']['span_id'], 16):016x}"


def test_no_global_state(monkeypatch: pytest.MonkeyPatch, collector: Collector) -> None:
    """The tracer is nobody else's: the process's global provider is not set."""
    with tracing(monkeypatch, collector.url):
        assert not isinstance(global_trace.get_tracer_provider(), TracerProvider)


def test_after_the_end(monkeypatch: pytest.MonkeyPatch, collector: Collector, caplog: pytest.LogCaptureFixture) -> None:
    """What ends after the tracer was closed has no spans and no lines; closing twice is no error."""
    caplog.set_level("INFO")
    with tracing(monkeypatch, collector.url) as tracer:
        record = Record("id-1", front="ollama")
        begun = tracer.begin(record, None, None)
        begun.call("chat")
        tracer.close(10)
        begun.end(record)
        valid = f"00-{TRACE}-{PARENT}-01"
        assert run(tracer, traceparent=valid) == {"traceparent": valid}
    assert collector.spans == []
    assert caplog.messages == []
