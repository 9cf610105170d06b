"""Metrics: what Prometheus reads, as its official parsers read it."""

import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from observe.metrics_worker import record
from observe.scraped import OPENMETRICS, count, scraped
from ollama_openai_proxy.observe.metrics import Metrics
from ollama_openai_proxy.observe.metrics_labels import OUTCOMES

CHAT = {"front": "ollama", "route": "/api/chat"}
OF_MODEL = {"front": "ollama", "model": "m"}


@pytest.fixture
def metrics() -> Metrics:
    return Metrics(version="1.2.3")


def test_build_info(metrics: Metrics) -> None:
    """The versions of the proxy and of Python are labels."""
    python = ".".join(map(str, sys.version_info[:3]))
    assert scraped(metrics).value("build_info", version="1.2.3", python=python) == 1


def test_exchange(metrics: Metrics) -> None:
    """A whole streamed answer counts once in each figure, with its times in seconds."""
    after = count(metrics)
    assert after.value("exchanges_total", **CHAT, model="m", outcome="ok") == 1
    assert after.value("exchange_duration_seconds_count", **CHAT) == 1
    assert after.value("exchange_duration_seconds_sum", **CHAT) == pytest.approx(2.0)
    assert after.value("overhead_seconds_sum", **CHAT) == pytest.approx(0.002)
    assert after.value("time_to_first_token_seconds_sum", **OF_MODEL) == pytest.approx(0.5)
    assert after.value("time_per_output_token_seconds_sum", **OF_MODEL) == pytest.approx(0.01)
    assert after.value("input_tokens_total", model="m") == 7
    assert after.value("output_tokens_total", model="m") == 100


def test_buckets(metrics: Metrics) -> None:
    """An observation is in each bucket whose bound it does not exceed."""
    after = count(metrics)
    name = "time_to_first_token_seconds_bucket"
    assert after.value(name, **OF_MODEL, le="0.25") == 0
    assert after.value(name, **OF_MODEL, le="0.5") == 1
    assert after.value(name, **OF_MODEL, le="+Inf") == 1


@pytest.mark.parametrize("outcome", sorted(OUTCOMES))
def test_outcome(metrics: Metrics, outcome: str) -> None:
    """Each outcome of the closed list is its own label."""
    assert count(metrics, outcome=outcome).labels("exchanges_total", "outcome") == {outcome}


def test_unknown_values(metrics: Metrics) -> None:
    """What is not known has a label too: an outcome is the proxy's failure, a route is other, an API is none."""
    after = count(metrics, front="", route="", model="", known_model="", outcome="")
    assert after.value("exchanges_total", front="none", route="other", model="none", outcome="internal") == 1
    after = count(metrics, front="", route="", model="x", known_model="", outcome="made-up")
    assert after.value("exchanges_total", front="none", route="other", model="other", outcome="internal") == 1


def test_clients_do_not_make_series(metrics: Metrics) -> None:
    """10,000 names that clients made up are one series."""
    metrics.ended(record(model="made-up", known_model=""))
    lines = metrics.render("")[0].count(b"\n")
    for number in range(10_000):
        metrics.ended(record(model=f"made-up-{number}", known_model="", outcome="not_found"))
    after = scraped(metrics)
    assert metrics.render("")[0].count(b"\n") == lines + 1  # for the outcome
    assert after.value("exchanges_total", **CHAT, model="other", outcome="not_found") == 10_000


def test_models_have_a_limit(metrics: Metrics) -> None:
    """Of 10,000 models that a backend knows, the first 200 have series of their own, the rest is other."""
    for number in range(10_000):
        metrics.ended(record(model=f"model-{number}"))
    after = scraped(metrics)
    expected = {"other", *(f"model-{number}" for number in range(200))}
    for name in ("exchanges_total", "input_tokens_total", "output_tokens_total", "time_to_first_token_seconds_count"):
        assert after.labels(name, "model") == expected
    assert after.value("output_tokens_total", model="other") == 100 * 9_800


