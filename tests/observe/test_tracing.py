"""The client's trace context when tracing is off, and what asks for tracing."""

import logging
import os
import re
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ollama_openai_proxy.observe.record import Record
from ollama_openai_proxy.observe.tracing import PassedOn, create_tracer, parse_traceparent, valid_tracestate

# The examples of W3C Trace Context.
TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = "b7ad6b7169203331"
VALID = f"00-{TRACE}-{PARENT}-01"

MALFORMED = {
    "no traceparent": "hello",
    "upper case": VALID.upper().replace("00-", "00-", 1),
    "trace id of zeros": f"00-{'0' * 32}-{PARENT}-01",
    "parent id of zeros": f"00-{TRACE}-{'0' * 16}-01",
    "version ff": f"ff-{TRACE}-{PARENT}-01",
    "version not hex": f"0x-{TRACE}-{PARENT}-01",
    "version of one digit": f"0-{TRACE}-{PARENT}-01",
    "trace id too short": f"00-{TRACE[1:]}-{PARENT}-01",
    "trace id too long": f"00-{TRACE}0-{PARENT}-01",
    "trace id not hex": f"00-{TRACE[1:]}g-{PARENT}-01",
    "parent id too short": f"00-{TRACE}-{PARENT[1:]}-01",
    "parent id too long": f"00-{TRACE}-{PARENT}0-01",
    "flags of one digit": f"00-{TRACE}-{PARENT}-1",
    "flags not hex": f"00-{TRACE}-{PARENT}-0.",
    "no flags": f"00-{TRACE}-{PARENT}",
    "other delimiter": VALID.replace("-", "_"),
    "more fields in version 00": f"{VALID}-what",
    "a dash at the end in version 00": f"{VALID}-",
    "more without a dash in a later version": f"cc-{TRACE}-{PARENT}-01.what",
    "two headers": f"{VALID},{VALID}",
    "two headers of a later version": f"cc-{TRACE}-{PARENT}-01-a,cc-{TRACE}-{PARENT}-01-b",
    "a line break": f"{VALID}\n",
    "a space before": f" {VALID}",
    "digits of another script": VALID.replace("1", "\N{ARABIC-INDIC DIGIT ONE}"),
    "too long": f"cc-{TRACE}-{PARENT}-01-{'a' * 1000}",
}

STATES = {
    "one member": "rojo=00f067aa0ba902b7",
    "several": "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE",
    "spaces around members": "rojo=1 , congo=2",
    "empty members": "rojo=1,,congo=2,",
    "a tenant": "fw529a3039@dt=FfAAAAAB",
    "any printable in a value": "a=!\"#$%&'()*+-./:;<>?@[]^_`{|}~ x",
    "32 members": ",".join(f"k{number}=v" for number in range(32)),
    "the longest key and value": f"{'k' * 256}={'v' * 256}",
}

BAD_STATES = {
    "nothing": "",
    "only spaces": " , ",
    "no value": "rojo",
    "empty value": "rojo=",
    "empty key": "=1",
    "upper case in a key": "Rojo=1",
    "equals in a value": "rojo=1=2",
    "a tab in a value": "rojo=1\t2",
    "not ASCII": "rojo=\N{LATIN SMALL LETTER E WITH ACUTE}",
    "a line break": "rojo=1\r\nx-evil: 1",
    "33 members": ",".join(f"k{number}=v" for number in range(33)),
    "a key twice": "rojo=1,congo=2,rojo=3",
    "too long a key": f"{'k' * 257}=v",
    "too long a value": f"k={'v' * 257}",
    "too long": ",".join(f"k{number}={'v' * 250}" for number in range(30)),
}

ON = {"OTEL_TRACES_EXPORTER": "otlp"}


def begin(traceparent: str | None, tracestate: str | None = None) -> tuple[str, dict[str, str]]:
    """What goes upstream when tracing is off: the trace's id, and headers."""
    trace = PassedOn().begin(Record("id-1"), traceparent, tracestate)
    headers = trace.call("chat")
    trace.end(Record("id-1"))
    assert len(dict(headers)) == len(headers)
    return trace.trace_id, dict(headers)


