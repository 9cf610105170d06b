"""The tree of errors: which status, which word for logs, and what is caught with what."""

from __future__ import annotations

import pytest

from ollama_openai_proxy.errors import (
    Busy,
    InvalidRequest,
    ModelNotFound,
    ProxyError,
    Unauthorised,
    UpstreamBroken,
    UpstreamError,
    UpstreamRefused,
    UpstreamTimeout,
    UpstreamUnauthorised,
    UpstreamUnreachable,
)


@pytest.mark.parametrize(
    ("error", "status", "outcome"),
    [
        pytest.param(ProxyError("x"), 500, "internal", id="base"),
        pytest.param(InvalidRequest("x"), 400, "bad_request", id="the client's fault"),
        pytest.param(ModelNotFound("x"), 404, "not_found", id="no such model"),
        pytest.param(Unauthorised(), 401, "auth", id="no key"),
        pytest.param(Busy("x"), 503, "shed_full", id="too much to do"),
        pytest.param(UpstreamUnreachable("x"), 502, "up_connect", id="refused, DNS or reset is 502"),
        pytest.param(UpstreamTimeout("x"), 504, "up_ttft_timeout", id="too late is 504"),
        pytest.param(UpstreamRefused("x"), 502, "up_5xx", id="its own error"),
        pytest.param(UpstreamUnauthorised(), 502, "up_4xx", id="I2 its 401 is never ours"),
        pytest.param(UpstreamBroken("x"), 502, "up_protocol", id="garbage is 502"),
    ],
)
def test_each_error_has_the_status_and_outcome_of_the_status_policy(
    error: ProxyError, status: int, outcome: str
) -> None:
    """Refused, reset or garbage is 502, late is 504, and the outcome is one of the closed list for metrics."""
    assert (error.status, error.outcome, error.retry_after) == (status, outcome, None)


def test_an_error_may_say_more_than_its_kind() -> None:
    """The backend's own status, outcome and Retry-After replace those of the kind, for that error alone."""
    error = UpstreamRefused("slow down", status=429, outcome="up_429", retry_after=7)
    assert (error.message, error.status, error.outcome, error.retry_after) == ("slow down", 429, "up_429", 7)
    assert UpstreamRefused("again").status == 502


def test_zero_is_a_retry_after() -> None:
    """`Retry-After: 0` means at once, which is not the same as not saying."""
    assert UpstreamRefused("x", retry_after=0).retry_after == 0


def test_the_message_is_the_text_of_the_exception() -> None:
    """Whoever prints the exception sees the message that a client would."""
    assert str(InvalidRequest("model is required")) == "model is required"


def test_a_missing_model_keeps_its_name_as_the_client_spelled_it() -> None:
    """Each API words the 404 itself, with the client's spelling (contract 2.6)."""
    assert ModelNotFound("Llama3:8B").model == "Llama3:8B"


def test_rejected_credentials_say_nothing_about_the_key() -> None:
    """I2: the client learns whose credentials were rejected, and no more."""
    assert UpstreamUnauthorised().message == "the upstream rejected the proxy's credentials"


@pytest.mark.parametrize("kind", [UpstreamUnreachable, UpstreamTimeout, UpstreamRefused, UpstreamBroken])
def test_failures_of_the_backend_are_caught_together(kind: type[UpstreamError]) -> None:
    """Whatever the backend did is one `except` for the exchange; the client's faults are not in it."""
    assert issubclass(kind, UpstreamError)
    assert not issubclass(InvalidRequest, UpstreamError)
    assert not issubclass(ModelNotFound, UpstreamError)
    assert issubclass(UpstreamUnauthorised, UpstreamRefused)