@pytest.mark.parametrize("model", ['a"b', "a\\b", "a\nb", "a\r\u2028\0b", "half \ud800", "模型:7b", "x" * 5000])
@pytest.mark.parametrize("accept", ["", OPENMETRICS])
def test_odd_model(metrics: Metrics, model: str, accept: str) -> None:
    """Whatever a backend calls a model, the text can be made and read, and the label is short."""
    count(metrics, model=model)
    (label,) = scraped(metrics, accept).labels("exchanges_total", "model")
    assert len(label) <= 128
    assert label[0] == model[0]


@pytest.mark.parametrize("given", [None, 0, -5, 10**400])
def test_odd_token_counts(metrics: Metrics, given: int | None) -> None:
    """A count of tokens that a backend did not give, or that can't be, counts as none: no sum is spoiled."""
    after = count(metrics, prompt_tokens=given, completion_tokens=given)
    assert after.series("input_tokens_total") == after.series("output_tokens_total") == {}
    assert after.series("time_per_output_token_seconds_count") == {}
    assert after.value("exchanges_in_flight") == 0
    assert count(metrics).value("output_tokens_total", model="m") == 100


@pytest.mark.parametrize(
    "facts",
    [{"completion_tokens": 1}, {"first_token": None, "last_token": None}, {"last_token": None}, {"streamed": False}],
)
def test_no_time_per_token(metrics: Metrics, facts: dict[str, Any]) -> None:
    """The time per token is of streamed answers of two tokens or more, whose times are known."""
    assert count(metrics, **facts).series("time_per_output_token_seconds_count") == {}


@pytest.mark.parametrize("facts", [{"first_token": None}, {"first_byte": None}, {"streamed": False}, {"status": 502}])
def test_no_time_to_first_token(metrics: Metrics, facts: dict[str, Any]) -> None:
    """The time to the first token is of streamed answers whose first token came."""
    assert count(metrics, **facts).series("time_to_first_token_seconds_count") == {}


def test_in_flight_and_queued(metrics: Metrics) -> None:
    """An exchange is in flight until its end, and queued while it waits for a place."""

    def now() -> tuple[float | None, float | None]:
        after = scraped(metrics)
        return after.value("exchanges_in_flight"), after.value("exchanges_queued")

    metrics.began()
    metrics.began()
    assert now() == (2, 0)
    metrics.queued(1)
    assert now() == (2, 1)
    metrics.queued(-1)
    metrics.queue_waited(0.3)
    metrics.ended(record())
    metrics.ended(record(asked=None, outcome="shed_full"))
    assert now() == (0, 0)
    assert scraped(metrics).value("queue_wait_seconds_sum") == 0.3
    assert scraped(metrics).value("queue_wait_seconds_bucket", le="0.5") == 1


@pytest.mark.parametrize("outcome", ["up_truncated", "up_idle_timeout", "up_midstream_error", "draining", "internal"])
def test_broken_stream(metrics: Metrics, outcome: str) -> None:
    """A stream is broken when it had begun and the upstream, a drain or the proxy ended it."""
    assert scraped(metrics).value("streams_broken_total", outcome=outcome) == 0
    after = count(metrics, outcome=outcome)
    assert after.value("streams_broken_total", outcome=outcome) == after.total("streams_broken_total") == 1
    assert after.value("streams_aborted_total") == 0


@pytest.mark.parametrize("facts", [{"first_byte": None}, {"streamed": False}, {"status": 502}, {"outcome": "ok"}])
def test_not_broken(metrics: Metrics, facts: dict[str, Any]) -> None:
    """What failed before it began is no broken stream: its answer is a status. Nor is what was not to be streamed."""
    assert count(metrics, **{"outcome": "up_reset", **facts}).total("streams_broken_total") == 0


def test_aborted_stream(metrics: Metrics) -> None:
    """A stream is aborted when the client leaves after its first byte, or takes nothing any more."""
    gone = {"client_gone": True}
    assert count(metrics, outcome="client_abort", first_byte=None, **gone).value("streams_aborted_total") == 0
    assert count(metrics, outcome="client_abort", **gone).value("streams_aborted_total") == 1
    after = count(metrics, outcome="client_timeout", **gone)
    assert after.value("streams_aborted_total") == 2
    assert after.total("streams_broken_total") == 0


