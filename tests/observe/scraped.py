"""What Prometheus would read, read by the parsers of its official client."""

from typing import Any

from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as text

from observe.metrics_worker import record
from ollama_openai_proxy.observe.metrics import Metrics

PREFIX = "ollama_proxy_"
OPENMETRICS = "application/openmetrics-text; version=1.0.0"


class Scraped:
    """The samples of one scrape. Names are without our prefix."""

    def __init__(self, body: bytes, content_type: str) -> None:
        parse = openmetrics if content_type.startswith("application/openmetrics-text") else text
        self.families: list[Metric] = list(parse(body.decode("utf-8")))
        self._samples: dict[str, dict[frozenset[tuple[str, str]], float]] = {}
        for family in self.families:
            for sample in family.samples:
                series = self._samples.setdefault(sample.name.removeprefix(PREFIX), {})
                labels = frozenset(sample.labels.items())
                assert labels not in series, f"{sample.name} {sample.labels} is there twice"
                series[labels] = sample.value

    @property
    def names(self) -> set[str]:
        return set(self._samples)

    def series(self, name: str) -> dict[frozenset[tuple[str, str]], float]:
        """All series of a name."""
        return self._samples.get(name, {})

    def value(self, name: str, **labels: str) -> float | None:
        """The value of the series with exactly these labels."""
        return self.series(name).get(frozenset(labels.items()))

    def labels(self, name: str, label: str) -> set[str]:
        """The values that a label has in the series of a name."""
        return {dict(labels)[label] for labels in self.series(name)}

    def total(self, name: str) -> float:
        return sum(self.series(name).values())

    def counted(self) -> dict[str, dict[frozenset[tuple[str, str]], float]]:
        """What the proxy counted itself: what is told of the process changes from one scrape to the next."""
        return {name: series for name, series in self._samples.items() if not name.startswith("process_")}


def scraped(metrics: Metrics, accept: str = "") -> Scraped:
    return Scraped(*metrics.render(accept))


def count(metrics: Metrics, **facts: Any) -> Scraped:
    """What is read after one exchange: a whole streamed answer but for these facts."""
    metrics.began()
    metrics.ended(record(**facts))
    return scraped(metrics)


def use_all(metrics: Metrics) -> None:
    """Give every figure a value."""
    count(metrics)
    count(metrics, outcome="up_idle_timeout", model='a"b\\c')
    count(metrics, outcome="client_abort", events=2, odd={"comment": 1, "no_delta": 1})
    metrics.upstream_attempted("backend")
    metrics.upstream_retried("backend", "stream_options")
    metrics.upstream_connected("backend", reused=False)
    metrics.upstream_retry_refused("backend")
    metrics.upstream_breaker("backend", "open")
    metrics.upstream_failed("backend", "up_5xx")
    metrics.upstream_up("backend", True)
    metrics.draining(True)
    metrics.cut()
    metrics.refused("bad_request")
    metrics.lag(0.002)
    metrics.queue_waited(0.1)
    metrics.memory_used(0.5)
    metrics.lines_dropped(1)
