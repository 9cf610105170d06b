"""What /metrics shows, from the metrics of a proxy to which all has happened that is counted."""

from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from ollama_openai_proxy.observe.metrics import Metrics
from ollama_openai_proxy.observe.record import Record

MODEL = "some-model"
UPSTREAM = "some-upstream"


def busy_metrics(workers_directory: Path | None = None) -> Metrics:
    """Metrics in which each series has a sample."""
    metrics = Metrics(version="1.2.3", workers_directory=workers_directory)
    for outcome in ("ok", "up_reset", "client_abort"):
        metrics.began()
        metrics.ended(streamed(outcome))
    metrics.upstream_attempted(UPSTREAM)
    metrics.upstream_retried(UPSTREAM, "stale_connection")
    metrics.upstream_retry_refused(UPSTREAM)
    metrics.upstream_breaker(UPSTREAM, "open")
    metrics.upstream_failed(UPSTREAM, "up_reset")
    metrics.upstream_connected(UPSTREAM, reused=True)
    metrics.upstream_up(UPSTREAM, up=True)
    metrics.lag(0.001)
    metrics.queue_waited(0.1)
    return metrics


def streamed(outcome: str) -> Record:
    """A streamed answer of two tokens that ended in this way."""
    record = Record("some-id", front="ollama", route="/api/chat", model=MODEL, known_model=MODEL, upstream=UPSTREAM)
    record.status, record.outcome, record.streamed = 200, outcome, True
    record.prompt_tokens, record.completion_tokens = 3, 2
    record.events, record.odd = 2, {"comment": 1, "no_delta": 1}
    record.attempted()
    record.first_token = record.last_token = record.started + 10**9
    record.sent(100)
    return record


def exposed() -> dict[str, set[str]]:
    """Each series' name with the names of its labels, as Prometheus stores them: with what it adds itself."""
    body, _ = busy_metrics().render("text/plain")
    found: dict[str, set[str]] = {"up": {"job", "instance"}}
    for family in text_string_to_metric_families(body.decode()):
        for sample in family.samples:
            found.setdefault(sample.name, {"job", "instance"}).update(sample.labels)
    return found


def exposed_names() -> set[str]:
    return set(exposed())


def bounds(histogram: str) -> set[float]:
    """The upper bounds of a histogram's buckets."""
    body, _ = busy_metrics().render("text/plain")
    samples = [sample for family in text_string_to_metric_families(body.decode()) for sample in family.samples]
    return {float(sample.labels["le"]) for sample in samples if sample.name == f"{histogram}_bucket"}
