"""What the matrix does not measure: half load, many streams, workers, the start. Of the proxy alone."""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import msgspec
import uvloop
from benchmarks.bench import own, processes
from benchmarks.bench.loads import LOADS, Load, Plan
from benchmarks.bench.matrix import ROOT, Target, Upstream, percentiles, started, upstream
from benchmarks.bench.processes import Cores
from benchmarks.bench.results import PROXY, Growth, Percentiles

HALF = Load("half", "Streamed, half load", "request", 32, Plan(events=20, pause=0.02))
STREAMS = (10, 100, 1000)
_EVENTS_PER_SECOND = 1000
_LONGEST = 60.0
_OPENED_PER_SECOND = 200
_NEVER = 10.0  # seconds after which whoever looks at `/live` gives up


class Bench(NamedTuple):
    """Where it all runs. `seconds`: how long each load lasts."""

    cores: Cores
    folder: Path
    seconds: float


class Half(NamedTuple):
    """Milliseconds until the first token at half of the rate that takes a whole core, and without the proxy."""

    rate: float
    through: Percentiles
    direct: Percentiles


def half_load(bench: Bench) -> Half:
    """Raises Wrong and OSError."""
    with _proxy(bench) as (target, backend):
        return uvloop.run(_half(target, backend, bench.seconds))


async def _half(target: Target, backend: Upstream, seconds: float) -> Half:
    await backend.plan(HALF.plan)
    before = _cpu(target)
    tally = await target.job(HALF).closed_loop(HALF.at_once, seconds, _LONGEST)
    rate = 1e6 / ((_cpu(target) - before) / tally.requests) / 2
    found = []
    for one in (target, backend.target):
        tally = await one.job(HALF).arrivals(rate, int(rate * seconds) + 1, _LONGEST)
        found.append(percentiles(tally.first, 1e3))
    return Half(rate, *found)


def growth(bench: Bench, streams: int) -> Growth:
    """Hold so many streams open, which have as many events per second together, however many they are.

    Raises Wrong and OSError.
    """
    with _proxy(bench) as (target, backend):
        port, log = target.port, bench.folder / "prober.log"
        command = [sys.executable, "-m", "benchmarks.soak.prober", str(port), "/live", "0.05"]
        with processes.running(command, env={}, cwd=ROOT, cores=bench.cores.client, log=log) as prober:
            found = uvloop.run(_grown(target, backend, streams, bench.seconds))
            prober.finish()
        seen = json.loads(log.read_text(encoding="utf-8"))
    live = percentiles([_NEVER if one is None else one for one in seen], 1e3)
    return msgspec.structs.replace(found, live_ms=live)


async def _grown(target: Target, backend: Upstream, streams: int, seconds: float) -> Growth:
    opening, pause = streams / _OPENED_PER_SECOND, streams / _EVENTS_PER_SECOND
    load = Load("growth", "", "event", streams, Plan(int((opening + seconds + 2) / pause) + 1, pause))
    await backend.plan(HALF.plan)
    await target.job(HALF).closed_loop(1, 0, _LONGEST)  # what the first stream loads is not that of each
    idle = _memory(target)
    await backend.plan(load.plan)
    job = target.job(load)
    running = asyncio.create_task(job.arrivals(_OPENED_PER_SECOND, streams, _LONGEST + seconds * 2, steady=True))
    begun = asyncio.create_task(job.begun.wait())
    await asyncio.wait({running, begun}, return_when=asyncio.FIRST_COMPLETED)
    begun.cancel()
    cpu, tokens = _cpu(target), job.tally.tokens
    await asyncio.wait({running}, timeout=seconds)
    cpu, tokens, held = _cpu(target) - cpu, job.tally.tokens - tokens, _memory(target)
    tally = await running
    return Growth(
        streams=streams,
        events=tokens,
        us_per_event=cpu / tokens if tokens else 0.0,
        kib_per_stream=(held - idle) * 1024 / streams,
        rss_mb=held,
        chunk_ms=percentiles(tally.late, 1e-6),
        lost=streams * load.plan.events - tally.tokens + tally.out_of_place,
    )


def workers(bench: Bench, number: int) -> tuple[float, float]:
    """Return requests per second, and per second of CPU, of so many workers on the same two cores.

    Raises Wrong and OSError.
    """
    with _proxy(bench, bench.cores.workers, WORKERS=str(number)) as (target, backend):
        return uvloop.run(_served(target, backend, bench.seconds))


def start_cpu(bench: Bench) -> float:
    """Return the seconds of CPU that the proxy takes until it accepts connections."""
    port = processes.free_port()
    with tempfile.TemporaryDirectory() as scratch:
        command = own.command(bench.folder, port, port, Path(scratch), source=own.SOURCE)
        log, cores = Path(scratch) / "log", bench.cores.peer
        with processes.running(command.argv, env=command.env, cwd=command.cwd, cores=cores, log=log) as group:
            processes.listening(group, port, _LONGEST)
            return group.cpu_us() / 1e6


async def _served(target: Target, backend: Upstream, seconds: float) -> tuple[float, float]:
    await backend.plan(Plan())
    await target.job(LOADS[0]).closed_loop(LOADS[0].at_once, 0.5, _LONGEST)
    cpu, began = _cpu(target), time.perf_counter()
    tally = await target.job(LOADS[0]).closed_loop(LOADS[0].at_once, seconds, _LONGEST)
    return tally.requests / (time.perf_counter() - began), tally.requests / (_cpu(target) - cpu) * 1e6


@contextmanager
def _proxy(bench: Bench, cores: set[int] | None = None, **settings: str) -> Iterator[tuple[Target, Upstream]]:
    """Run a proxy and its backend, for nothing else."""
    with tempfile.TemporaryDirectory() as scratch, upstream(bench.cores, Path(scratch)) as backend:
        peer = own.build(PROXY, settings=settings)
        with started(peer, bench.folder, backend, cores or bench.cores.peer) as target:
            yield target, backend


def _cpu(target: Target) -> float:
    return target.group.cpu_us() if target.group else 0.0


def _memory(target: Target) -> float:
    return target.group.memory().rss if target.group else 0.0
