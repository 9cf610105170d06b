"""How many repeats there may be, and how long to wait before one; by a clock that the test sets."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ollama_openai_proxy.upstream.retries import Budget, pause


class Clock:
    def __init__(self) -> None:
        self.now = 1000.25

    def __call__(self) -> float:
        return self.now


def granted(budget: Budget, asked: int = 1000) -> int:
    """Return how many of so many repeats are granted."""
    return sum(budget.spend() for _ in range(asked))


@pytest.mark.parametrize(("calls", "share", "repeats"), [(0, 0.2, 3), (100, 0.2, 23), (10, 1.0, 13), (1000, 0.0, 3)])
def test_j4_share(calls: int, share: float, repeats: int) -> None:
    """J4: repeats are at most the share of the calls, and three."""
    budget = Budget(share, Clock())
    for _ in range(calls):
        budget.called()
    assert granted(budget) == repeats


def test_j4_window() -> None:
    """J4: what is older than ten seconds counts no more: neither calls nor repeats."""
    clock = Clock()
    budget = Budget(0.2, clock)
    for _ in range(100):
        budget.called()
    clock.now += 9
    assert granted(budget, 13) == 13
    clock.now += 1  # the calls are forgotten, their repeats are not
    assert granted(budget) == 0
    clock.now += 9
    assert granted(budget) == 3


def test_j4_long_silence() -> None:
    """J4: after any silence there is the floor, and no more."""
    clock = Clock()
    budget = Budget(0.2, clock)
    for _ in range(100):
        budget.called()
    clock.now += 100_000
    assert granted(budget) == 3


@given(st.lists(st.tuples(st.integers(0, 20), st.floats(0, 3)), min_size=1, max_size=60))
def test_j4_never_more(steps: list[tuple[int, float]]) -> None:
    """J4: in any ten seconds there are no more repeats than a fifth of the calls of the ten before, and three."""
    clock = Clock()
    budget = Budget(0.2, clock)
    calls: list[float] = []
    repeats: list[float] = []
    for count, seconds in steps:
        clock.now += seconds
        for _ in range(count):
            budget.called()
            calls.append(clock.now)
            if budget.spend():
                repeats.append(clock.now)
    for moment in repeats:
        since = sum(moment - 9 <= each <= moment for each in repeats)
        assert since <= 0.2 * sum(moment - 20 <= each <= moment for each in calls) + 3 + 1e-6


@pytest.mark.parametrize(("repeats", "longest"), [(0, 0.05), (1, 0.1), (2, 0.2), (6, 2.0), (50, 2.0)])
def test_pause(repeats: int, longest: float) -> None:
    """2.N: full jitter: anything from nothing to 50 ms, twice as much each time, and never above 2 s."""
    assert pause(repeats, lambda: 0.0) == 0.0
    assert pause(repeats, lambda: 0.5) == pytest.approx(longest / 2)
    assert 0 <= pause(repeats) < longest
