"""The figures: what each is called, what it counts in which unit, and by which labels."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Literal, TypeVar

from prometheus_client import Counter, Gauge, Histogram
from prometheus_client.metrics_core import Metric

from ollama_openai_proxy.observe.metrics_labels import BREAKS, REFUSALS

PREFIX = "ollama_proxy_"

T = TypeVar("T", bound=Counter | Gauge | Histogram)

# Seconds. Each bucket is a series for each set of labels: where the model is one of them, they are few.
_DURATIONS = (0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)
_FIRST_TOKENS = (0.005, 0.025, 0.1, 0.25, 0.5, 1, 2, 5, 10, 30, 60, 120)
_PER_TOKEN = (0.001, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.2, 0.5, 1, 2)
_OVERHEADS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 1)
_QUEUE_WAITS = (0.01, 0.1, 0.5, 1, 2.5, 5, 10, 20, 30, 60)
_LAGS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1)


class Labelled(dict[tuple[str, ...], T]):
    """One figure by the values of its labels. Finding it here takes less time than `labels()`."""

    def __init__(self, labels: Callable[..., T]) -> None:
        super().__init__()
        self._labels = labels

    def __missing__(self, values: tuple[str, ...]) -> T:
        found = self[values] = self._labels(*values)
        return found


class Figures:
    """All figures that the proxy itself counts. Gauges are those of the workers that live."""

    def __init__(self) -> None:
        self._all: list[Counter | Gauge | Histogram] = []
        self._define_exchanges()
        self._define_streams()
        self._define_upstreams()
        self._define_process()

    def described(self) -> Iterator[Metric]:
        """Return each figure without its values."""
        for figure in self._all:
            yield from figure.describe()

    def collect(self) -> Iterator[Metric]:
        """Return each figure with the values of this process."""
        for figure in self._all:
            for family in figure.collect():
                # When each series began doubles the text, and several workers together can't tell it.
                family.samples = [sample for sample in family.samples if not sample.name.endswith("_created")]
                yield family

    def _define_exchanges(self) -> None:
        front_route = ("front", "route")
        text = (
            "Exchanges that ended, by outcome; `model` is one of the first 200 that the backend knows, other or none."
        )
        self.exchanges = Labelled(self._counter("exchanges_total", text, (*front_route, "model", "outcome")).labels)
        text = "Seconds from an exchange's arrival to its end, whatever its outcome; streams included."
        self.durations = Labelled(self._histogram("exchange_duration_seconds", text, _DURATIONS, front_route).labels)
        text = "Seconds of an exchange that the proxy added: neither waiting for the backend nor for the client."
        self.overheads = Labelled(self._histogram("overhead_seconds", text, _OVERHEADS, front_route).labels)
        text = "Tokens of prompts, as the backend counted them, of exchanges that ended."
        self.input_tokens = Labelled(self._counter("input_tokens_total", text, ("model",)).labels)
        text = "Tokens of answers, as the backend counted them, of exchanges that ended."
        self.output_tokens = Labelled(self._counter("output_tokens_total", text, ("model",)).labels)
        text = "Exchanges that were taken and have not ended, now."
        self.in_flight = self._gauge("exchanges_in_flight", text, "livesum")
        text = "Exchanges in flight that wait for a place among those for which the upstream is asked, now."
        self.queued = self._gauge("exchanges_queued", text, "livesum")
        text = "Seconds that exchanges waited for such a place, of those that had to wait, refused ones included."
        self.queue_waits = self._histogram("queue_wait_seconds", text, _QUEUE_WAITS)

    def _define_streams(self) -> None:
        labels = ("front", "model")
        text = "Seconds from a streamed exchange's arrival to the first byte of its answer, if a token came."
        self.first_tokens = Labelled(self._histogram("time_to_first_token_seconds", text, _FIRST_TOKENS, labels).labels)
        text = "Seconds from one token of a streamed answer to the next: one mean for each answer of two or more."
        self.per_token = Labelled(self._histogram("time_per_output_token_seconds", text, _PER_TOKEN, labels).labels)
        text = "Streamed answers that had begun and were broken by the upstream, a drain or the proxy itself."
        self.broken = Labelled(self._counter("streams_broken_total", text, ("outcome",)).labels)
        for outcome in sorted(BREAKS):  # a rise from nothing at all is none that an alert would see
            self.broken[(outcome,)].inc(0)
        self.aborted = self._counter("streams_aborted_total", "Streamed answers that had begun when the client left.")
        self.events = self._counter("sse_events_total", "Events of streams that were read from the upstream.")
        text = "Parts of the upstream's streams that were skipped: comments, or bytes that are no UTF-8, for example."
        self.skipped = Labelled(self._counter("sse_skipped_total", text, ("reason",)).labels)
        text = "Oddities of the upstream's replies, most of them harmless, by what is odd."
        self.anomalies = Labelled(self._counter("chunk_anomaly_total", text, ("kind",)).labels)

    def _define_upstreams(self) -> None:
        text = "Requests to the upstream, repeated ones included."
        self.attempts = Labelled(self._counter("upstream_attempts_total", text, ("upstream",)).labels)
        text = "Requests to the upstream that were repeated, by what made that necessary."
        self.retries = Labelled(self._counter("upstream_retries_total", text, ("upstream", "reason")).labels)
        text = "Requests to the upstream that were not repeated, for there had been too many repeats."
        self.retries_refused = Labelled(self._counter("retry_budget_exhausted_total", text, ("upstream",)).labels)
        text = "0 if requests are sent to the upstream, 1 if one at a time tries whether it is back, 2 if none is."
        self.breaker = Labelled(self._gauge("upstream_breaker_state", text, "livemax", ("upstream",)).labels)
        text = "Requests to the upstream that failed, by how."
        self.errors = Labelled(self._counter("upstream_errors_total", text, ("upstream", "outcome")).labels)
        text = "Connections that requests to the upstream got: made for one, or reused."
        self.connections = Labelled(self._counter("upstream_connections_total", text, ("upstream", "use")).labels)
        text = "1 if the upstream answered when last asked, by whichever worker, 0 if it did not."
        self.up = Labelled(self._gauge("upstream_up", text, "livemostrecent", ("upstream",)).labels)

    def _define_process(self) -> None:
        text = "Connections of clients that were turned away, or ended because of what the client did, by why."
        self.refused = Labelled(self._counter("connections_rejected_total", text, ("reason",)).labels)
        for reason in sorted(REFUSALS):
            self.refused[(reason,)].inc(0)
        text = "1 if a worker is draining: it ends once its exchanges have, 0 if none is."
        self.draining = self._gauge("draining", text, "livemax")
        self.cut = self._counter("drain_cut_total", "Exchanges that a drain cut off because its time was over.")
        text = "Seconds by which the event loop was late, one observation for each time it was measured."
        self.lag = self._histogram("event_loop_lag_seconds", text, _LAGS)
        text = "The used share of the memory limit, without what the kernel can drop, 0 without a limit."
        self.memory_used = self._gauge("memory_limit_used_ratio", text, "livemax")
        text = "Log lines that were dropped because their reader was too slow."
        self.lines_dropped = self._counter("log_lines_dropped_total", text)

    def _counter(self, name: str, text: str, labels: Sequence[str] = ()) -> Counter:
        return self._defined(Counter(PREFIX + name, text, labels, registry=None))

    def _histogram(self, name: str, text: str, buckets: Sequence[float], labels: Sequence[str] = ()) -> Histogram:
        return self._defined(Histogram(PREFIX + name, text, labels, registry=None, buckets=buckets))

    def _gauge(
        self, name: str, text: str, workers: Literal["livesum", "livemax", "livemostrecent"], labels: Sequence[str] = ()
    ) -> Gauge:
        """Define a gauge; `workers` is how those of several make one. All are live: a dead worker's is forgotten."""
        return self._defined(Gauge(PREFIX + name, text, labels, registry=None, multiprocess_mode=workers))

    def _defined(self, figure: T) -> T:
        self._all.append(figure)
        return figure
