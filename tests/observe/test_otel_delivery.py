"""A collector that is down, slow or refuses: nobody waits for it, and it costs one line."""

import logging
import time
from collections.abc import Iterator
from functools import partial

import pytest

from support.collector import Collector, collecting
from support.processes import eventually, free_port
from support.traced import run, tracing

OFTEN = {"OTEL_BSP_SCHEDULE_DELAY": "20"}
SECONDS = 20.0


@pytest.fixture
def collector() -> Iterator[Collector]:
    with collecting() as running:
        yield running


class Lines(logging.Handler):
    """What is written to the log."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> Iterator[list[logging.LogRecord]]:
    """All that is logged, of which each must be short, without a traceback and ours."""
    handler = Lines()
    logging.getLogger().addHandler(handler)
    with caplog.at_level(logging.INFO):
        yield handler.records
    logging.getLogger().removeHandler(handler)
    for record in handler.records:
        assert record.name == "ollama_openai_proxy.observe.otel"
        assert record.exc_info is None
        assert len(record.getMessage()) < 250
        assert "\n" not in record.getMessage()
        assert "canary" not in record.getMessage()


def said(lines: list[logging.LogRecord]) -> list[tuple[str, str]]:
    return [(record.levelname, record.getMessage()) for record in lines]


def test_refused_and_taken_again(
    monkeypatch: pytest.MonkeyPatch, collector: Collector, lines: list[logging.LogRecord]
) -> None:
    """One line when spans no longer arrive, and one when they do again, however many batches that takes.

    What the collector says in its answer is not repeated.
    """
    collector.status, collector.text = 401, b"no such key: sk-canary\n" * 100
    with tracing(monkeypatch, collector.url, **OFTEN) as tracer:
        for _ in range(3):
            before = len(collector.bodies)
            run(tracer)
            eventually(partial(collector.took_more_than, before), within=SECONDS)
        eventually(lambda: len(lines) == 1, within=SECONDS)
        collector.status = 200
        run(tracer)
        eventually(lambda: len(lines) == 2, within=SECONDS)
    assert said(lines) == [
        ("WARNING", "traces are not delivered: HTTP 401"),
        ("INFO", "traces are delivered again: 6 spans were lost"),
    ]
    assert len(collector.spans) == 2


def test_nobody_listens(monkeypatch: pytest.MonkeyPatch, lines: list[logging.LogRecord]) -> None:
    """A collector that is down costs one line, which says how it is down; the end waits no longer than it may."""
    settings = {**OFTEN, "OTEL_EXPORTER_OTLP_TIMEOUT": "2"}
    with tracing(monkeypatch, f"http://user:sk-canary@127.0.0.1:{free_port()}/sk-canary", **settings) as tracer:
        run(tracer)
        eventually(lambda: len(lines) > 0, within=SECONDS)
        run(tracer)
    assert said(lines[:1]) == [("WARNING", "traces are not delivered: ConnectionError")]
    assert len(lines) == 1


@pytest.mark.parametrize("status", [None, 503])
def test_end_with_a_collector_that_does_not_take(
    monkeypatch: pytest.MonkeyPatch, collector: Collector, lines: list[logging.LogRecord], status: int | None
) -> None:
    """The end of the process waits for a silent collector, or for one that says later, as long as it may."""
    if status:
        collector.status = status
    else:
        collector.answers.clear()
    with tracing(monkeypatch, collector.url) as tracer:
        run(tracer)
        begun = time.monotonic()
        tracer.close(0.3)
        # The exporter itself would take ten seconds and more.
        assert 0.3 <= time.monotonic() - begun < 3
    assert ("WARNING", "traces: not all spans were delivered before the end") in said(lines)
    assert len(collector.bodies) == 1
    assert collector.spans == []


def test_exchanges_do_not_wait(
    monkeypatch: pytest.MonkeyPatch, collector: Collector, lines: list[logging.LogRecord]
) -> None:
    """While the collector is silent exchanges end as ever; the spans that wait for it are limited."""
    collector.answers.clear()
    settings = {**OFTEN, "OTEL_BSP_MAX_QUEUE_SIZE": "8", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "4"}
    with tracing(monkeypatch, collector.url, **settings) as tracer:
        run(tracer)
        eventually(lambda: len(collector.bodies) > 0, within=SECONDS)
        for _ in range(100):
            run(tracer)
        assert len(collector.bodies) == 1
        collector.answers.set()
    assert len(collector.spans) <= 2 + 8 + 4
    assert lines
    assert all(message.startswith("traces: ") for _level, message in said(lines))
    assert len(lines) < 5


def test_the_end_delivers_what_is_left(
    monkeypatch: pytest.MonkeyPatch, collector: Collector, lines: list[logging.LogRecord]
) -> None:
    """No span is lost because the process ends between two deliveries."""
    with tracing(monkeypatch, collector.url, OTEL_BSP_SCHEDULE_DELAY="600000") as tracer:
        for _ in range(600):
            run(tracer)
    assert len(collector.spans) == 1200
    assert lines == []


@pytest.mark.parametrize(
    "settings",
    [
        {"OTEL_EXPORTER_OTLP_HEADERS": "Authorization Bearer sk-canary"},
        {"OTEL_RESOURCE_ATTRIBUTES": "sk-canary"},
        {"OTEL_TRACES_SAMPLER": "sk-canary"},
        {"OTEL_BSP_SCHEDULE_DELAY": "sk-canary"},
    ],
    ids=lambda settings: next(iter(settings)),
)
def test_malformed_settings(
    monkeypatch: pytest.MonkeyPatch,
    collector: Collector,
    lines: list[logging.LogRecord],
    settings: dict[str, str],
) -> None:
    """What OpenTelemetry says of a variable is a line without its value, which may be a key; the default holds."""
    with tracing(monkeypatch, collector.url, **settings) as tracer:
        run(tracer)
    assert lines
    assert len(collector.spans) == 2


def test_client_writes_no_lines(
    monkeypatch: pytest.MonkeyPatch, collector: Collector, lines: list[logging.LogRecord]
) -> None:
    """A tracestate makes no line of a log, whatever OpenTelemetry thinks of it."""
    parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    with tracing(monkeypatch, collector.url) as tracer:
        for state in ("1a=1", "a@b@c=1", "a@1=1", f"{'k' * 250}@dt=1"):
            run(tracer, traceparent=parent, tracestate=state)
    assert lines == []
    assert len(collector.spans) == 8


def test_other_logging_is_left_alone(monkeypatch: pytest.MonkeyPatch, collector: Collector) -> None:
    """When the tracer is closed, OpenTelemetry's lines go where they went before."""
    logger = logging.getLogger("opentelemetry")
    before = (logger.propagate, logger.handlers[:])
    with tracing(monkeypatch, collector.url):
        assert not logger.propagate
    assert (logger.propagate, logger.handlers) == before
