"""benchmarks/bench/plots.py: what is drawn, and that it is."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from benchmarks.bench import plots
from benchmarks.bench.results import Growth, LoadInfo, Percentiles, Results, Sample


def results() -> Results:
    """Return three rounds of three peers under two loads, the costs of nginx being 10, 12 and 14."""
    samples = [
        Sample(
            peer=peer,
            load=load,
            round=number,
            units=10,
            cpu_us=(10.0 + 2 * number) * 10 * times,
            latency_ms=Percentiles(1.0 * times, 2.0 * times),
        )
        for load in ("whole", "one")
        for number in range(3)
        for peer, times in (("direct", 0.5), ("litellm", 100.0), ("proxy", 3.0), ("nginx", 1.0))
    ]
    loads = tuple(LoadInfo(name, name, "request", "") for name in ("whole", "one"))
    growth = [
        Growth(streams=n, events=n, us_per_event=9.0, kib_per_stream=4.0, rss_mb=1.0, chunk_ms=Percentiles(1, 1))
        for n in (10, 100, 1000)
    ]
    return Results(date="", rounds=3, machine="", loads=loads, samples=samples, growth=growth)


def test_bars_are_of_peers_from_the_cheapest_on() -> None:
    """Each bar is a median over rounds with its least and most; the upstream itself has none."""
    drawn = plots.bars(results(), "whole")
    assert [bar.peer for bar in drawn] == ["nginx", "proxy", "litellm"]
    assert drawn[1].cost == (30.0, 36.0, 42.0)
    assert drawn[1].by_floor == pytest.approx(3.0)


def test_a_load_that_was_not_measured_has_no_bars() -> None:
    """Nothing is drawn of what is not there."""
    assert plots.bars(results(), "paced") == []


def test_added_latency_is_above_the_direct_call() -> None:
    """What a peer adds is its latency without that of the upstream alone, in the same round."""
    assert plots.added(results()) == [("nginx", 0.5, 1.0), ("proxy", 2.5, 5.0), ("litellm", 99.5, 199.0)]


def test_pictures_are_as_wide_as_a_page(tmp_path: Path) -> None:
    """A PNG of 900 pixels for what was measured, none for what was not."""
    pytest.importorskip("matplotlib")
    files = plots.draw(results(), tmp_path / "new")
    assert [file.name for file in files] == ["cpu-per-request.png", "added-latency.png", "growth.png"]
    for file in files:
        data = file.read_bytes()
        assert data.startswith(b"\x89PNG\r\n")
        assert struct.unpack(">I", data[16:20]) == (900,)
