"""Repeats: how long to wait before one, and how many there may be, so that they never make an outage worse.

The budget is the one of Finagle (https://finagle.github.io/blog/2016/02/08/retry-budgets): a share of the calls of the
last seconds, and a few that are always allowed. The pauses are jittered in full, so that clients that failed together
do not come back together.
"""

from __future__ import annotations

import random
from collections.abc import Callable

_SECONDS = 10  # that the budget remembers
_FLOOR = 3  # repeats within these that need no calls to pay for them
_FIRST_PAUSE = 0.05
_LONGEST_PAUSE = 2.0
# What a client waits for a backend that names a time. One that names a longer one may be told to the client.
LONGEST_WAIT = 5.0
# What a backend answers that may answer better a moment later.
PATIENT = frozenset({429, 502, 503, 504, 529})


class Budget:
    """How many repeats there may be: `share` of the calls of the last ten seconds, and three."""

    def __init__(self, share: float, clock: Callable[[], float]) -> None:
        """`clock` is monotonic, in seconds."""
        self._share = share
        self._clock = clock
        self._balances = [0.0] * _SECONDS  # what the calls of a second paid in, less its repeats
        self._second = int(clock())

    def called(self) -> None:
        """A call is made, for the first time."""
        self._turn()
        self._balances[self._second % _SECONDS] += self._share

    def spend(self) -> bool:
        """Return whether there may be one more repeat, and if so count it."""
        self._turn()
        if sum(self._balances) + _FLOOR < 1 - 1e-6:  # sums of fractions are not exact
            return False
        self._balances[self._second % _SECONDS] -= 1
        return True

    def _turn(self) -> None:
        second = int(self._clock())
        if second == self._second:
            return
        for past in range(max(self._second + 1, second - _SECONDS + 1), second + 1):
            self._balances[past % _SECONDS] = 0.0
        self._second = second


def pause(repeats: int, chance: Callable[[], float] = random.random) -> float:
    """Return the seconds to wait before the next repeat, after so many. `chance` is in [0, 1)."""
    longest: float = min(_FIRST_PAUSE * 2**repeats, _LONGEST_PAUSE)
    return longest * chance()
