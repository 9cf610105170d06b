"""Metrics: what Prometheus reads. Counted as exchanges begin, go on and end; never by what they hold."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from pathlib import Path

from prometheus_client import PlatformCollector
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import InfoMetricFamily, Metric

from ollama_openai_proxy.observe.metrics_figures import PREFIX, Figures
from ollama_openai_proxy.observe.metrics_labels import (
    ANOMALIES,
    BREAKER_STATES,
    BREAKS,
    NONE,
    OTHER,
    SKIPS,
    Models,
    outcome_label,
    reason_label,
)
from ollama_openai_proxy.observe.metrics_process import Processes
from ollama_openai_proxy.observe.metrics_workers import is_shared, merged
from ollama_openai_proxy.observe.record import Record

# More in one answer is no count but a mistake of the backend's, which would spoil the sum for good.
_MAX_TOKENS = 10**9
_VERSIONS = ("", "0.0.4", "1.0.0")


class Metrics:
    """The metrics of one application. There may be several: none is registered anywhere.

    With the directory that workers share (`metrics_workers`), `render` tells the figures of all of them.
    """

    def __init__(self, *, version: str, workers_directory: Path | None = None) -> None:
        if workers_directory is not None and not is_shared(workers_directory):
            raise RuntimeError("share() comes first, or what is counted here is not seen by the other workers")
        self._figures = Figures()
        self._models = Models(workers_directory and workers_directory / "models")
        self._lines_dropped = 0
        self._exposition = _Exposition(self._figures, version, workers_directory)

    def began(self) -> None:
        """An exchange was taken: it is in flight until it `ended`."""
        self._figures.in_flight.inc()

    def queued(self, change: int) -> None:
        """One more exchange waits for a place, or one (-1) does no longer."""
        self._figures.queued.inc(change)

    def queue_waited(self, seconds: float) -> None:
        """Note how long an exchange waited for a place, whether it got one or not."""
        self._figures.queue_waits.observe(seconds)

    def ended(self, record: Record) -> None:
        """Count an exchange that `began`, by its record."""
        figures = self._figures
        figures.in_flight.dec()
        front, route = where = record.front or NONE, record.route or OTHER
        model, outcome = self._models.label(record), outcome_label(record.outcome)
        figures.exchanges[front, route, model, outcome].inc()
        figures.durations[where].observe(record.duration / 1e9)
        figures.overheads[where].observe(record.added / 1e9 if record.added > 0 else 0.0)
        if tokens := _tokens(record.prompt_tokens):
            figures.input_tokens[(model,)].inc(tokens)
        if tokens := _tokens(record.completion_tokens):
            figures.output_tokens[(model,)].inc(tokens)
        if record.events:
            figures.events.inc(record.events)
        for what, count in record.odd.items():
            if what in SKIPS:
                figures.skipped[(what,)].inc(count)
            elif what in ANOMALIES:
                figures.anomalies[(what,)].inc(count)
        # Before a stream began an error is a status, and that is the whole answer.
        if record.streamed and record.first_byte is not None and record.status < 400:
            self._stream_ended(record, front, model, outcome)

    def _stream_ended(self, record: Record, front: str, model: str, outcome: str) -> None:
        figures, first, last = self._figures, record.first_token, record.last_token
        if record.first_byte is not None and first is not None:
            figures.first_tokens[front, model].observe((record.first_byte - record.started) / 1e9)
        tokens = _tokens(record.completion_tokens)
        if first is not None and last is not None and tokens > 1:
            figures.per_token[front, model].observe((last - first) / 1e9 / (tokens - 1))
        if record.client_gone:
            figures.aborted.inc()
        elif outcome in BREAKS:
            figures.broken[(outcome,)].inc()

    def upstream_attempted(self, upstream: str) -> None:
        """Count a request to the upstream, a repeated one too."""
        self._figures.attempts[(upstream,)].inc()

    def upstream_retried(self, upstream: str, reason: str) -> None:
        """Count a request that was repeated."""
        self._figures.retries[upstream, reason_label(reason)].inc()

    def upstream_retry_refused(self, upstream: str) -> None:
        """Count a request that was not repeated, for there had been too many repeats."""
        self._figures.retries_refused[(upstream,)].inc()

    def upstream_breaker(self, upstream: str, state: str) -> None:
        """Note the state of the breaker: `closed`, `half-open` or `open`."""
        self._figures.breaker[(upstream,)].set(BREAKER_STATES.index(state))

    def upstream_connected(self, upstream: str, *, reused: bool) -> None:
        """Count a connection that a request got."""
        self._figures.connections[upstream, "reused" if reused else "new"].inc()

    def upstream_failed(self, upstream: str, outcome: str) -> None:
        """Count a request that failed."""
        self._figures.errors[upstream, outcome_label(outcome)].inc()

    def upstream_up(self, upstream: str, up: bool) -> None:
        """Note whether the upstream answered."""
        self._figures.up[(upstream,)].set(up)

    def draining(self, on: bool) -> None:
        """Note that this process drains, or does not."""
        self._figures.draining.set(on)

    def refused(self, reason: str) -> None:
        """Count a connection of a client that was turned away, or ended because of what the client did."""
        self._figures.refused[(reason,)].inc()

    def cut(self, exchanges: int = 1) -> None:
        """Count exchanges that the drain did not wait for any longer."""
        self._figures.cut.inc(exchanges)

    def lag(self, seconds: float) -> None:
        """Note how late the event loop was, once."""
        self._figures.lag.observe(max(seconds, 0.0))

    def memory_used(self, share: float) -> None:
        """Note the used share of the memory limit, 0 without a limit."""
        self._figures.memory_used.set(share)

    def lines_dropped(self, total: int) -> None:
        """Note how many log lines this process has dropped so far."""
        if total > self._lines_dropped:
            self._figures.lines_dropped.inc(total - self._lines_dropped)
            self._lines_dropped = total

    def render(self, accept: str) -> tuple[bytes, str]:
        """Return all figures, in the format that the Accept header asks for, and its content type.

        It reads and changes nothing, so it may run in another thread: with many models it takes a while.
        """
        # Of versions that it does not know the library makes errors, or answers that claim to be of that version.
        known = ",".join(part for part in accept.split(",") if _version(part) in _VERSIONS)
        encode, content_type = choose_encoder(known)
        return encode(self._exposition), content_type


class _Exposition:
    """All there is to tell."""

    def __init__(self, figures: Figures, version: str, workers_directory: Path | None) -> None:
        self._figures = figures
        self._directory = workers_directory
        text = "1, with the versions of the proxy and of Python."
        labels = {"version": version, "python": platform.python_version()}
        self._build = InfoMetricFamily(f"{PREFIX}build", text, value=labels)
        self._python = PlatformCollector(registry=None)
        self._processes = Processes(os.getppid() if workers_directory is not None else None)

    def collect(self) -> Iterator[Metric]:
        yield self._build
        yield from self._figures.collect() if self._directory is None else self._all_workers(self._directory)
        yield from self._processes.collect()
        yield from self._python.collect()

    def _all_workers(self, directory: Path) -> Iterator[Metric]:
        found = merged(directory)
        for family in self._figures.described():
            yield found.get(family.name, family)


def _tokens(count: int | None) -> int:
    """Return the count that a backend gave, 0 if it gave none or nonsense."""
    return count if count is not None and 0 < count <= _MAX_TOKENS else 0


def _version(part: str) -> str:
    """Return the version that a part of an Accept header asks for."""
    parameters = (parameter.partition("=") for parameter in part.split(";")[1:])
    return next((value.strip() for name, _, value in parameters if name.strip() == "version"), "")
