"""Load and soak: what the proxy stands, in front of a backend that does as it is told.

    python benchmarks/soak [SCENARIO ...] [--full] [--seed N] [--report FILE]

The short form fails on what is wrong, never on what is slow; with --full, the loads and the bounds are the great ones.
The exit status is 1 if a scenario fails. A report goes to FILE in Markdown, and beside it in JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

import uvloop
from benchmarks.soak import aborts, chaos, kernel, memory, overload, readers, restart, streams, throughput
from benchmarks.soak.outcome import Outcome, Scenario
from benchmarks.soak.report import as_json, as_markdown, verdict

_PARTS = (streams, aborts, memory, readers, overload, restart, throughput, chaos)
_SEED = 1
_LONGEST, _LONGEST_FULL = 300.0, 7200.0


def main() -> None:
    found = (scenario for part in _PARTS for scenario in part.SCENARIOS)
    scenarios = {scenario.key: scenario for scenario in sorted(found, key=lambda one: int(one.key[1:]))}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scenario", nargs="*", type=str.upper, help=f"of {', '.join(scenarios)}; all by default")
    parser.add_argument("--full", action="store_true", help="the great loads, and every bound")
    parser.add_argument("--report", type=Path, metavar="FILE", help="where to write what was found")
    parser.add_argument("--seed", type=int, metavar="N", help="of what is random; by default as ever, with --full new")
    given = parser.parse_args()
    if unknown := set(given.scenario) - set(scenarios):
        parser.error(f"there is no {', '.join(sorted(unknown))}")
    kernel.allow_many_files()
    seed = (random.SystemRandom().randrange(10**9) if given.full else _SEED) if given.seed is None else given.seed
    chosen = [scenario for key, scenario in scenarios.items() if not given.scenario or key in given.scenario]
    try:
        outcomes = uvloop.run(_all(chosen, full=given.full, seed=seed))
    except (KeyboardInterrupt, asyncio.CancelledError):
        sys.exit("interrupted")
    text = as_markdown(outcomes)
    print(text)
    if given.report:
        given.report.write_text(text, encoding="utf-8")
        given.report.with_suffix(".json").write_text(as_json(outcomes), encoding="utf-8")
    failed = [outcome.key for outcome in outcomes if outcome.failures]
    print(f"failed: {', '.join(failed) or 'nothing'}")
    sys.exit(1 if failed else 0)


async def _all(scenarios: Sequence[Scenario], *, full: bool, seed: int) -> list[Outcome]:
    task = asyncio.current_task()
    if task:  # so that its processes are ended, as after Ctrl-C
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    outcomes = []
    for scenario in scenarios:
        print(f"{scenario.key}: ", end="", file=sys.stderr, flush=True)
        outcome = await _one(scenario, full=full, seed=seed)
        print(f"{verdict(outcome)}, {outcome.seconds:.0f} s", file=sys.stderr, flush=True)
        outcomes.append(outcome)
    return outcomes


async def _one(scenario: Scenario, *, full: bool, seed: int) -> Outcome:
    outcome = Outcome(scenario.key, scenario.goal, full=full, seed=seed)
    try:
        async with asyncio.timeout(_LONGEST_FULL if full else _LONGEST):
            await scenario.run(outcome)
    except (OSError, EOFError, ExceptionGroup, ValueError, KeyError) as error:  # OSError: TimeoutError, too
        outcome.none("what ended the scenario", [repr(error)])
    outcome.end()
    return outcome


if __name__ == "__main__":
    main()