@pytest.mark.parametrize("value", MALFORMED.values(), ids=MALFORMED)
def test_malformed_traceparent_is_replaced(value: str) -> None:
    """A malformed traceparent is never passed on: a fresh one, not sampled, takes its place, without a tracestate."""
    assert parse_traceparent(value) is None
    trace_id, headers = begin(value, "rojo=1")
    assert headers.keys() == {"traceparent"}
    assert re.fullmatch(rf"00-{trace_id}-[0-9a-f]{{16}}-00", headers["traceparent"])
    assert re.fullmatch("[0-9a-f]{32}", trace_id)
    assert trace_id != TRACE


def test_fresh_ones_differ() -> None:
    """No two exchanges get the same fresh trace."""
    assert begin("hello")[0] != begin("hello")[0]


@pytest.mark.parametrize("flags", ["00", "01", "03", "ff"])
def test_traceparent_passes_unchanged(flags: str) -> None:
    """W3C: a proxy that takes no part in a trace sends both headers on as they are, whatever the flags."""
    value = f"00-{TRACE}-{PARENT}-{flags}"
    assert begin(value, "rojo=1 , congo=2") == (TRACE, {"traceparent": value, "tracestate": "rojo=1 , congo=2"})


@pytest.mark.parametrize("value", [f"cc-{TRACE}-{PARENT}-01", f"cc-{TRACE}-{PARENT}-01-what.the=future"])
def test_later_versions_pass_unchanged(value: str) -> None:
    """W3C: who only passes a context on does not mind its version, and a later one may be longer."""
    assert begin(value) == (TRACE, {"traceparent": value})


@pytest.mark.parametrize("absent", [None, ""])
def test_nothing_is_sent_for_nothing(absent: str | None) -> None:
    """Without a traceparent there is no trace, so a tracestate means nothing; and it costs nothing."""
    assert begin(absent, "rojo=1") == ("", {})
    tracer = PassedOn()
    assert tracer.begin(Record("a"), absent, None) is tracer.begin(Record("b"), absent, "rojo=1")


@pytest.mark.parametrize("value", STATES.values(), ids=STATES)
def test_tracestate(value: str) -> None:
    """W3C: what a tracestate may be, and it goes on unchanged."""
    assert valid_tracestate(value) == value
    assert begin(VALID, value)[1]["tracestate"] == value


@pytest.mark.parametrize("value", BAD_STATES.values(), ids=BAD_STATES)
def test_malformed_tracestate_is_dropped(value: str) -> None:
    """W3C: a tracestate that can't be parsed is left out, and does not harm the traceparent."""
    assert valid_tracestate(value) == ""
    assert begin(VALID, value) == (TRACE, {"traceparent": VALID})


@given(st.text() | st.from_regex(r"[0-9a-f]{2}-[0-9a-f]{30,34}-[0-9a-f]{15,17}-[0-9a-f]{2}(-.*)?"), st.text())
def test_no_line_breaks_go_on(traceparent: str, tracestate: str) -> None:
    """Whatever a client sends, what goes on is a traceparent and at most a tracestate, of printable ASCII."""
    trace_id, headers = begin(traceparent, tracestate)
    assert headers.keys() <= {"traceparent", "tracestate"}
    assert bool(trace_id) == bool(headers)
    for value in headers.values():
        assert value.isascii()
        assert value.isprintable() or "\t" in value
        assert len(value) <= 4096
    if headers and headers["traceparent"] != traceparent:
        assert headers.keys() == {"traceparent"}
        assert len(headers["traceparent"]) == 55


OFF = {
    "nothing": {},
    "none": {"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"},
    "empty values": {"OTEL_TRACES_EXPORTER": "", "OTEL_EXPORTER_OTLP_ENDPOINT": " "},
    "disabled": {**ON, "OTEL_SDK_DISABLED": "true"},
    "disabled, in capitals": {**ON, "OTEL_SDK_DISABLED": "TRUE"},
    "other signals only": {
        "OTEL_METRICS_EXPORTER": "otlp",
        "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "http://127.0.0.1:9",
    },
}

