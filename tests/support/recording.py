"""A recorder around an application of the test's own, and what else stands before a backend."""

from __future__ import annotations

from starlette.types import ASGIApp

from ollama_openai_proxy.limits import AdmissionLimits
from ollama_openai_proxy.observe.metrics import Metrics
from ollama_openai_proxy.observe.tracing import PassedOn
from ollama_openai_proxy.serve.admission import Admission
from ollama_openai_proxy.serve.callers import Callers
from ollama_openai_proxy.serve.lifecycle import Lifecycle
from ollama_openai_proxy.serve.ollama import render
from ollama_openai_proxy.serve.recorder import Observers, Recorder


def recorded(app: ASGIApp) -> Recorder:
    """Return the application with a recorder around it, which nobody else looks at."""
    return Recorder(app, observers=Observers(Lifecycle(), Metrics(version="0"), PassedOn()), render=render)


def admission() -> Admission:
    """Return places for as many as there are by default."""
    return Admission(AdmissionLimits(), Lifecycle(), Metrics(version="0"), Callers())
