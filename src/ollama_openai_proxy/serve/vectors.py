"""Which models' vectors come as they should, so that not each of them has to be looked at (adr/0024)."""

from __future__ import annotations

MODELS = 256
"""So many are remembered, those that were asked for last."""
PROVEN = 64
"""After so many vectors that all could stay as they came, not each is looked at."""
SINGLES = 16
"""Of so many replies with one vector one is looked at then."""

Key = tuple[str, int | None]
"""A model, by the backend's id, and to how many numbers its vectors are cut."""


class Known:
    """What is known of the vectors of one model."""

    __slots__ = ("_kept", "_singles", "_trusted")

    def __init__(self) -> None:
        self._kept = 0
        self._singles = 0
        self._trusted = True

    def due(self, count: int, *, first: bool) -> bool:
        """Whether to look at a vector: of a reply of so many, and whether it is the first of them."""
        if self._kept < PROVEN or not self._trusted:
            return True
        if count != 1:
            return first
        self._singles = (self._singles + 1) % SINGLES
        return self._singles == 0

    def saw(self, *, kept: bool) -> None:
        """One was looked at. `kept`: it could stay as it came; if not, all are looked at from now on."""
        if kept:
            self._kept += 1
        else:
            self._trusted = False


class Vectors:
    """What is known of all models, in this process."""

    def __init__(self) -> None:
        self._known: dict[Key, Known] = {}

    def of(self, model: str, dimensions: int | None = None) -> Known:
        """Return what is known of this model."""
        key = (model, dimensions)
        known = self._known.pop(key, None) or Known()
        self._known[key] = known  # the last one is the one asked for last
        if len(self._known) > MODELS:
            del self._known[next(iter(self._known))]
        return known

    def __len__(self) -> int:
        return len(self._known)
