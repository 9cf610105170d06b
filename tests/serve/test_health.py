"""What is thought of the backend, from what was seen of it."""

from __future__ import annotations

import logging

import pytest

from ollama_openai_proxy.call import BreakerState, Call
from ollama_openai_proxy.errors import (
    ModelNotFound,
    ProxyError,
    UpstreamBroken,
    UpstreamRefused,
    UpstreamTimeout,
    UpstreamUnauthorised,
    UpstreamUnreachable,
)
from ollama_openai_proxy.observe.metrics import Metrics
from ollama_openai_proxy.serve.health import UpstreamHealth

CHAT = Call("/chat/completions", b"{}")
LIST = Call("/models")
DOWN = UpstreamUnreachable("the upstream refused the connection")


class Watched:
    """The health of an upstream, at a time that the test sets."""

    def __init__(self) -> None:
        self.now = 100.0
        self.metrics = Metrics(version="0")
        self.health = UpstreamHealth("default", self.metrics, lambda: self.now)

    def saw(self, *endings: ProxyError | None, call: Call = CHAT) -> str:
        for ending in endings:
            self.health.ended(call, ending)
        return self.health.status

    def figure(self, name: str) -> float:
        page, _ = self.metrics.render("")
        return float(next(line for line in page.decode().splitlines() if line.startswith(name)).rpartition(" ")[2])


@pytest.fixture
def watched() -> Watched:
    return Watched()


def test_nothing_seen(watched: Watched) -> None:
    """Before the first call nothing is known, and nothing is claimed."""
    assert watched.health.picture() == {"name": "default", "status": "unknown"}


def test_success_after_success(watched: Watched) -> None:
    """Each success tells that the upstream is up, though this process knew: another may have told that it is not."""
    watched.saw(None)
    watched.now += 5
    watched.metrics.upstream_up("default", up=False)
    assert watched.saw(None) == "healthy"
    assert watched.figure("ollama_proxy_upstream_up") == 1
    assert watched.health.picture()["last_success_age_seconds"] == 0
    watched.saw(DOWN, None)
    watched.now += 5
    assert watched.saw(None) == "degraded"  # as before: the failure is not forgotten
    assert watched.health.picture()["last_outcome_age_seconds"] == 0


def test_success(watched: Watched) -> None:
    """The picture tells the last outcome and its age in seconds."""
    watched.saw(None)
    watched.now += 3.5
    assert watched.health.picture() == {
        "name": "default",
        "status": "healthy",
        "last_outcome": "ok",
        "last_outcome_age_seconds": 3.5,
        "consecutive_failures": 0,
        "last_success_age_seconds": 3.5,
    }


@pytest.mark.parametrize(
    "refusal",
    [
        UpstreamRefused("context length", status=400, outcome="up_4xx"),
        UpstreamRefused("slow down", status=429, outcome="up_429"),
        ModelNotFound("m"),
    ],
    ids=lambda error: error.outcome,
)
def test_refusals_are_answers(watched: Watched, refusal: ProxyError) -> None:
    """A backend that refuses what a client asked for works; a circuit must not open by it (suna#4821)."""
    assert watched.saw(None, refusal, refusal, refusal, refusal) == "healthy"
    assert watched.health.picture()["last_outcome"] == refusal.outcome


@pytest.mark.parametrize(
    "failure",
    [DOWN, UpstreamTimeout("late"), UpstreamBroken("cut")],
    ids=lambda error: error.outcome,
)
def test_failures(watched: Watched, failure: ProxyError) -> None:
    """One failure after a success is a mishap, three in a row are none; it is forgotten a minute after a success."""
    assert watched.saw(None, failure) == "degraded"
    assert watched.saw(failure) == "degraded"
    assert watched.saw(failure) == "unhealthy"
    assert watched.saw(None) == "degraded"
    watched.now += 59
    assert watched.saw(None) == "degraded"
    watched.now += 1
    assert watched.saw(None) == "healthy"


ERROR = UpstreamRefused("oops", outcome="up_5xx")


def test_one_model_that_fails(watched: Watched) -> None:
    """A backend that answers each call with an error is reached: some model may work. It is not taken out of use."""
    assert watched.saw(None, *[ERROR] * 10) == "degraded"
    assert watched.saw(None, ERROR, None, ERROR) == "degraded"


def test_list_that_fails(watched: Watched) -> None:
    """A gateway before a backend that is down answers everything with an error: its list of models, too."""
    watched.saw(None, call=LIST)
    assert watched.saw(ERROR, ERROR, ERROR, call=LIST) == "unhealthy"


