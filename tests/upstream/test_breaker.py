"""The breaker, by a clock that the test sets."""

from __future__ import annotations

import pytest

from ollama_openai_proxy.errors import UpstreamUnavailable
from ollama_openai_proxy.limits import BreakerLimits
from ollama_openai_proxy.upstream.breaker import Breaker


class Watched:
    """A breaker that opens after three failures for 15 s, and what it has told."""

    def __init__(self, failures: int = 3) -> None:
        self.now = 100.0
        self.states: list[str] = []
        self.breaker = Breaker(BreakerLimits(failures, 15.0), lambda: self.now, self.states.append)

    def fail(self, times: int = 1, *, connected: bool = True, light: bool = False) -> None:
        for _ in range(times):
            self.breaker.failed(connected=connected, light=light)

    def refuses(self) -> int | None:
        """Return the seconds to wait, None if a request is let through."""
        try:
            self.breaker.enter()
        except UpstreamUnavailable as error:
            return error.retry_after
        return None


@pytest.fixture
def watched() -> Watched:
    return Watched()


def test_j7_opens(watched: Watched) -> None:
    """J7: after so many failures in a row requests are refused, with the seconds that are left; one fewer is fine."""
    watched.fail(2)
    assert watched.refuses() is None
    watched.fail()
    assert (watched.refuses(), watched.states) == (15, ["open"])
    watched.now += 14.5
    assert watched.refuses() == 1


def test_j7_in_a_row(watched: Watched) -> None:
    """J7: one answer, whatever it is, and the count begins anew; a request without a verdict changes nothing."""
    watched.fail(2)
    watched.breaker.succeeded()
    watched.fail(2)
    watched.breaker.left(tried=False)
    assert watched.refuses() is None
    watched.fail()
    assert watched.refuses() == 15


def test_j7_never() -> None:
    """J7: with a limit of 0 nothing is ever refused."""
    watched = Watched(failures=0)
    watched.fail(1000)
    assert (watched.refuses(), watched.states) == (None, [])


def test_j7_late_failures(watched: Watched) -> None:
    """J7: requests that were under way when it opened make the pause no longer."""
    watched.fail(3)
    watched.now += 10
    watched.fail(5)
    assert watched.refuses() == 5


def test_j8_one_at_a_time(watched: Watched) -> None:
    """J8: after the pause one request tries, and the others are refused until there is a verdict."""
    watched.fail(3)
    watched.now += 15
    assert watched.breaker.enter() is True
    assert [watched.refuses() for _ in range(3)] == [1, 1, 1]
    watched.breaker.succeeded()
    assert watched.breaker.enter() is False
    assert watched.states == ["open", "half-open", "closed"]


def test_j8_failed_probe(watched: Watched) -> None:
    """J8: when the one that tries fails it is open for a whole pause again."""
    watched.fail(3)
    watched.now += 15
    watched.breaker.failed(tried=watched.breaker.enter())
    assert (watched.refuses(), watched.states) == (15, ["open", "half-open", "open"])


def test_j8_aborted_probe(watched: Watched) -> None:
    """J8: when the one that tries is given up, that is no verdict: the next one tries at once."""
    watched.fail(3)
    watched.now += 15
    watched.breaker.left(tried=watched.breaker.enter())
    assert watched.breaker.enter() is True
    assert watched.states == ["open", "half-open"]


def test_j8_slow_probe(watched: Watched) -> None:
    """J8: a probe that takes as long as a pause does not hold up the others: another may try."""
    watched.fail(3)
    watched.now += 15
    watched.breaker.enter()
    watched.now += 15
    assert watched.breaker.enter() is True


def test_j8_failure_of_another(watched: Watched) -> None:
    """J8: a request from before that fails now is not the verdict on the one that tries."""
    watched.fail(3)
    watched.now += 15
    watched.breaker.enter()
    watched.fail()
    assert watched.states == ["open", "half-open"]


def test_connection_is_back(watched: Watched) -> None:
    """D10: when it was connections that failed, one that comes about closes it before the pause is over."""
    watched.fail(3, connected=False)
    watched.breaker.connected()
    assert (watched.refuses(), watched.states) == (None, ["open", "closed"])


def test_connection_proves_nothing(watched: Watched) -> None:
    """J7: when connections came about and died, another one that comes about is no news."""
    watched.fail(3)
    watched.breaker.connected()
    assert watched.refuses() == 15


def test_list_proves_little(watched: Watched) -> None:
    """J7: when requests with a body died, a list that is answered closes it only if lists have failed, too."""
    watched.fail(3)
    watched.breaker.succeeded(light=True)
    assert watched.refuses() == 15
    watched.fail(light=True)
    watched.breaker.succeeded(light=True)
    assert watched.refuses() is None


def test_list_is_evidence(watched: Watched) -> None:
    """J7: lists that fail count like any other request, and one that is answered is an answer."""
    watched.fail(2, light=True)
    watched.breaker.succeeded(light=True)
    watched.fail(2, light=True)
    assert watched.refuses() is None
    watched.fail(light=True)
    assert watched.refuses() == 15
    watched.breaker.succeeded(light=True)
    assert watched.refuses() is None


def test_pausing(watched: Watched) -> None:
    """It pauses while it is open, and not for longer than the pause."""
    seen = [watched.breaker.pausing]
    watched.fail(3)
    seen.append(watched.breaker.pausing)
    watched.now += 15
    assert [*seen, watched.breaker.pausing] == [False, True, False]
