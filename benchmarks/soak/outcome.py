"""What a scenario found: what must hold, what was merely measured."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterable
from typing import NamedTuple

from benchmarks.soak.figures import Spread, spread

_SHOWN = 5


class Check(NamedTuple):
    """One thing that was looked at. A `speed` that misses its bound fails nothing unless speeds are asked for."""

    what: str
    measured: str
    bound: str
    passed: bool
    speed: bool = False


class Outcome:
    """The checks and the distributions of one scenario.

    `full`: its loads and bounds are the great ones. `seed`: of what is done at random.
    """

    def __init__(self, key: str, goal: str, *, full: bool, seed: int = 0) -> None:
        self.key = key
        self.goal = goal
        self.full = full
        self.seed = seed
        self.checks: list[Check] = []
        self.spreads: dict[str, Spread] = {}
        self._began = time.monotonic()
        self.seconds = 0.0

    def none(self, what: str, found: Iterable[object]) -> None:
        """Nothing of the kind may have been found."""
        found = list(found)
        shown = "; ".join(str(one) for one in found[:_SHOWN] if one is not None)
        self.checks.append(Check(what, f"{len(found)}: {shown}" if shown else str(len(found)), "0", not found))

    def equal(self, what: str, value: float, expected: float) -> None:
        self.checks.append(Check(what, _number(value), _number(expected), value == expected))

    def at_most(self, what: str, value: float, bound: float, unit: str = "") -> None:
        self._bounded(what, value, bound, unit, speed=False)

    def speed(self, what: str, value: float, bound: float, unit: str = "") -> None:
        """Something that must not be more than this on a machine of its own, and is only told of elsewhere."""
        self._bounded(what, value, bound, unit, speed=True)

    def told(self, what: str, value: float, unit: str = "") -> None:
        """Something without a bound."""
        self.checks.append(Check(what, _number(value, unit), "", passed=True))

    def spread(self, what: str, seconds: Iterable[float]) -> Spread:
        """Keep a distribution of times; it is told of in milliseconds."""
        self.spreads[what] = spread(value * 1000 for value in seconds)
        return self.spreads[what]

    def end(self) -> None:
        self.seconds = time.monotonic() - self._began

    @property
    def failures(self) -> list[Check]:
        """Return what makes the scenario fail."""
        return [check for check in self.checks if not check.passed and (self.full or not check.speed)]

    def _bounded(self, what: str, value: float, bound: float, unit: str, *, speed: bool) -> None:
        passed = value <= bound  # which NaN is not
        self.checks.append(Check(what, _number(value, unit), f"<= {_number(bound, unit)}", passed, speed))


class Scenario(NamedTuple):
    """`goal`: in one line, what is done and what must come of it."""

    key: str
    goal: str
    run: Callable[[Outcome], Awaitable[None]]


def _number(value: float, unit: str = "") -> str:
    return f"{value:.4g} {unit}".rstrip() if abs(value) < 1e4 else f"{value:.0f} {unit}".rstrip()
