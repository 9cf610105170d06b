"""What is measured of the proxy alone, put beside the goals."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection

from benchmarks.bench import extras, goals
from benchmarks.bench.client import Wrong
from benchmarks.bench.extras import Bench
from benchmarks.bench.results import Goal, Growth, Results

_FLAT = 1.25
"""What counts as flat: 1,000 streams take a quarter more each than the fewest that tell something."""
_STARTS = 5


def alone(results: Results, bench: Bench, names: Collection[str]) -> None:
    """Measure what is named, and add goals and notes. What fails is a note."""
    for name, measure in _PARTS.items():
        if name in names:
            print(name, file=sys.stderr, flush=True)
            try:
                measure(results, bench)
            except (OSError, Wrong) as error:
                results.notes.append(f"{name} failed: {error}")
                print(f"FAILED: {error}", file=sys.stderr, flush=True)


def _half(results: Results, bench: Bench) -> None:
    found = [extras.half_load(bench) for _ in range(results.rounds)]
    pairs: list[goals.Pair] = [(one.through, one.direct) for one in found]
    results.goals += goals.added("time added to the first token at half load", pairs, 1.0, 10)
    results.notes.append(f"Half load was {found[0].rate:.0f} streams of 20 events a second.")


def _growth(results: Results, bench: Bench) -> None:
    bench = bench._replace(seconds=bench.seconds * 3)
    results.growth += [extras.growth(bench, streams) for streams in extras.STREAMS]
    few, middle, many = results.growth
    results.goals += [*_streams(many), *_flat(few, middle, many)]


def _streams(many: Growth) -> list[Goal]:
    live = many.live_ms.p99 if many.live_ms else float("nan")
    return [
        Goal(name="1,000 streams: events lost, doubled or out of place", bound=0, unit="", values=(many.lost,)),
        Goal(name="1,000 streams: RSS", bound=160, unit="MiB", values=(many.rss_mb,)),
        Goal(name="1,000 streams: `/live`, p99", bound=100, unit="ms", values=(live,)),
    ]


def _flat(few: Growth, middle: Growth, many: Growth) -> list[Goal]:
    """Return the goals on growth. The memory of ten streams is less than what an allocator takes at a time."""
    events, memory = many.us_per_event / few.us_per_event, many.kib_per_stream / max(middle.kib_per_stream, 1)
    return [
        Goal(name="CPU per event of 1,000 streams", bound=_FLAT, unit="times that of 10", values=(events,)),
        Goal(name="memory per stream of 1,000", bound=_FLAT, unit="times that of 100", values=(memory,)),
    ]


def _workers(results: Results, bench: Bench) -> None:
    times, costs = [], []
    for _ in range(results.rounds):
        (one, per_cpu), (two, per_cpu_of_two) = (extras.workers(bench, number) for number in (1, 2))
        times.append(two / one)
        costs.append(per_cpu_of_two / per_cpu)
    shared = bench.cores.workers & (bench.cores.client | bench.cores.upstream)
    note = "here the workers share cores with backend and load, and can't do twice as much" if shared else ""
    name = "requests per second with two workers"
    results.goals.append(Goal(name=name, bound=1.8, unit="times one", values=tuple(times), at_least=True, note=note))
    results.notes.append(f"Two workers answer {sorted(costs)[len(costs) // 2]:.2f} times as many per second of CPU.")


def _start(results: Results, bench: Bench) -> None:
    values = tuple(extras.start_cpu(bench) for _ in range(_STARTS))
    results.goals.append(Goal(name="CPU from the start until it listens", bound=0.8, unit="s", values=values))


_PARTS: dict[str, Callable[[Results, Bench], None]] = {
    "half": _half,
    "growth": _growth,
    "workers": _workers,
    "start": _start,
}
NAMES = tuple(_PARTS)
