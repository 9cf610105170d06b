"""What a run found, as Markdown: the goals, a table for each load, growth, and who was measured."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
import statistics
import sysconfig
from collections.abc import Iterable, Sequence
from pathlib import Path

from benchmarks.bench.peers import PEERS, versions
from benchmarks.bench.results import (
    DIRECT,
    PROXY,
    Goal,
    Growth,
    LoadInfo,
    Percentiles,
    Results,
    Span,
    span,
)

FLOOR = "nginx"
QUOTED = {"whole": 5.1, "b2b": 4.0, "paced": 2.7}
"""The CPU of the Go rival (K0IN/openai-ollama-proxy) by nginx's, from the first measurements of this project.

It can't be measured by who has only registries of packages: none of them carries it as a program.
"""
_QUOTED_NAME = "Go rival (quoted, not measured here)"
_LIBRARIES = ("uvicorn", "uvloop", "httptools", "msgspec", "fastapi")
_NONE = "-"
_SHOWN = 90  # of a reason
_PLACE = re.compile(r"(?<![\w:.])/(?:tmp|work|home|root|usr|var|opt|srv|mnt|run|Users)/\S*")


def table(results: Results) -> str:
    """Return all tables of a run."""
    parts = [
        _heading(results),
        _goals(results.goals),
        *(_load(results, load) for load in results.loads),
        _growth(results.growth),
        _capacities(results),
        _measured(results),
        *(_clean(note) for note in results.notes),
    ]
    return "\n\n".join(part for part in parts if part)


def machine(folder: Path) -> str:
    """Return what was measured on, and with which versions, in one paragraph. `folder`: where the peers are."""
    cores = len(os.sched_getaffinity(0))
    optimized = "--enable-optimizations" in str(sysconfig.get_config_var("CONFIG_ARGS"))
    python = f"Python {platform.python_version()} built with{'' if optimized else 'out'} profile-guided optimization"
    libraries = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in _LIBRARIES)
    peers = ", ".join(f"{name} {version}" for name, version in versions(folder).items())
    kernel = f"{platform.system()} {platform.release()}"
    return f"{_processor()}, {cores} cores, {kernel}. {python}, {libraries}. Peers: {peers}."


def _processor() -> str:
    found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(encoding="utf-8"), re.MULTILINE)
    return found[1] if found else platform.machine()


def _heading(results: Results) -> str:
    return f"{results.date}, {results.rounds} rounds. {_clean(results.machine)}"


def _goals(goals: Sequence[Goal]) -> str:
    """Return what was measured beside what is wanted."""
    rows = []
    for goal in goals:
        bound = f"{'at least' if goal.at_least else 'at most'} {goal.bound:,g} {goal.unit}".rstrip()
        verdict = "not measured" if goal.met is None else "met" if goal.met else "**missed**"
        rows.append(
            (goal.name, bound, _spanned(span(goal.values)), f"{verdict}; {goal.note}" if goal.note else verdict)
        )
    return _rows(("Goal", "Bound", "Measured: min / median / max", ""), rows, left=(0, 1, 3))


def _load(results: Results, load: LoadInfo) -> str:
    """Return the table of a load: a row for each peer."""
    rows = [_row(results, peer, load) for peer in _order(results) if _asked(results, peer, load)]
    if not rows:
        return ""
    if load.name in QUOTED:
        rows.append((_QUOTED_NAME, _NONE, f"{QUOTED[load.name]:g}", *[_NONE] * 5))
    columns = (
        f"CPU, µs per {load.unit}: min / median / max",
        "by nginx's",
        "by the proxy's",
        "answer, ms: p50 / p99",
        "first token, ms",
        "delay of a token, ms",
        "RSS, MiB",
    )
    return f"### {load.title}\n\n{load.about}\n\n{_rows(*_told(('Peer', *columns), rows))}"


def _row(results: Results, peer: str, load: LoadInfo) -> tuple[str, ...]:
    failure = results.failure(peer, load.name)
    if failure:
        return (peer, f"failed: {_clean(failure)[:_SHOWN]}", *[_NONE] * 6)
    samples = results.of(peer, load.name)
    return (
        f"**{peer}**" if peer == PROXY else peer,
        _NONE if peer == DIRECT else _spanned(span(sample.cost for sample in samples)),
        _NONE if peer == DIRECT else _spanned(span(results.ratios(peer, FLOOR, load.name))),
        _NONE if peer == DIRECT else _spanned(span(results.ratios(peer, PROXY, load.name))),
        _middle(sample.latency_ms for sample in samples),
        _middle(sample.first_ms for sample in samples),
        _middle(sample.chunk_ms for sample in samples),
        _NONE if peer == DIRECT else _number(statistics.median(sample.rss_mb for sample in samples)),
    )


def _told(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]:
    """Return columns and rows without the columns in which no row has anything."""
    kept = [place for place in range(len(columns)) if any(row[place] != _NONE for row in rows)]
    return tuple(columns[place] for place in kept), tuple(tuple(row[place] for place in kept) for row in rows)


def _growth(growth: Sequence[Growth]) -> str:
    if not growth:
        return ""
    rows = [
        (
            f"{one.streams:,}",
            f"{one.events:,}",
            _number(one.us_per_event),
            _number(one.kib_per_stream),
            _number(one.rss_mb),
            _middle([one.chunk_ms]),
            _middle([one.live_ms]),
            str(one.lost),
        )
        for one in growth
    ]
    columns = (
        "Streams",
        "events",
        "CPU, µs per event",
        "KiB per stream",
        "RSS, MiB",
        "delay of a token, ms: p50 / p99",
    )
    return "### Growth of the proxy\n\n" + _rows((*columns, "`/live`, ms", "lost"), rows, left=())


def _capacities(results: Results) -> str:
    """Return what the upstream alone can do, beside what the fastest peer did: it must not be what is measured."""
    titles = {load.name: load.title for load in results.loads}
    rows = [
        (titles[one.load], f"{one.direct:,.0f}", f"{one.fastest:,.0f}", one.peer, f"{one.factor:.1f}")
        for one in results.capacities
    ]
    columns = ("Load", "Upstream alone, per second", "fastest peer", "which", "factor")
    return "### What the scripted upstream can do\n\n" + _rows(columns, rows, left=(0, 3)) if rows else ""


def _measured(results: Results) -> str:
    """Return who was measured, what is to be known of each, and who could not be."""
    known = {peer.name: peer for peer in PEERS}
    rows = [
        (name, {"ollama": "Ollama", "openai": "OpenAI"}[known[name].front], known[name].about)
        for name in results.peers()
        if name in known
    ]
    shown = "### Peers\n\n" + _rows(("Peer", "its clients speak", ""), rows, left=(0, 1, 2)) if rows else ""
    gone = "\n".join(f"- not measured: {name}: {_clean(reason)}" for name, reason in results.missing.items())
    return "\n\n".join(part for part in (shown, gone) if part)


def _order(results: Results) -> list[str]:
    """Return the names of all, the proxy first and the upstream itself last."""
    return sorted(results.peers(), key=lambda name: (name != PROXY, name == DIRECT))


def _asked(results: Results, peer: str, load: LoadInfo) -> bool:
    return bool(results.of(peer, load.name) or results.failure(peer, load.name))


def _middle(found: Iterable[Percentiles | None]) -> str:
    """Return the medians of p50 and p99 over rounds."""
    known = [one for one in found if one]
    if not known:
        return _NONE
    return " / ".join(
        _number(statistics.median(column)) for column in zip(*((o.p50, o.p99) for o in known), strict=True)
    )


def _spanned(found: Span | None) -> str:
    """Return the least, the middle and the most; one number if they are the same."""
    if not found:
        return _NONE
    return " / ".join(map(_number, found)) if found.most > found.least else _number(found.median)


def _number(value: float) -> str:
    """Return a number with as many digits as one reads: at least two, none after the point from 100 on."""
    size = abs(value)
    if size >= 100 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:.1f}" if size >= 10 else f"{value:.2f}"


def _clean(text: str) -> str:
    """Return a text as it can stand in a table: in one line, without places on this machine."""
    return _PLACE.sub("…", " ".join(text.split())).replace("|", "\\|")


def _rows(columns: Sequence[str], rows: Sequence[Sequence[str]], left: Sequence[int] = (0,)) -> str:
    """Return a table. `left`: the columns that hold words; the others hold numbers."""
    if not rows:
        return ""
    marks = [":--" if place in left else "--:" for place in range(len(columns))]
    return "\n".join(f"| {' | '.join(row)} |" for row in (columns, marks, *rows))
