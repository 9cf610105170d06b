"""The goals, beside what a run has measured."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.bench.results import DIRECT, PROXY, Goal, Percentiles, Results

FLOOR = "nginx"
RELAY = "passthrough"
SLOWER = ("litellm", "ollama-proxy-plus")
Pair = tuple[Percentiles | None, Percentiles | None]
_NGINX = (
    ("whole", "request, not streamed", 3.5),
    ("b2b", "event, back to back", 2.2),
    ("paced", "event, 20 ms apart", 2.4),
)
_RELAY = tuple((f"embed-{batch}", f"embedding, {batch} a request") for batch in (1, 16, 256))
_SLOWER_LOADS = (("whole", "request"), ("b2b", "event"))


def of_matrix(results: Results) -> list[Goal]:
    """Return the goals that samples tell of, for the loads of this run."""
    goals = [
        *(_ratio(results, f"CPU per {what}", load, (PROXY, FLOOR), bound) for load, what, bound in _NGINX),
        *(_ratio(results, f"CPU per {what}", load, (PROXY, RELAY), 1.3) for load, what in _RELAY),
        *(
            _ratio(results, f"CPU of {peer} per {unit}", load, (peer, PROXY), 30)
            for peer in SLOWER
            for load, unit in _SLOWER_LOADS
        ),
    ]
    asked = {load.name for load in results.loads}
    direct = {one.round: one.latency_ms for one in results.of(DIRECT, "one")}
    pairs = [(one.latency_ms, direct.get(one.round)) for one in results.of(PROXY, "one")]
    return [goal for load, goal in goals if load in asked] + (
        added("time added at one connection", pairs, 0.6, 3) if "one" in asked else []
    )


def _ratio(results: Results, name: str, load: str, peers: tuple[str, str], bound: float) -> tuple[str, Goal]:
    """Return a goal on the CPU of one peer by that of another, with its load. What others take is to be more."""
    of, to = peers
    values, unit = tuple(results.ratios(of, to, load)), f"times that of {'the ' if to == PROXY else ''}{to}"
    return load, Goal(name=name, bound=bound, unit=unit, values=values, at_least=of != PROXY)


def added(name: str, pairs: Sequence[Pair], p50: float, p99: float) -> list[Goal]:
    """Return the goals on what the proxy adds. `pairs`: through it and without it, in milliseconds, round by round."""
    known = [(through, direct) for through, direct in pairs if through and direct]
    return [
        Goal(name=f"{name}, p50", bound=p50, unit="ms", values=tuple(more.p50 - less.p50 for more, less in known)),
        Goal(name=f"{name}, p99", bound=p99, unit="ms", values=tuple(more.p99 - less.p99 for more, less in known)),
    ]
