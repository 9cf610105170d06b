"""benchmarks/soak/figures.py: what the report of the soak is made of."""

from __future__ import annotations

import math

import pytest

from support.scripts import ROOT, module

figures = module(ROOT / "benchmarks" / "soak" / "figures.py")

PAGE = """# HELP lag_seconds Seconds.
# TYPE lag_seconds histogram
lag_seconds_bucket{le="0.01"} 90.0
lag_seconds_bucket{le="0.1"} 99.0
lag_seconds_bucket{le="1.0"} 100.0
lag_seconds_bucket{le="+Inf"} 100.0
lag_seconds_count 100.0
done_total{front="a",outcome="ok"} 3.0
done_total{front="b",outcome="ok"} 4.0
done_total{front="b",outcome="internal"} 1.0
"""


def test_spread() -> None:
    """The percentiles are values that were measured: the nearest ranks, in whatever order they came."""
    assert figures.spread(range(200, 0, -1)) == (200, 100, 198, 200)


def test_spread_of_one() -> None:
    """One value is all there is."""
    assert figures.spread([3.0]) == (1, 3.0, 3.0, 3.0)


def test_spread_of_nothing() -> None:
    """Of nothing there is no middle, and nothing that keeps to a bound."""
    found = figures.spread([])
    assert math.isnan(found.p50)
    assert not found.p99 <= 1e9


def test_slope() -> None:
    """A line is found again, also through noise that cancels out."""
    points = [(x, 100 + 2.5 * x + (1 if x % 2 else -1)) for x in range(101)]
    assert figures.slope(points) == pytest.approx(2.5, rel=0.01)


@pytest.mark.parametrize("points", [[], [(1, 5)], [(1, 5), (1, 9)]])
def test_no_slope(points: list[tuple[int, int]]) -> None:
    """What is in one place does not grow."""
    assert figures.slope(points) == 0


def test_metric() -> None:
    """A figure is the sum of its series, of those alone that have the labels that are asked for."""
    assert figures.metric(PAGE, "lag_seconds_count") == 100
    assert figures.metric(PAGE, "done_total") == 8
    assert figures.metric(PAGE, "done_total", outcome="ok") == 7
    assert figures.metric(PAGE, "done_total", outcome="none") == 0


@pytest.mark.parametrize(("percent", "end"), [(50, 0.01), (90, 0.01), (99, 0.1), (100, 1.0)])
def test_bucket(percent: float, end: float) -> None:
    """So many percent lie below the end of the first bucket that holds as many."""
    assert figures.bucket(PAGE, "lag_seconds", percent) == end


def test_no_bucket() -> None:
    """Without observations there is no bound."""
    assert math.isnan(figures.bucket("", "lag_seconds", 99))
