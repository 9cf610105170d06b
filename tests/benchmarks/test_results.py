"""benchmarks/bench/results.py: what a run's figures are made of, and that they come back from their file."""

from __future__ import annotations

from pathlib import Path

import pytest
from benchmarks.bench.results import Goal, Percentiles, Results, Sample, read, save, span


def sample(peer: str, number: int, cpu_us: float, failed: str = "") -> Sample:
    return Sample(peer=peer, load="whole", round=number, requests=10, units=10, cpu_us=cpu_us, wall_s=2, failed=failed)


def results(*samples: Sample) -> Results:
    return Results(date="2026-01-01", rounds=2, machine="", loads=(), samples=list(samples))


def test_cost_and_rate() -> None:
    """CPU and speed are those of one unit of the load."""
    assert (sample("a", 1, 50).cost, sample("a", 1, 50).rate) == (5, 5)


def test_nothing_was_done() -> None:
    """Without a unit there is no cost to tell of, and no error either."""
    assert (Sample(peer="a", load="whole", round=1).cost, Sample(peer="a", load="whole", round=1).rate) == (0, 0)


def test_ratios_are_of_one_round() -> None:
    """A peer is compared with another as that was in the same round, for what else the machine did then met both."""
    found = results(sample("a", 1, 100), sample("b", 1, 50), sample("a", 2, 900), sample("b", 2, 300))
    assert found.ratios("a", "b", "whole") == [2, 3]


def test_failure_has_no_numbers() -> None:
    """A peer that failed a load in any round has no numbers under it, but the reason."""
    found = results(sample("a", 1, 100), sample("a", 2, 0, failed="status 500"), sample("b", 1, 50))
    assert found.of("a", "whole") == []
    assert found.ratios("a", "b", "whole") == []
    assert found.failure("a", "whole") == "status 500"
    assert found.failure("b", "whole") == ""


def test_peers_in_order() -> None:
    """Peers are told once each, in the order in which they were measured."""
    assert results(sample("b", 1, 1), sample("a", 1, 1), sample("b", 2, 1)).peers() == ("b", "a")


def test_span() -> None:
    """Rounds are told by the least, the middle and the most; of none there is nothing to tell."""
    assert span([3.0, 1.0, 2.0]) == (1, 2, 3)
    assert span([]) is None


@pytest.mark.parametrize(
    ("values", "at_least", "met"),
    [
        ((1, 9, 1), False, True),
        ((3, 1, 3), False, False),
        ((3, 3), True, True),
        ((1, 1), True, False),
        ((), True, None),
    ],
)
def test_goal(values: tuple[float, ...], at_least: bool, met: bool | None) -> None:  # a row of the table
    """A goal is met by the middle of its rounds; what was not measured is neither met nor missed."""
    assert Goal(name="a", bound=2, unit="s", values=values, at_least=at_least).met is met


def test_file(tmp_path: Path) -> None:
    """A run is read from its file as it was written."""
    found = results(sample("a", 1, 100))
    found.samples.append(Sample(peer="b", load="one", round=1, latency_ms=Percentiles(0.5, 2.5)))
    save(found, tmp_path / "run.json")
    assert read(tmp_path / "run.json") == found
