"""What the operating system knows of the proxy: CPU time, memory, files; of all workers if there are several."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

from prometheus_client import ProcessCollector
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric

_TRIES = 3
_CPU = "process_cpu_seconds"
_START = "process_start_time_seconds"
_SUMS = {
    "process_virtual_memory_bytes": "Bytes of virtual memory of all workers.",
    "process_resident_memory_bytes": "Bytes of resident memory of all workers; what they share counts for each.",
    "process_open_fds": "Open file descriptors of all workers.",
    "process_max_fds": "File descriptors that all workers together may open.",
}


class Processes:
    """The process, or with a supervisor all of its child processes."""

    def __init__(self, supervisor: int | None = None) -> None:
        self._supervisor = supervisor

    def collect(self) -> Iterable[Metric]:
        """Return the figures under the names that each Prometheus client gives them."""
        # A worker that lost its supervisor has a foreign parent, whose other children are none of ours.
        if self._supervisor is not None and os.getppid() == self._supervisor:
            try:
                return list(_of_children(self._supervisor))
            except OSError:  # a kernel that does not list children, or a /proc that shows only one's own
                pass
        return _of("self")


def _of_children(parent: int) -> Iterator[Metric]:
    sums = _sums(parent)
    for name, text in _SUMS.items():
        yield GaugeMetricFamily(name, text, value=sums[name])
    text = "Seconds of CPU time, user and system, of all workers, those that have ended included."
    # Rounded, for it is a number of ticks: the sum of the same ticks in another order must not be less.
    yield CounterMetricFamily(_CPU, text, value=round(sums[_CPU], 6))
    started = {family.name: family.samples[0].value for family in _of(str(parent))}[_START]
    yield GaugeMetricFamily(_START, "Seconds since 1970 at which the workers' supervisor started.", value=started)


def _sums(parent: int) -> dict[str, float]:
    """Add up the children. The CPU time of one that ended is its parent's, from when that took note of it."""
    for _ in range(_TRIES):
        ended = _cpu_of_ended_children(parent)
        sums = defaultdict(float, {_CPU: ended})
        for child in _children(parent):
            for family in _of(child):
                sums[family.name] += family.samples[0].value
        if ended == _cpu_of_ended_children(parent):
            break  # else one ended meanwhile, and was counted twice or not at all
    return sums


def _children(parent: int) -> list[str]:
    """Return the child processes. Each thread has its own, if it started some."""
    threads = Path(f"/proc/{parent}/task").iterdir()
    return [child for thread in threads for child in (thread / "children").read_text(encoding="ascii").split()]


def _cpu_of_ended_children(parent: int) -> float:
    fields = Path(f"/proc/{parent}/stat").read_bytes().rpartition(b")")[2].split()
    return (int(fields[13]) + int(fields[14])) / os.sysconf("SC_CLK_TCK")


def _of(process: str) -> Iterable[Metric]:
    return ProcessCollector(pid=lambda: process, registry=None).collect()
