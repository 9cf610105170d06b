"""What a run found, as it goes into the JSON file and from there into tables and plots.

CPU is in microseconds, of all processes of a peer together; other times are in the unit that their names end in, memory
is in MiB.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from pathlib import Path
from typing import Literal, NamedTuple

import msgspec

PROXY = "proxy"
DIRECT = "direct"
"""The upstream itself, with no peer between: what the client and the backend take."""
BEFORE = "before"
"""Another build of the proxy, which this one is compared with."""

Unit = Literal["request", "event", "embedding"]


class Percentiles(msgspec.Struct, frozen=True):
    p50: float
    p99: float


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """One load on one peer, in one round. Where `failed` says why it is not to be counted, the numbers mean nothing."""

    peer: str
    load: str
    round: int
    requests: int = 0
    events: int = 0
    """Streamed events that came; 0 of a load that is not streamed."""
    units: int = 0
    """How many of the load's unit there were: what `cpu_us` is divided by."""
    cpu_us: float = 0.0
    """Of the whole load, not of one unit."""
    wall_s: float = 0.0
    latency_ms: Percentiles | None = None
    """From asking to the last byte of the answer."""
    first_ms: Percentiles | None = None
    """From asking to the first token; streamed loads alone."""
    chunk_ms: Percentiles | None = None
    """From the making of a token to its coming; paced loads alone."""
    rss_mb: float = 0.0
    """At the end of the load, of all processes."""
    peak_mb: float = 0.0
    """The most so far, of all processes."""
    pss_mb: float = 0.0
    """At the end: what processes share is counted once."""
    upstream_us: float = 0.0
    """CPU of the scripted backend in the whole load."""
    client_us: float = 0.0
    """CPU of the load in the whole load."""
    failed: str = ""

    @property
    def cost(self) -> float:
        """CPU in microseconds per unit."""
        return self.cpu_us / self.units if self.units else 0.0

    @property
    def rate(self) -> float:
        """Units per second."""
        return self.units / self.wall_s if self.wall_s else 0.0


class LoadInfo(msgspec.Struct, frozen=True):
    """What a load is: its name in samples, what a table calls it, what its CPU is counted by, and how it is done."""

    name: str
    title: str
    unit: Unit
    about: str


class Growth(msgspec.Struct, frozen=True, kw_only=True):
    """A proxy with so many streams open, at the same number of events per second whatever their number."""

    streams: int
    events: int
    """In the time measured, in which all streams were open."""
    us_per_event: float
    kib_per_stream: float
    """RSS above that before the first stream."""
    rss_mb: float
    chunk_ms: Percentiles
    live_ms: Percentiles | None = None
    """What `/live` took meanwhile; of the most streams alone."""
    lost: int = 0
    """Events that did not come, or came twice or out of order."""


class Goal(msgspec.Struct, frozen=True, kw_only=True):
    """A goal beside what was measured; `values` holds one for each round, none if it was not measured."""

    name: str
    bound: float
    unit: str
    values: tuple[float, ...] = ()
    at_least: bool = False
    """Whether more is better."""
    note: str = ""

    @property
    def median(self) -> float | None:
        return statistics.median(self.values) if self.values else None

    @property
    def met(self) -> bool | None:
        """Whether the median keeps to the bound; None if it was not measured."""
        if self.median is None:
            return None
        return self.median >= self.bound if self.at_least else self.median <= self.bound


class Capacity(msgspec.Struct, frozen=True, kw_only=True):
    """Units per second of the upstream alone, under a load, beside those of the fastest peer."""

    load: str
    direct: float
    fastest: float
    peer: str

    @property
    def factor(self) -> float:
        return self.direct / self.fastest if self.fastest else 0.0


class Results(msgspec.Struct, kw_only=True):
    """A run. `missing`: the peers that could not be had or did not start, and why."""

    date: str
    rounds: int
    machine: str
    loads: tuple[LoadInfo, ...]
    samples: list[Sample] = []
    missing: dict[str, str] = {}
    capacities: list[Capacity] = []
    growth: list[Growth] = []
    goals: list[Goal] = []
    notes: list[str] = []

    def of(self, peer: str, load: str) -> list[Sample]:
        """The samples of a peer under a load that count, in order of their rounds; none if any of them failed."""
        found = [sample for sample in self.samples if (sample.peer, sample.load) == (peer, load)]
        return [] if any(sample.failed for sample in found) else found

    def failure(self, peer: str, load: str) -> str:
        """Why a peer has no numbers under a load, "" if it has or was not asked."""
        found = (sample for sample in self.samples if (sample.peer, sample.load) == (peer, load))
        return next((sample.failed for sample in found if sample.failed), "")

    def peers(self) -> tuple[str, ...]:
        """The names of those that were measured, in the order in which they were first."""
        return tuple(dict.fromkeys(sample.peer for sample in self.samples))

    def ratios(self, peer: str, to: str, load: str) -> list[float]:
        """CPU per unit of one peer by that of another, round by round."""
        costs = {sample.round: sample.cost for sample in self.of(to, load) if sample.cost}
        return [sample.cost / costs[sample.round] for sample in self.of(peer, load) if sample.round in costs]


class Span(NamedTuple):
    """The least, the middle and the most of some rounds."""

    least: float
    median: float
    most: float


def span(values: Iterable[float]) -> Span | None:
    """None of nothing."""
    found = sorted(values)
    return Span(found[0], statistics.median(found), found[-1]) if found else None


def save(results: Results, file: Path) -> None:
    file.write_bytes(msgspec.json.format(msgspec.json.encode(results), indent=1) + b"\n")


def read(file: Path) -> Results:
    """Raises OSError, and msgspec.DecodeError for what is no such file."""
    return msgspec.json.decode(file.read_bytes(), type=Results)
