"""How the backend does, from what was seen of it: real traffic, and the list of models in the background."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any, Literal

from ollama_openai_proxy.errors import ProxyError, UpstreamUnauthorised
from ollama_openai_proxy.observe.metrics import Metrics

Status = Literal["unknown", "healthy", "degraded", "unhealthy"]

# So many failures in a row are no mishap.
_FAILURES = 3
# Refusals of what a client asked, by a backend that works.
_ANSWERS = frozenset({"up_4xx", "up_429", "not_found", "bad_request"})
_log = logging.getLogger(__name__)


class UpstreamHealth:
    """Watches the calls to one upstream (call.Watcher), and tells what to think of it."""

    def __init__(self, name: str, metrics: Metrics, clock: Callable[[], float] = time.monotonic) -> None:
        self.name = name
        self._metrics = metrics
        self._clock = clock
        self._outcome = ""
        self._seen: float | None = None
        self._succeeded: float | None = None
        self._failures = 0
        self._refused = False  # the key: nothing will work until somebody mends it

    def attempted(self) -> None:
        self._metrics.upstream_attempted(self.name)

    def connected(self, *, reused: bool) -> None:
        self._metrics.upstream_connected(self.name, reused=reused)

    def retried(self, reason: str) -> None:
        self._metrics.upstream_retried(self.name, reason)

    def ended(self, error: ProxyError | None) -> None:
        before = self.status
        self._seen = self._clock()
        self._outcome = error.outcome if error else "ok"
        self._refused = isinstance(error, UpstreamUnauthorised)
        if error:
            self._metrics.upstream_failed(self.name, error.outcome)
        if error and (self._refused or error.outcome not in _ANSWERS):
            self._failures += 1
        else:
            self._failures, self._succeeded = 0, self._seen
        self._metrics.upstream_up(self.name, self.status != "unhealthy")
        if self.status != before:
            self._tell(before)

    @property
    def status(self) -> Status:
        """Return `degraded` after a failure, `unhealthy` when it looks as if more would come."""
        if self._seen is None:
            return "unknown"
        if not self._failures:
            return "healthy"
        lasting = self._refused or self._failures >= _FAILURES or self._succeeded is None
        return "unhealthy" if lasting else "degraded"

    def picture(self) -> dict[str, Any]:
        """Return what was seen, for people. Ages are in seconds."""
        picture: dict[str, Any] = {"name": self.name, "status": self.status}
        if self._seen is not None:
            picture["last_outcome"] = self._outcome
            picture["last_outcome_age_seconds"] = self._age(self._seen)
            picture["consecutive_failures"] = self._failures
        if self._succeeded is not None:
            picture["last_success_age_seconds"] = self._age(self._succeeded)
        return picture

    def _age(self, moment: float) -> float:
        return round(self._clock() - moment, 3)

    def _tell(self, before: Status) -> None:
        level = logging.INFO if self.status == "healthy" else logging.WARNING
        if before != "unknown" or self.status != "healthy":
            _log.log(level, "the upstream is %s", self.status, extra={"upstream": self.name, "outcome": self._outcome})
