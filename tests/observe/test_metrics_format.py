"""The formats of metrics, as official parsers and Prometheus' own linter judge them."""

import os
import shutil
import subprocess

import pytest

from observe.scraped import OPENMETRICS, Scraped, scraped, use_all
from ollama_openai_proxy.observe.metrics import Metrics

# In the manner of Prometheus 2 and 3: formats in the order of preference.
PROMETHEUS_2 = (
    "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
    "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
)
PROMETHEUS_3 = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,application/openmetrics-text;version=0.0.1;"
    "q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)


@pytest.fixture
def metrics() -> Metrics:
    return Metrics(version="1.2.3")


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        ("", "text/plain; version=0.0.4; charset=utf-8"),
        ("*/*", "text/plain; version=0.0.4; charset=utf-8"),
        ("text/plain;version=0.0.4", "text/plain; version=0.0.4; charset=utf-8"),
        ("text/html,application/xhtml+xml", "text/plain; version=0.0.4; charset=utf-8"),
        (OPENMETRICS, "application/openmetrics-text; version=1.0.0; charset=utf-8"),
        (PROMETHEUS_2, "application/openmetrics-text; version=1.0.0; charset=utf-8"),
        (PROMETHEUS_3, "application/openmetrics-text; version=1.0.0; charset=utf-8"),
    ],
)
def test_format(metrics: Metrics, accept: str, content_type: str) -> None:
    """G14: the format is the one that is asked for, text if nothing is, and the parser of that format reads it."""
    use_all(metrics)
    body, told = metrics.render(accept)
    assert told.startswith(content_type)
    assert Scraped(body, told).counted() == scraped(metrics).counted()
    assert body.endswith(b"# EOF\n") == told.startswith("application/openmetrics-text")


@pytest.mark.parametrize(
    "accept",
    [
        "application/openmetrics-text;version=abc",
        "application/openmetrics-text;version=2.<script>",
        "application/openmetrics-text;version=1.0.0;escaping=nonsense",
        f"text/plain;version={'9' * 5000}",
        "text/plain;version=x.y",
        ";,=;;version=,,\x00é",
    ],
)
def test_odd_accept(metrics: Metrics, accept: str) -> None:
    """An Accept header that makes no sense gets an answer too, and its nonsense is not repeated."""
    body, content_type = metrics.render(accept)
    assert Scraped(body, content_type).value("exchanges_in_flight") == 0
    assert content_type.startswith(("text/plain; version=0.0.4;", "application/openmetrics-text; version=1.0.0;"))
    assert "nonsense" not in content_type


def test_names(metrics: Metrics) -> None:
    """Every figure is there under its name."""
    use_all(metrics)
    ours = ("overhead", "queue_wait", "event_loop_lag")
    histograms = ("exchange_duration", "time_to_first_token", "time_per_output_token", *ours)
    assert scraped(metrics).names == {
        *("build_info", "exchanges_total", "input_tokens_total", "output_tokens_total"),
        *("exchanges_in_flight", "exchanges_queued", "upstream_attempts_total", "upstream_retries_total"),
        *("retry_budget_exhausted_total", "upstream_breaker_state"),
        *("upstream_errors_total", "upstream_connections_total", "upstream_up", "streams_broken_total"),
        *("streams_aborted_total", "draining", "drain_cut_total", "log_lines_dropped_total"),
        *("sse_events_total", "sse_skipped_total", "chunk_anomaly_total"),
        *("memory_limit_used_ratio", "connections_rejected_total"),
        *(f"{name}_seconds_{part}" for name in histograms for part in ("bucket", "count", "sum")),
        *("process_cpu_seconds_total", "process_resident_memory_bytes", "process_virtual_memory_bytes"),
        *("process_open_fds", "process_max_fds", "process_start_time_seconds", "python_info"),
    }


def promtool(body: bytes) -> subprocess.CompletedProcess[bytes]:
    command = ["promtool", "check", "metrics"]
    return subprocess.run(command, input=body, capture_output=True, timeout=30, check=False)  # noqa: S603  # on PATH


# Where CI is set nothing is skipped: a run without promtool would pass and have tested nothing.
@pytest.mark.skipif(not (shutil.which("promtool") or os.environ.get("CI")), reason="promtool is not installed")
def test_promtool(metrics: Metrics) -> None:
    """G14: Prometheus' own linter finds nothing to say about names, units, types and help texts."""
    use_all(metrics)
    checked = promtool(metrics.render("")[0])
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, b"", b"")
    assert promtool(b"# TYPE wrong counter\nwrong 1\n").stderr  # it does look
