"""What the proxy costs, beside others, in front of a backend that answers at once.

    scripts/bench [--quick] [--peers A,B] [--loads A,B] [--rounds N] [--json FILE] [--write-docs]
    scripts/bench --compare OTHER/src

Each load is put on each peer in turn, round by round: the peer on a core of its own, backend and load on the others.
CPU is what the operating system counts for the peer's processes. Loads are those of the matrix and what is measured of
the proxy alone: half, growth, workers, start. With --compare two builds of the proxy are measured, nothing else; what
has become dearer by more than a tenth is told, and the exit status is 0 all the same.
"""

from __future__ import annotations

import argparse
import datetime as dt
import signal
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

from benchmarks.bench import docs, goals, measured, own, report
from benchmarks.bench.extras import Bench
from benchmarks.bench.loads import LOADS, Load
from benchmarks.bench.matrix import Target, measure, started, upstream
from benchmarks.bench.peers import PEERS, Missing, Peer
from benchmarks.bench.processes import Cores
from benchmarks.bench.results import BEFORE, DIRECT, PROXY, Capacity, Results, save, span
from benchmarks.soak.kernel import allow_many_files

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / ".tools" / "bench"
_ENOUGH = 1.5
_DEARER = 1.1


def main() -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended"))  # so that what was started is ended too
    given = _arguments()
    allow_many_files()
    try:
        results = run(given)
    except KeyboardInterrupt:
        sys.exit("interrupted")
    print(report.table(results))
    if given.json:
        save(results, given.json)
    if given.compare:
        _compare(results)
    if given.write_docs:
        docs.write(results, ROOT / "docs")


def run(given: argparse.Namespace) -> Results:
    """Measure what was asked for. Raises OSError where there is only one core."""
    bench = Bench(Cores.here(), FOLDER, given.seconds)
    FOLDER.mkdir(parents=True, exist_ok=True)
    loads = [load for load in LOADS if load.name in given.loads]
    results = Results(
        date=dt.datetime.now(dt.UTC).date().isoformat(),
        rounds=given.rounds,
        machine="",
        loads=tuple(load.info() for load in loads),
    )
    builds = own.builds(given.compare)
    chosen = list(builds) if given.compare else [peer for peer in (*builds, *PEERS) if peer.name in given.peers]
    chosen = [peer for peer in chosen if _had(peer, results)]
    results.machine = report.machine(FOLDER)
    if loads:
        _matrix(results, chosen, loads, bench)
    if not given.compare:
        results.goals += goals.of_matrix(results)
    if not given.compare and any(peer.name == PROXY for peer in chosen):
        measured.alone(results, bench, given.loads)
    return results


def _had(peer: Peer, results: Results) -> bool:
    try:
        peer.prepare(FOLDER)
    except Missing as missing:
        results.missing[peer.name] = str(missing)
        _say(f"{peer.name}: missing, {missing}")
        return False
    return True


def _matrix(results: Results, peers: Sequence[Peer], loads: Sequence[Load], bench: Bench) -> None:
    """Start all, then put each load on one after the other, round by round."""
    with tempfile.TemporaryDirectory() as scratch, ExitStack() as stack:
        backend = stack.enter_context(upstream(bench.cores, Path(scratch)))
        targets: list[Target] = [backend.target]
        for peer in peers:
            try:
                targets.append(stack.enter_context(started(peer, bench.folder, backend, bench.cores.peer)))
            except OSError as error:
                results.missing[peer.name] = f"did not start: {error}"
                _say(f"{peer.name}: did not start: {error}")
        for load in loads:
            for number in range(1, results.rounds + 1):
                for target in targets:
                    if not results.failure(target.name, load.name):
                        results.samples.append(measure(target, load, backend, number, bench.seconds))
                        _tell(results)
            _capacity(results, load)


def _tell(results: Results) -> None:
    one = results.samples[-1]
    busy = f"{one.cost:9.1f} us, {one.rate:9.0f} a second, {100 * one.cpu_us / max(one.wall_s, 1e-9) / 1e6:4.0f} % busy"
    rest = 100 * (one.upstream_us + one.client_us) / max(one.wall_s, 1e-9) / 1e6
    said = f"FAILED: {one.failed}" if one.failed else f"{busy}, the rest {rest:4.0f} %"
    _say(f"{one.load:11}{one.round:2} {one.peer:18}{said}")


def _capacity(results: Results, load: Load) -> None:
    """Compare what the upstream can do with what the fastest peer did; a paced load asks the same of all."""
    rates = {name: [one.rate for one in results.of(name, load.name)] for name in results.peers()}
    middle = {name: found.median for name, values in rates.items() if (found := span(values))}
    direct = middle.pop(DIRECT, 0.0)
    if load.plan.pause or not direct or not middle:
        return
    fastest = max(middle, key=lambda name: middle[name])
    capacity = Capacity(load=load.name, direct=direct, fastest=middle[fastest], peer=fastest)
    results.capacities.append(capacity)
    _say(f"{load.name}: the upstream alone does {capacity.factor:.1f} times what {fastest} does")
    if capacity.factor < _ENOUGH:
        _say(f"warning: {load.name}: {fastest} was hardly kept busy; its CPU is that of a peer that waits now and then")


def _compare(results: Results) -> None:
    for load in results.loads:
        found = span(results.ratios(PROXY, BEFORE, load.name))
        if found:
            print(f"{load.title}: {found.median:.2f} times what it took before ({found.least:.2f} to {found.most:.2f})")
        if found and found.median > _DEARER:
            print(f"::warning::{load.title}: CPU per {load.unit} is {found.median:.2f} times what it was")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = [own.builds(None)[0].name, own.LOGGING, *(peer.name for peer in PEERS)]
    loads = [*(load.name for load in LOADS), *measured.NAMES]
    parser.add_argument("--peers", type=_names(names), default=names, help=f"of {', '.join(names)}")
    parser.add_argument("--loads", type=_names(loads), default=loads, help=f"of {', '.join(loads)}")
    parser.add_argument("--rounds", type=int, help="3 by default, 1 with --quick")
    parser.add_argument("--seconds", type=float, help="how long each load lasts: 4 by default, 1 with --quick")
    parser.add_argument("--quick", action="store_true", help="minutes instead of an hour; the numbers say less")
    parser.add_argument("--json", type=Path, metavar="FILE", help="where to write what was found")
    parser.add_argument("--write-docs", action="store_true", help="put table and plots into docs/performance.md")
    parser.add_argument("--compare", type=Path, metavar="SRC", help="the src folder of another checkout")
    given = parser.parse_args()
    given.rounds = given.rounds or (1 if given.quick else 3)
    given.seconds = given.seconds or (1.0 if given.quick else 4.0)
    return given


def _names(known: Sequence[str]) -> Callable[[str], list[str]]:
    """Return what reads names that are divided by commas, of those that are known."""

    def read(text: str) -> list[str]:
        names = text.split(",")
        if unknown := set(names) - set(known):
            raise argparse.ArgumentTypeError(f"there is no {', '.join(sorted(unknown))}")
        return names

    return read


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
