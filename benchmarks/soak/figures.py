"""What many measurements come to."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple


class Spread(NamedTuple):
    """The middle and the end of a distribution, in the unit of what was measured; NaN of nothing."""

    number: int
    p50: float
    p99: float
    most: float


def spread(values: Iterable[float]) -> Spread:
    ordered = sorted(values)
    if not ordered:
        return Spread(0, math.nan, math.nan, math.nan)
    return Spread(len(ordered), percentile(ordered, 50), percentile(ordered, 99), ordered[-1])


def percentile(ordered: Sequence[float], percent: float) -> float:
    """Return the least value that so many percent do not exceed. `ordered`: ascending, not empty."""
    return ordered[max(math.ceil(len(ordered) * percent / 100), 1) - 1]


def slope(points: Sequence[tuple[float, float]]) -> float:
    """Return by how much y grows with x, by least squares; 0 of fewer than two places."""
    if not points:
        return 0.0
    middle_x = sum(x for x, _ in points) / len(points)
    middle_y = sum(y for _, y in points) / len(points)
    width = sum((x - middle_x) ** 2 for x, _ in points)
    return sum((x - middle_x) * (y - middle_y) for x, y in points) / width if width else 0.0


def metric(page: str, name: str, **labels: str) -> float:
    """Return the sum of a figure's values in a page for Prometheus, of those series that have these labels."""
    total = 0.0
    for series, value in re.findall(rf"^{name}(\{{.*\}})? (\S+)$", page, re.MULTILINE):
        if all(f'{label}="{wanted}"' in series for label, wanted in labels.items()):
            total += float(value)
    return total


def bucket(page: str, name: str, percent: float) -> float:
    """Return a bound below which so many percent of a histogram's observations lie: the end of their bucket."""
    found = re.findall(rf'^{name}_bucket\{{.*?le="([^"]+)".*?\}} (\S+)$', page, re.MULTILINE)
    counts = sorted((float(end), float(count)) for end, count in found)
    if not counts or not counts[-1][1]:
        return math.nan
    return next(end for end, count in counts if count >= counts[-1][1] * percent / 100)
