"""Limits without settings: what reliability 2.N gives as defaults."""

from __future__ import annotations

from ollama_openai_proxy.deadlines import Timeouts
from ollama_openai_proxy.limits import AdmissionLimits, BodyLimits, ClientLimits, UpstreamLimits
from support.proxy import sealed


def test_defaults_are_those_of_the_settings() -> None:
    """Whoever makes a part without settings has the limits that the settings have by default."""
    loaded = sealed()
    assert loaded.timeouts == Timeouts()
    assert loaded.upstream_limits == UpstreamLimits()
    assert loaded.admission_limits == AdmissionLimits()
    assert loaded.body_limits == BodyLimits()
    assert loaded.client_limits == ClientLimits()
