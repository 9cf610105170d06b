"""What a mutant of the proxy is."""

from __future__ import annotations

from typing import NamedTuple


class Mutant(NamedTuple):
    """A proxy without one of its guards. `path` is below the package; `rows` are those that hold the guard.

    `old` stands in the file once; in its place comes `new`.
    """

    name: str
    path: str
    old: str
    new: str
    rows: tuple[str, ...]
