"""Which models count as loaded, for `/api/ps`: those that were used, until their keep_alive is over."""

from __future__ import annotations

from collections.abc import Callable

from ollama_openai_proxy.translate.models import Model

_MOST = 1000


class LoadedModels:
    """Models and when each expires, on a clock of seconds."""

    def __init__(self, keep_alive: float, clock: Callable[[], float]) -> None:
        """`keep_alive`: seconds, for requests that name none."""
        self._keep_alive = keep_alive
        self._clock = clock
        self._expiry: dict[str, tuple[Model, float]] = {}

    def use(self, model: Model, keep_alive: float | None) -> None:
        """Count the model as loaded for so many seconds from now; 0 unloads it."""
        seconds = self._keep_alive if keep_alive is None else keep_alive
        self._expiry.pop(model.id, None)
        if seconds > 0:
            while len(self._expiry) >= _MOST:
                del self._expiry[next(iter(self._expiry))]
            self._expiry[model.id] = (model, self._clock() + seconds)

    def current(self) -> list[tuple[Model, float]]:
        """Return the loaded models, each with the seconds that are left to it."""
        now = self._clock()
        self._expiry = {key: entry for key, entry in self._expiry.items() if entry[1] > now}
        return [(model, expiry - now) for model, expiry in self._expiry.values()]