def test_readiness_that_is_lost(caplog: pytest.LogCaptureFixture) -> None:
    """2.K: where readiness hangs on the upstream, to lose it is a change of state with a reason; so is the return."""
    caplog.set_level(logging.INFO, "ollama_openai_proxy.lifecycle")
    health = UpstreamHealth("default", Metrics(version="0"), decides_readiness=True)
    for error in (None, DOWN, DOWN, DOWN, DOWN, None, None):
        health.ended(CHAT, error)
    lines = [line.__dict__ for line in caplog.records if line.getMessage() == "lifecycle"]
    facts = [(line["state"], line["reason"]) for line in lines]
    assert facts == [("not_ready", "upstream unhealthy"), ("ready", "upstream degraded")]


def test_k8_never_reached(watched: Watched) -> None:
    """K8: a backend that has never answered is unhealthy by its first failure."""
    assert watched.saw(DOWN) == "unhealthy"


def test_rejected_key(watched: Watched) -> None:
    """A key that is not accepted makes every call fail until somebody mends it."""
    assert watched.saw(None, UpstreamUnauthorised()) == "unhealthy"
    assert watched.health.picture()["last_outcome"] == "up_4xx"


def test_i2_rejected_key_is_an_error_in_the_log(watched: Watched, caplog: pytest.LogCaptureFixture) -> None:
    """I2: that the key is rejected is an ERROR, once until a call goes well again, whatever failed before."""
    caplog.set_level(logging.INFO)
    rejected = UpstreamUnauthorised()
    watched.saw(DOWN, rejected, rejected, rejected, None, rejected)
    errors = [line.getMessage() for line in caplog.records if line.levelname == "ERROR"]
    assert errors == ["the upstream rejected the proxy's credentials; check OPENAI_API_KEY"] * 2


def test_figures(watched: Watched) -> None:
    """Attempts, retries, connections and errors are counted under the upstream's name."""
    watched.health.attempted()
    watched.health.connected(reused=False)
    watched.health.connected(reused=True)
    watched.health.retried("stale_connection")
    watched.saw(None)
    assert watched.figure('ollama_proxy_upstream_up{upstream="default"}') == 1
    watched.saw(*[DOWN] * 3)
    assert watched.figure('ollama_proxy_upstream_up{upstream="default"}') == 0
    assert watched.figure('ollama_proxy_upstream_attempts_total{upstream="default"}') == 1
    assert watched.figure('ollama_proxy_upstream_connections_total{upstream="default",use="new"}') == 1
    assert watched.figure('ollama_proxy_upstream_connections_total{upstream="default",use="reused"}') == 1
    assert watched.figure('ollama_proxy_upstream_retries_total{reason="stale_connection",upstream="default"}') == 1
    assert watched.figure('ollama_proxy_upstream_errors_total{outcome="up_connect",upstream="default"}') == 3


def test_j7_breaker_is_told(watched: Watched, caplog: pytest.LogCaptureFixture) -> None:
    """J7: each change of the breaker is a line, a warning when it opens, and a figure."""
    caplog.set_level(logging.INFO)
    figure = 'ollama_proxy_upstream_breaker_state{upstream="default"}'
    seen = []
    states: tuple[BreakerState, ...] = ("open", "half-open", "closed")
    for state in states:
        watched.health.breaker(state)
        seen.append(watched.figure(figure))
    assert seen == [2, 1, 0]
    told = [(line.levelname, line.getMessage()) for line in caplog.records]
    assert told == [
        ("WARNING", "the breaker of the upstream is open"),
        ("INFO", "the breaker of the upstream is half-open"),
        ("INFO", "the breaker of the upstream is closed"),
    ]


def test_j4_budget_is_told(watched: Watched) -> None:
    """J4: what was not repeated is counted."""
    watched.health.retry_refused()
    assert watched.figure('ollama_proxy_retry_budget_exhausted_total{upstream="default"}') == 1


def test_changes_are_told(watched: Watched, caplog: pytest.LogCaptureFixture) -> None:
    """A change is one line in the log, what stays as it is none; a first success is no news."""
    caplog.set_level(logging.INFO)
    watched.saw(None, None, DOWN, DOWN, DOWN, DOWN, None)
    assert [record.getMessage() for record in caplog.records] == [
        "the upstream is degraded",
        "the upstream is unhealthy",
        "the upstream is degraded",
    ]
