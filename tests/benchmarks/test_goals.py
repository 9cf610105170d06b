"""benchmarks/bench/goals.py and docs.py: figures beside what is wanted, and into the page."""

from __future__ import annotations

import pytest
from benchmarks.bench import docs, goals
from benchmarks.bench.results import LoadInfo, Percentiles, Results, Sample

LOADS = tuple(LoadInfo(name, "", "request", "") for name in ("whole", "b2b"))


def test_goals_of_a_run() -> None:
    """Ratios are to nginx and of slower ones to the proxy; what was asked for and not measured has no value."""
    costs = {"proxy": 30, "nginx": 10, "litellm": 1200}
    samples = [Sample(peer=peer, load="whole", round=1, units=1, cpu_us=cost, wall_s=1) for peer, cost in costs.items()]
    found = goals.of_matrix(Results(date="", rounds=1, machine="", loads=LOADS, samples=samples))
    values = {goal.name: (goal.values, goal.met) for goal in found}
    assert values["CPU per request, not streamed"] == ((3.0,), True)
    assert values["CPU of litellm per request"] == ((40.0,), True)
    assert values["CPU per event, back to back"] == ((), None)
    assert "CPU per event, 20 ms apart" not in values


def test_added_time() -> None:
    """What is added is what it takes more than without the proxy, percentile by percentile."""
    found = goals.added("added", [(Percentiles(1.5, 4), Percentiles(1, 2)), (Percentiles(2, 2), None)], 0.6, 3)
    assert [(goal.name, goal.values, goal.met) for goal in found] == [
        ("added, p50", (0.5,), True),
        ("added, p99", (2,), True),
    ]


def test_page() -> None:
    """What was measured stands between the markers, in place of what stood there; the rest of the page stays."""
    page = f"before\n{docs.BEGIN}\nold\n{docs.END}\nafter\n"
    once = docs.between(page, "new")
    assert once == f"before\n{docs.BEGIN}\n\nnew\n\n{docs.END}\nafter\n"
    assert docs.between(once, "new") == once


def test_page_without_markers() -> None:
    """A page without markers is left alone."""
    with pytest.raises(ValueError, match="markers"):
        docs.between("a page", "new")
