"""What a run found, as pictures: bars of CPU, lines of growth, and what each adds to the time of an answer.

matplotlib is asked for only when something is drawn, by name: its dependency group is of use for nothing else, and no
check of types needs it. Figures and axes are therefore Any; what makes a figure returns None if it has nothing to show.

Colours are of the palette of Okabe and Ito, which people who see colours differently can tell apart; no picture depends
on them alone.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.bench.report import FLOOR
from benchmarks.bench.results import BEFORE, DIRECT, PROXY, LoadInfo, Results, Span, span

_BLUE, _ORANGE, _GREY, _BLACK, _GRID = "#0072B2", "#E69F00", "#8C8C8C", "#222222", "#DDDDDD"
_PASSING = ("nginx", "nginx-plain", "haproxy", "passthrough")
_KINDS = {_BLUE: "this proxy", _GREY: "passes bytes on", _ORANGE: "translates or inspects"}
_WIDTH, _DPI = 9.0, 100
_BAR, _PANEL = 0.3, 1.0  # inches
_REQUESTS, _EVENTS, _LATENCY = ("whole", "long", "tools"), ("b2b", "paced"), "one"


class Bar(NamedTuple):
    """One peer in a panel."""

    peer: str
    cost: Span
    by_floor: float | None


def draw(results: Results, folder: Path) -> list[Path]:
    """Write what the results have figures for, as PNG files 900 pixels wide; return them. Raises ImportError."""
    folder.mkdir(parents=True, exist_ok=True)
    drawn = {
        "cpu-per-request": _costs(results, _REQUESTS),
        "cpu-per-event": _costs(results, _EVENTS),
        "added-latency": _latency(results),
        "growth": _growth(results),
    }
    files = []
    for name, figure in drawn.items():
        if figure:
            files.append(folder / f"{name}.png")
            figure.savefig(files[-1], dpi=_DPI, facecolor="white", metadata={"Software": None})
    return files


def bars(results: Results, load: str) -> list[Bar]:
    """Return who has a cost under a load, the cheapest first."""
    found = []
    for peer in results.peers():
        cost, times = span(one.cost for one in results.of(peer, load)), span(results.ratios(peer, FLOOR, load))
        if cost and peer != DIRECT:
            found.append(Bar(peer, cost, times.median if times else None))
    return sorted(found, key=lambda bar: bar.cost.median)


def added(results: Results) -> list[tuple[str, float, float]]:
    """Return what each adds to an answer on one connection, at p50 and p99, milliseconds, the least first."""
    direct = {one.round: one.latency_ms for one in results.of(DIRECT, _LATENCY)}
    found = []
    for peer in results.peers():
        pairs = [(one.latency_ms, direct.get(one.round)) for one in results.of(peer, _LATENCY)]
        known = [(through, without) for through, without in pairs if through and without]
        p50 = span(through.p50 - without.p50 for through, without in known)
        p99 = span(through.p99 - without.p99 for through, without in known)
        if peer != DIRECT and p50 and p99:
            found.append((peer, p50.median, p99.median))
    return sorted(found, key=lambda one: one[1])


def _costs(results: Results, names: Sequence[str]) -> Any:
    """Return a panel of bars for each of these loads that was measured, one below the other."""
    loads: list[tuple[LoadInfo, list[Bar]]] = []
    for name in names:
        found = bars(results, name)
        loads += [(load, found) for load in results.loads if load.name == name and found]
    if not loads:
        return None
    heights = [_BAR * len(found) + _PANEL for _, found in loads]
    figure = _figure(sum(heights) + 0.3)
    panels = figure.subplots(len(loads), 1, squeeze=False, gridspec_kw={"height_ratios": heights})
    for (load, found), axes in zip(loads, panels[:, 0], strict=True):
        _panel(axes, load, found)
    _legend(figure, [_colour(bar.peer) for _, found in loads for bar in found])
    return figure


def _panel(axes: Any, load: LoadInfo, found: Sequence[Bar]) -> None:
    """Draw bars on a logarithmic scale; the whiskers are the least and the most of all rounds."""
    names, middle = [bar.peer for bar in found], [bar.cost.median for bar in found]
    spread = [
        [bar.cost.median - bar.cost.least for bar in found],
        [bar.cost.most - bar.cost.median for bar in found],
    ]
    axes.barh(names, middle, xerr=spread, color=[_colour(name) for name in names], height=0.7, ecolor=_BLACK, capsize=2)
    for place, bar in enumerate(found):
        times = f"  ({_short(bar.by_floor)} x {FLOOR})" if bar.by_floor and bar.peer != FLOOR else ""
        axes.annotate(
            f"{_short(bar.cost.median)}{times}",
            (bar.cost.most, place),
            xytext=(5, 0),
            textcoords="offset points",
            va="center",
            fontsize=9,
            color=_BLACK,
        )
    axes.set_xscale("log")
    axes.set_xlim(min(bar.cost.least for bar in found) / 2, max(bar.cost.most for bar in found) * 9)
    axes.xaxis.set_major_formatter(_tick)
    axes.invert_yaxis()
    axes.set_xlabel(f"{load.title}: CPU, µs per {load.unit}")
    _plain(axes, "x")


def _latency(results: Results) -> Any:
    """Return two dots for each peer. What adds nothing that can be told from none stands at the left edge."""
    found = added(results)
    if not found:
        return None
    figure = _figure(_BAR * len(found) + 1.3)
    axes = figure.subplots()
    least = 0.01
    for place, (peer, p50, p99) in enumerate(found):
        low, high = max(p50, least), max(p99, least)
        axes.plot([low, high], [place, place], color=_GRID, linewidth=3, zorder=1)
        axes.scatter([low], [place], s=46, color=_colour(peer), zorder=2)
        axes.scatter([high], [place], s=46, facecolors="white", edgecolors=_colour(peer), linewidths=1.6, zorder=2)
        axes.annotate(
            f"{_short(p50)} / {_short(p99)}",
            (max(low, high), place),
            xytext=(8, 0),
            textcoords="offset points",
            va="center",
            fontsize=9,
        )
    axes.set_yticks(range(len(found)), [peer for peer, *_ in found])
    axes.set_xscale("log")
    axes.set_xlim(least / 1.5, max(max(p50, p99, least) for _, p50, p99 in found) * 6)
    axes.xaxis.set_major_formatter(_tick)
    axes.invert_yaxis()
    axes.set_xlabel("ms added to an answer on one connection: p50 (full) / p99 (hollow)")
    _plain(axes, "x")
    _legend(figure, [_colour(peer) for peer, *_ in found])
    return figure


def _growth(results: Results) -> Any:
    """Return CPU per event and memory per stream of the proxy, by how many streams are open."""
    if not results.growth:
        return None
    streams = [one.streams for one in results.growth]
    figure = _figure(3.4)
    left, right = figure.subplots(1, 2)
    for axes, values, label in (
        (left, [one.us_per_event for one in results.growth], "CPU, µs per event"),
        (right, [one.kib_per_stream for one in results.growth], "memory, KiB per stream"),
    ):
        axes.plot(streams, values, color=_BLUE, marker="o", linewidth=2)
        for place in zip(streams, values, strict=True):
            axes.annotate(_short(place[1]), place, xytext=(0, 7), textcoords="offset points", ha="center", fontsize=9)
        axes.set_xscale("log")
        axes.set_xticks(streams, [f"{number:,}" for number in streams])
        axes.minorticks_off()
        axes.set_xlim(min(streams) / 1.6, max(streams) * 1.6)
        axes.set_ylim(0, max(values) * 1.25 or 1)
        axes.set_xlabel("streams open at once")
        axes.set_ylabel(label)
        _plain(axes, "y")
    return figure


def _figure(height: float) -> Any:
    return importlib.import_module("matplotlib.figure").Figure(figsize=(_WIDTH, height), layout="constrained")


def _legend(figure: Any, colours: Sequence[str]) -> None:
    """Say what the colours mean that are there."""
    patch = importlib.import_module("matplotlib.patches").Patch
    shown = [patch(color=colour, label=kind) for colour, kind in _KINDS.items() if colour in colours]
    figure.legend(handles=shown, loc="outside upper right", ncols=len(shown), frameon=False, fontsize=9)


def _plain(axes: Any, lines: str) -> None:
    """Leave what is read: a light grid along one axis, no frame."""
    axes.grid(visible=True, axis="x" if lines == "x" else "y", color=_GRID)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.tick_params(labelsize=9.5)


def _tick(value: float, _place: int) -> str:
    return f"{value:,g}"


def _colour(peer: str) -> str:
    if peer.startswith(PROXY) or peer == BEFORE:
        return _BLUE
    return _GREY if peer in _PASSING else _ORANGE


def _short(value: float) -> str:
    """Return a number with two digits at least."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2g}"