NOT_SPOKEN = {
    "unknown": ({"OTEL_TRACES_EXPORTER": "zipkin"}, "zipkin"),
    "unknown among known": ({"OTEL_TRACES_EXPORTER": "otlp,jaeger"}, "jaeger"),
    "gRPC": ({**ON, "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "grpc"),
    "gRPC for traces": (
        {**ON, "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "grpc", "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"},
        "grpc",
    ),
    "batches larger than their queue": ({**ON, "OTEL_BSP_MAX_QUEUE_SIZE": "5"}, "ValueError"),
}

ASKED = {
    "otlp": ON,
    "capitals": {"OTEL_TRACES_EXPORTER": "OTLP"},
    "console": {"OTEL_TRACES_EXPORTER": "console"},
    "both": {"OTEL_TRACES_EXPORTER": "otlp, console"},
    "Python's name": {"OTEL_TRACES_EXPORTER": "otlp_proto_http"},
    "an endpoint": {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"},
    "an endpoint for traces": {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:9/v1/traces"},
    "not disabled": {**ON, "OTEL_SDK_DISABLED": "1"},
    "console, whatever the protocol": {"OTEL_TRACES_EXPORTER": "console", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"},
    "the protocol for traces goes first": {
        **ON,
        "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/protobuf",
        "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc",
    },
}


def is_off(monkeypatch: pytest.MonkeyPatch, settings: dict[str, str]) -> bool:
    for name in [name for name in os.environ if name.startswith("OTEL_")]:
        monkeypatch.delenv(name)
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    tracer = create_tracer(os.environ, version="1", upstream_host="backend.example", environment="test")
    tracer.close(5)
    return isinstance(tracer, PassedOn)


@pytest.mark.parametrize("settings", OFF.values(), ids=OFF)
def test_off(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, settings: dict[str, str]) -> None:
    """Traces are made only if the standard variables ask for traces."""
    with caplog.at_level(logging.DEBUG):
        assert is_off(monkeypatch, settings)
    assert caplog.messages == []


@pytest.mark.parametrize(("settings", "word"), NOT_SPOKEN.values(), ids=NOT_SPOKEN)
def test_off_with_a_warning(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, settings: dict[str, str], word: str
) -> None:
    """What can't be done costs one warning, not the start: a cluster may inject the variables into everything."""
    assert is_off(monkeypatch, settings)
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert word in record.getMessage()
    assert record.exc_info is None
    assert logging.getLogger("opentelemetry").propagate


@pytest.mark.parametrize("settings", ASKED.values(), ids=ASKED)
def test_asked_for(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, settings: dict[str, str]) -> None:
    """An exporter that is named asks for traces, and so does an address to send them to."""
    assert not is_off(monkeypatch, settings)
    assert caplog.messages == []


WITHOUT_THE_EXTRA = """
import logging, os, sys
sys.modules[{blocked!r}] = None
logging.basicConfig(format="%(levelname)s %(message)s", stream=sys.stdout)
from ollama_openai_proxy.observe.tracing import PassedOn, create_tracer
tracer = create_tracer(os.environ, version="1", upstream_host="backend.example", environment="test")
assert isinstance(tracer, PassedOn), tracer
tracer.close(1)
"""


@pytest.mark.parametrize(
    "blocked", ["opentelemetry", "opentelemetry.sdk", "opentelemetry.exporter.otlp.proto.http.trace_exporter"]
)
def test_without_the_extra(blocked: str) -> None:
    """Asked for, but OpenTelemetry is not installed, or not all of it: one line tells what to install."""
    lines = run(WITHOUT_THE_EXTRA.format(blocked=blocked), **ON).splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("WARNING ")
    assert "pip install 'ollama-openai-proxy[otel]'" in lines[0]


IMPORTED_WHEN_OFF = """
import sys
from ollama_openai_proxy.observe.tracing import create_tracer
create_tracer({}, version="1", upstream_host="backend.example", environment="test")
print([name for name in sys.modules if name.partition(".")[0] in ("opentelemetry", "requests", "google")])
"""


def test_off_imports_nothing() -> None:
    """Issue 3: no cost when off, so OpenTelemetry is not even loaded, though it is installed."""
    assert run(IMPORTED_WHEN_OFF) == "[]\n"


def run(code: str, **settings: str) -> str:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    done = subprocess.run(  # noqa: S603  # our own code
        [sys.executable, "-c", code],
        env={**environ, **settings},
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    assert done.stderr == ""
    return done.stdout
