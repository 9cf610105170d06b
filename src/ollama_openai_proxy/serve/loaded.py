"""Which models count as loaded, for `/api/ps`: those that are used, and then until their keep_alive is over.

Each process knows of its own requests only.
"""

from __future__ import annotations

from collections.abc import Callable

from ollama_openai_proxy.translate.models import Model

_MOST = 1000


class _Use:
    """How a model is used: by so many requests now, and kept for so many seconds after the last of them."""

    def __init__(self) -> None:
        self.running = 0
        self.seconds = 0.0
        self.expiry = 0.0

    def left(self, now: float) -> float:
        """Return the seconds for which it is still kept, at least."""
        return self.seconds if self.running else self.expiry - now


class LoadedModels:
    """Models and when each expires, on a clock of seconds."""

    def __init__(self, keep_alive: float, clock: Callable[[], float]) -> None:
        """`keep_alive`: seconds, for requests that name none."""
        self._keep_alive = keep_alive
        self._clock = clock
        self._uses: dict[str, tuple[Model, _Use]] = {}

    def use(self, model: Model, keep_alive: float | None) -> None:
        """Count the model as loaded for so many seconds from now; 0 unloads it, as soon as no request runs."""
        self.hold(model, keep_alive)()

    def hold(self, model: Model, keep_alive: float | None) -> Callable[[], None]:
        """Count the model as loaded from now until so many seconds after the returned function was called, once."""
        name, uses = model.name, self._uses
        found = uses.pop(name, None)
        use = found[1] if found else _Use()
        while len(uses) >= _MOST:
            del uses[next(iter(uses))]
        uses[name] = (model, use)  # the last used is the last to be forgotten
        use.seconds = self._keep_alive if keep_alive is None else keep_alive
        use.running += 1

        def release() -> None:
            use.running -= 1
            use.expiry = self._clock() + use.seconds

        return release

    def current(self, known: Callable[[Model], Model | None]) -> list[tuple[Model, float]]:
        """Return the loaded models, each with the seconds that are left to it.

        `known` says what is known of a model now; None: there is none of that name any more.
        """
        now = self._clock()
        self._uses = {
            key: (latest, use)
            for key, (model, use) in self._uses.items()
            if (use.running or use.expiry > now) and (latest := known(model))
        }
        return [(model, use.left(now)) for model, use in self._uses.values()]
