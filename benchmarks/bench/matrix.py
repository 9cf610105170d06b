"""The matrix: each load on each peer in turn, round by round, so that what changes meanwhile changes for all."""

from __future__ import annotations

import asyncio
import gc
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import msgspec
import uvloop
from benchmarks.bench import processes
from benchmarks.bench.client import HOST, Job, Wrong
from benchmarks.bench.loads import LOADS, Front, Load, Plan
from benchmarks.bench.peers import Peer
from benchmarks.bench.processes import Cores, Group
from benchmarks.bench.results import DIRECT, Percentiles, Sample

ROOT = Path(__file__).parents[2]
_LONGEST = 60.0  # beside the time for which a load asks
_WARM = 0.3
_STARTED = 20.0


class Target(NamedTuple):
    """What is measured: a peer that runs. `group`: its processes; None is the upstream itself."""

    name: str
    front: Front
    port: int
    model: str
    headers: dict[str, str]
    group: Group | None

    def job(self, load: Load) -> Job:
        return Job(load, self.front, self.port, load.request(self.front, self.model, self.headers))


class Upstream:
    """The scripted backend, which runs."""

    def __init__(self, port: int, group: Group) -> None:
        self.port = port
        self.group = group

    @property
    def target(self) -> Target:
        return Target(DIRECT, "openai", self.port, "bench", {}, None)

    async def plan(self, plan: Plan) -> None:
        """Tell it what to answer from now on. Raises OSError."""
        body = msgspec.json.encode(plan)
        reader, writer = await asyncio.open_connection(HOST, self.port)
        writer.write(b"POST /_plan HTTP/1.1\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
        await reader.read()
        writer.close()


@contextmanager
def upstream(cores: Cores, scratch: Path) -> Iterator[Upstream]:
    port = processes.free_port()
    command = [sys.executable, "-m", "benchmarks.bench.upstream", str(port)]
    log = scratch / "upstream.log"
    with processes.running(command, env={}, cwd=ROOT, cores=cores.upstream, log=log) as group:
        processes.listening(group, port, _STARTED)
        yield Upstream(port, group)


@contextmanager
def started(peer: Peer, folder: Path, backend: Upstream, cores: set[int]) -> Iterator[Target]:
    """Run a peer in front of the upstream. Raises OSError if it does not start."""
    port = processes.free_port()
    with tempfile.TemporaryDirectory() as scratch:
        command = peer.start(folder, port, backend.port, Path(scratch))
        log = Path(scratch) / "log"
        with processes.running(command.argv, env=command.env, cwd=command.cwd, cores=cores, log=log) as group:
            processes.listening(group, port, peer.seconds)
            target = Target(peer.name, peer.front, port, peer.model, peer.headers, group)
            uvloop.run(_awake(target, backend))
            yield target


async def _awake(target: Target, backend: Upstream) -> None:
    """Ask until it answers rightly: some listen before they know their models. Not that it must."""
    await backend.plan(Plan())
    deadline = time.monotonic() + _STARTED
    while time.monotonic() < deadline:
        try:
            await target.job(LOADS[0]).closed_loop(1, 0, 5)
        except Wrong:
            await asyncio.sleep(0.2)
        else:
            return


def measure(target: Target, load: Load, backend: Upstream, number: int, seconds: float) -> Sample:
    """Put a load on a target for some seconds, after a short one to warm it up."""
    try:
        return uvloop.run(_measured(target, load, backend, number, seconds))
    except Wrong as wrong:
        return Sample(peer=target.name, load=load.name, round=number, failed=str(wrong))


async def _measured(target: Target, load: Load, backend: Upstream, number: int, seconds: float) -> Sample:
    await backend.plan(load.plan)
    await target.job(load).closed_loop(load.at_once, min(_WARM, seconds), _LONGEST)
    gc.collect()
    gc.disable()  # its pauses would be measured as the peer's
    try:
        before, client, began = _used(target, backend), time.process_time(), time.perf_counter()
        tally = await target.job(load).closed_loop(load.at_once, seconds, seconds + _LONGEST)
        wall, client, after = time.perf_counter() - began, time.process_time() - client, _used(target, backend)
    finally:
        gc.enable()
    memory = target.group.memory() if target.group else processes.Memory(0, 0, 0)
    if tally.out_of_place:
        raise Wrong(f"{tally.out_of_place} events out of place")
    return Sample(
        peer=target.name,
        load=load.name,
        round=number,
        requests=tally.requests,
        events=tally.events,
        units=load.units(tally.requests, tally.events),
        cpu_us=after[0] - before[0],
        wall_s=wall,
        latency_ms=percentiles(tally.latency, 1e3),
        first_ms=percentiles(tally.first, 1e3) if load.streamed else None,
        chunk_ms=percentiles(tally.late, 1e-6) if tally.late else None,
        rss_mb=memory.rss,
        peak_mb=memory.peak,
        pss_mb=memory.pss,
        upstream_us=after[1] - before[1],
        client_us=client * 1e6,
    )


def _used(target: Target, backend: Upstream) -> tuple[float, float]:
    return target.group.cpu_us() if target.group else 0.0, backend.group.cpu_us()


def percentiles(values: Sequence[float], factor: float) -> Percentiles:
    """Return the nearest ranks, by a factor. `values`: not empty."""
    ordered = sorted(values)
    return Percentiles(*(ordered[max(-(-len(ordered) * percent // 100), 1) - 1] * factor for percent in (50, 99)))
