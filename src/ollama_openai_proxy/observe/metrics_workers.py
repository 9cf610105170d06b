"""The figures of several workers as one: each worker counts in files of its own, whoever is asked adds them up.

A worker's files bear the number of its slot, not of its process: the one that replaces it counts on in them, so that
no counter goes back and the files do not become more.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from prometheus_client import values
from prometheus_client.metrics_core import Metric
from prometheus_client.multiprocess import MultiProcessCollector

VARIABLE = "PROMETHEUS_MULTIPROC_DIR"


def share(directory: Path, slot: int) -> None:
    """Let this process, the worker in this slot, count in the directory. To be called once, before any figure is made.

    A worker may have one `Metrics` only: two would write over each other's values.
    """
    os.environ[VARIABLE] = str(directory)
    values.ValueClass = values.MultiProcessValue(process_identifier=lambda: slot)  # type: ignore[no-untyped-call]  # it has no types


def is_shared(directory: Path) -> bool:
    """Tell whether `share` was called with this directory."""
    return os.environ.get(VARIABLE) == str(directory)


def forget(directory: Path, slot: int) -> None:
    """Remove what was only true while the worker in this slot lived. Its counters stay."""
    for path in directory.glob(f"gauge_live*_{slot}.db"):
        path.unlink(missing_ok=True)


def merged(directory: Path) -> dict[str, Metric]:
    """Add up the figures of all workers, by name. Those without any value are not among them."""
    families = MultiProcessCollector.merge(list(_files(directory)))  # type: ignore[no-untyped-call]  # it has no types
    return {family.name: family for family in families}


def _files(directory: Path) -> Iterator[str]:
    for path in sorted(directory.glob("*.db")):
        try:
            size = path.stat().st_size
        except FileNotFoundError:  # forgotten meanwhile
            continue
        if size:  # else it was made a moment ago and holds nothing yet
            yield str(path)
