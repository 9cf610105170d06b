"""benchmarks/bench/report.py: the tables say what was measured, and what was not."""

from __future__ import annotations

import platform
from pathlib import Path
from typing import Any

import pytest
from benchmarks.bench import report
from benchmarks.bench.results import Capacity, Goal, Growth, LoadInfo, Percentiles, Results, Sample

PAIR = Percentiles(1.0, 2.0)


def load(name: str) -> LoadInfo:
    return LoadInfo(name, f"Load {name}", "request", "some connections")


def sample(peer: str, number: int, cpu: float, **more: Any) -> Sample:
    """Return what one round found: 100 requests, `cpu` microseconds each."""
    given: dict[str, Any] = {
        "load": "whole",
        "units": 100,
        "cpu_us": cpu * 100,
        "wall_s": 1.0,
        "latency_ms": PAIR,
        "rss_mb": 50.0,
    }
    return Sample(peer=peer, round=number, **{**given, **more})


def results(*samples: Sample, loads: tuple[str, ...] = ("whole",), **more: Any) -> Results:
    given: dict[str, Any] = {
        "date": "2026-01-02",
        "rounds": 3,
        "machine": "a machine",
        "loads": tuple(map(load, loads)),
    }
    return Results(**{**given, **more}, samples=list(samples))


def rows(text: str, first: str) -> list[list[str]]:
    """Return the cells of the rows of all tables whose first cell is this."""
    lines = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("|")]
    return [cells for cells in lines if cells[0] == first]


def test_ratios_are_taken_round_by_round() -> None:
    """The ratio to nginx is of samples of one round: what slows the machine down in a round slows down both."""
    rounds = [sample("nginx", 1, 10), sample("proxy", 1, 30), sample("nginx", 2, 20), sample("proxy", 2, 60)]
    assert rows(report.table(results(*rounds)), "**proxy**")[0][1:3] == ["30 / 45 / 60", "3"]


def test_least_middle_and_most_are_shown() -> None:
    """CPU stands as the least, the median and the most of all rounds."""
    rounds = [sample("nginx", number, cpu) for number, cpu in enumerate((12.5, 10.25, 99.0))]
    assert rows(report.table(results(*rounds)), "nginx")[0][1] == "10.2 / 12.5 / 99"


def test_a_peer_that_failed_has_no_numbers() -> None:
    """One round that fails takes the numbers of all rounds away, and the reason stands there instead."""
    broken = sample("litellm", 2, 0, failed="status 500: broken")
    text = report.table(results(sample("litellm", 1, 10), broken, sample("nginx", 1, 10)))
    assert set(rows(text, "litellm")[0][1:]) == {"failed: status 500: broken", "-"}


def test_the_proxy_is_first_and_the_upstream_itself_last() -> None:
    """Rows are in order: the proxy, the peers as they were measured, then the upstream, which has no CPU of a peer."""
    text = report.table(results(*(sample(name, 1, 10) for name in ("direct", "nginx", "proxy", "haproxy"))))
    lines = [line.split(" | ")[:2] for line in text.splitlines() if line.endswith(" 50 |") or "direct" in line]
    assert [name for name, _ in lines] == ["| **proxy**", "| nginx", "| haproxy", "| direct"]
    assert lines[-1][1] == "-"


@pytest.mark.parametrize(("name", "quoted"), [("whole", "5.1"), ("b2b", "4"), ("paced", "2.7")])
def test_what_is_quoted_says_that_it_was_not_measured(name: str, quoted: str) -> None:
    """The Go rival has a ratio to nginx alone, and is marked as not measured here."""
    text = report.table(results(sample("nginx", 1, 10, load=name), loads=(name,)))
    row = rows(text, "Go rival (quoted, not measured here)")[0]
    assert [cell for cell in row[1:] if cell != "-"] == [quoted]


def test_nothing_is_quoted_of_other_loads() -> None:
    """Of loads that the first measurements did not have, nothing is said of the Go rival."""
    assert "quoted" not in report.table(results(sample("nginx", 1, 10, load="long"), loads=("long",)))


@pytest.mark.parametrize(
    ("values", "at_least", "verdict"),
    [
        ((3.0, 3.5, 9.0), False, "met"),
        ((3.6,), False, "**missed**"),
        ((3.6,), True, "met"),
        ((), False, "not measured"),
    ],
)
def test_a_goal_is_met_by_the_median(values: tuple[float, ...], at_least: bool, verdict: str) -> None:
    """A goal at its bound is met; one that nobody measured is neither met nor missed."""
    goal = Goal(name="A goal", bound=3.5, unit="times", values=values, at_least=at_least)
    assert rows(report.table(results(goals=[goal])), "A goal")[0][3] == verdict


def test_columns_without_numbers_are_left_out() -> None:
    """Of a load that is not streamed there is no column for the first token; of a streamed one there is."""
    assert "first token" not in report.table(results(sample("nginx", 1, 10)))
    assert "first token" in report.table(results(sample("nginx", 1, 10, first_ms=PAIR)))


def test_each_row_has_the_cells_of_its_head() -> None:
    """No reason of a failure breaks a table, whatever is in it: lines, bars, or much of it."""
    failed = sample("portkey", 1, 0, failed="a | b\nc " * 40)
    growth = Growth(streams=10, events=5, us_per_event=1.0, kib_per_stream=2.0, rss_mb=3.0, chunk_ms=PAIR)
    capacity = Capacity(load="whole", direct=100.0, fastest=50.0, peer="nginx")
    text = report.table(results(sample("nginx", 1, 10), failed, growth=[growth], capacities=[capacity]))
    for table in text.split("\n\n"):
        widths = {line.replace("\\|", "").count("|") for line in table.splitlines() if line.startswith("|")}
        assert len(widths) <= 1, table


def test_places_on_the_machine_are_not_told() -> None:
    """What a program says when it fails may name folders; the report does not. Paths of URLs stay."""
    failed = sample("portkey", 1, 0, failed="no /home/me/secret/x: POST /api/chat")
    text = report.table(results(failed, missing={"litellm": "uv failed: /opt/abc/bin/python: not found"}))
    assert "/home" not in text
    assert "/opt" not in text
    assert "/api/chat" in text
    assert "litellm: uv failed" in text


def test_the_machine_is_told_without_its_name(tmp_path: Path) -> None:
    """Where it was measured: processor, cores, Python and peers, but neither the name of the host nor a folder."""
    told = report.machine(tmp_path)
    assert platform.python_version() in told
    assert "litellm 1." in told
    assert platform.node() not in told
    assert str(tmp_path) not in told