def test_oddities(metrics: Metrics) -> None:
    """What was odd about a reply is counted under its closed names; what is none of these is not."""
    odd = {"comment": 3, "bad_utf8": 1, "no_delta": 2, "made-up": 5}
    after = count(metrics, events=7, odd=odd)
    assert after.value("sse_events_total") == 7
    assert after.labels("sse_skipped_total", "reason") == {"comment", "bad_utf8"}
    assert (after.value("sse_skipped_total", reason="comment"), after.total("sse_skipped_total")) == (3, 4)
    assert after.labels("chunk_anomaly_total", "kind") == {"no_delta"}
    assert after.value("chunk_anomaly_total", kind="no_delta") == 2


def test_upstream(metrics: Metrics) -> None:
    """What happens with an upstream is counted under its name, by closed lists."""
    metrics.upstream_attempted("b")
    metrics.upstream_attempted("b")
    for reason in ("stale_connection", "stream_options", "made-up"):
        metrics.upstream_retried("b", reason)
    metrics.upstream_retry_refused("b")
    metrics.upstream_breaker("b", "half-open")
    metrics.upstream_connected("b", reused=False)
    metrics.upstream_connected("b", reused=True)
    metrics.upstream_failed("b", "up_dns")
    metrics.upstream_failed("b", "made-up")
    after = scraped(metrics)
    assert after.value("upstream_attempts_total", upstream="b") == 2
    assert after.labels("upstream_retries_total", "reason") == {"stale_connection", "stream_options", "other"}
    assert after.value("retry_budget_exhausted_total", upstream="b") == 1
    assert after.value("upstream_breaker_state", upstream="b") == 1
    assert after.labels("upstream_connections_total", "use") == {"new", "reused"}
    assert after.labels("upstream_errors_total", "outcome") == {"up_dns", "internal"}


def test_upstream_up(metrics: Metrics) -> None:
    """Whether an upstream is up is what was seen last; of one that was not asked nothing is told."""
    assert scraped(metrics).series("upstream_up") == {}
    for up in (True, False, True):
        metrics.upstream_up("b", up)
        assert scraped(metrics).value("upstream_up", upstream="b") == up


def test_process(metrics: Metrics) -> None:
    """What the process tells of itself: drain, exchanges that it cut, late loops, lines dropped in all."""
    metrics.memory_used(0.25)
    metrics.draining(True)
    metrics.cut()
    metrics.cut(2)
    metrics.refused("connections")
    metrics.lag(0.25)
    metrics.lag(-0.1)
    for total in (3, 3, 10, 4):
        metrics.lines_dropped(total)
    after = scraped(metrics)
    assert after.value("memory_limit_used_ratio") == 0.25
    assert after.value("draining") == 1
    assert after.value("drain_cut_total") == 3
    assert after.value("connections_rejected_total", reason="connections") == 1
    assert after.value("connections_rejected_total", reason="write_timeout") == 0
    assert after.value("event_loop_lag_seconds_count") == 2
    assert after.value("event_loop_lag_seconds_sum") == 0.25
    assert after.value("log_lines_dropped_total") == 10
    metrics.draining(False)
    assert scraped(metrics).value("draining") == 0


def test_two_applications(metrics: Metrics) -> None:
    """Two applications in one process count apart."""
    other = Metrics(version="1.2.3")
    count(metrics)
    assert scraped(other).total("exchanges_total") == 0
    assert scraped(metrics).total("exchanges_total") == 1


def test_rendered_meanwhile(metrics: Metrics) -> None:
    """Another thread may render while exchanges end and new models come: nothing is missed."""
    stop = threading.Event()
    problems: list[float] = []

    def render() -> None:
        last = 0.0
        while not stop.is_set():
            now = scraped(metrics).total("exchanges_total")
            if now < last:
                problems.append(now)
            last = now

    thread = threading.Thread(target=render)
    thread.start()
    for number in range(2_000):
        metrics.ended(record(model=f"model-{number % 150}"))
    stop.set()
    thread.join()
    assert problems == []
    assert scraped(metrics).total("exchanges_total") == 2_000


def test_directory_needs_sharing(tmp_path: Path) -> None:
    """A directory of workers that this process does not count in is refused: its exchanges would be in no sum."""
    with pytest.raises(RuntimeError, match="share"):
        Metrics(version="1.2.3", workers_directory=tmp_path)
