"""How the backend does, from what was seen of it: real traffic, and the list of models in the background."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any, Literal

from ollama_openai_proxy.call import BreakerState, Call
from ollama_openai_proxy.errors import ProxyError, UpstreamRefused, UpstreamUnauthorised
from ollama_openai_proxy.observe.logs import lifecycle
from ollama_openai_proxy.observe.metrics import Metrics

Status = Literal["unknown", "healthy", "degraded", "unhealthy"]

# So many failures in a row are no mishap.
_FAILURES = 3
# For how long a failure is remembered, in seconds: one model of many may fail while the others work.
_MEMORY = 60.0
# Refusals of what a client asked, by a backend that works.
_ANSWERS = frozenset({"up_4xx", "up_429", "not_found", "bad_request"})
# Nothing of the key, nor of what the backend said: its words hold pieces of it.
_REJECTED = "the upstream rejected the proxy's credentials; check OPENAI_API_KEY"
_log = logging.getLogger(__name__)


class UpstreamHealth:
    """Watches the calls to one upstream (call.Watcher), and tells what to think of it."""

    def __init__(
        self,
        name: str,
        metrics: Metrics,
        clock: Callable[[], float] = time.monotonic,
        *,
        decides_readiness: bool = False,
    ) -> None:
        self.name = name
        self._metrics = metrics
        self._clock = clock
        self._decides_readiness = decides_readiness
        self._outcome = ""
        self._seen: float | None = None
        self._succeeded: float | None = None
        self._failed: float | None = None
        self._failures = 0
        self._refused = False  # the key: nothing will work until somebody mends it

    def attempted(self) -> None:
        self._metrics.upstream_attempted(self.name)

    def connected(self, *, reused: bool) -> None:
        self._metrics.upstream_connected(self.name, reused=reused)

    def retried(self, reason: str) -> None:
        self._metrics.upstream_retried(self.name, reason)

    def retry_refused(self) -> None:
        self._metrics.upstream_retry_refused(self.name)

    def breaker(self, state: BreakerState) -> None:
        self._metrics.upstream_breaker(self.name, state)
        level = logging.WARNING if state == "open" else logging.INFO
        _log.log(level, "the breaker of the upstream is %s", state, extra={"upstream": self.name})

    def ended(self, call: Call, error: ProxyError | None) -> None:
        if call.aside:
            return
        now = self._clock()
        if error is None and self._outcome == "ok":  # as the last one: nothing changes but the times
            self._seen = self._succeeded = now
            self._metrics.upstream_up(self.name, up=True)  # another worker may have said otherwise
            return
        before, refused = self.status, self._refused
        self._seen = now
        self._outcome = error.outcome if error else "ok"
        self._refused = isinstance(error, UpstreamUnauthorised)
        if error:
            self._metrics.upstream_failed(self.name, error.outcome)
        if not error or (error.outcome in _ANSWERS and not self._refused):
            self._failures, self._succeeded = 0, now
        else:
            self._failed = now
            # A backend that answers with an error works; it may be one model that does not. But its list has to.
            if not isinstance(error, UpstreamRefused) or self._refused or not call.body:
                self._failures += 1
        self._metrics.upstream_up(self.name, self.status != "unhealthy")
        if self._refused and not refused:
            _log.error(_REJECTED, extra={"upstream": self.name, "outcome": self._outcome})
        if self.status != before:
            self._tell(before)

    @property
    def status(self) -> Status:
        """Return `degraded` when a call has failed of late, `unhealthy` when it looks as if all will."""
        if self._seen is None:
            return "unknown"
        if self._failures and (self._refused or self._failures >= _FAILURES or self._succeeded is None):
            return "unhealthy"
        return "degraded" if self._failed is not None and self._clock() - self._failed < _MEMORY else "healthy"

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
        if self._decides_readiness and "unhealthy" in (before, self.status):
            lost = self.status == "unhealthy"
            lifecycle("not_ready" if lost else "ready", reason=f"upstream {self.status}")
