"""What was found, for people and for programs."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterator, Sequence

from benchmarks.soak.outcome import Check, Outcome


def verdict(outcome: Outcome) -> str:
    return "FAILED" if outcome.failures else "passed"


def as_markdown(outcomes: Sequence[Outcome]) -> str:
    lines = ["# Load and soak", "", _about(outcomes), "", "| Scenario | Seconds | Verdict |", "|---|---|---|"]
    lines += [f"| {one.key} | {one.seconds:.0f} | {verdict(one)} |" for one in outcomes]
    for outcome in outcomes:
        lines += ["", *_section(outcome)]
    return "\n".join(lines) + "\n"


def as_json(outcomes: Sequence[Outcome]) -> str:
    scenarios = [
        {
            "scenario": outcome.key,
            "goal": outcome.goal,
            "verdict": verdict(outcome),
            "seconds": round(outcome.seconds, 1),
            "checks": [check._asdict() for check in outcome.checks],
            "milliseconds": {name: found._asdict() for name, found in outcome.spreads.items()},
        }
        for outcome in outcomes
    ]
    return json.dumps({"machine": _machine(), "seed": outcomes[0].seed, "scenarios": scenarios}, indent=1) + "\n"


def _about(outcomes: Sequence[Outcome]) -> str:
    form = "full" if any(outcome.full for outcome in outcomes) else "short"
    judged = "" if form == "full" else " Bounds marked (told) fail only the full form."
    return f"The {form} form, on {_machine()}, with the seed {outcomes[0].seed}.{judged}"


def _machine() -> str:
    return f"{os.cpu_count()} CPUs, {platform.system()} {platform.machine()}, Python {platform.python_version()}"


def _section(outcome: Outcome) -> Iterator[str]:
    yield from (f"## {outcome.key}: {verdict(outcome)}", "", outcome.goal, "")
    yield from ("| What | Measured | Bound | |", "|---|---|---|---|")
    for check in dict.fromkeys(outcome.checks):  # once what was found of several proxies
        yield f"| {check.what} | {check.measured.replace('|', '/')} | {check.bound} | {_mark(check, outcome)} |"
    if outcome.spreads:
        yield from ("", "| Milliseconds | Count | p50 | p99 | Max |", "|---|---|---|---|---|")
    for name, found in outcome.spreads.items():
        yield f"| {name} | {found.number} | {found.p50:.1f} | {found.p99:.1f} | {found.most:.1f} |"


def _mark(check: Check, outcome: Outcome) -> str:
    if check in outcome.failures:
        return "FAILED"
    if check.speed and not outcome.full:
        return "(told)"
    return "ok" if check.bound else ""
