"""M10: what an input makes a parser hold is in proportion to it, over the whole corpus."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Iterator

import pytest

from fuzz.targets import TARGETS, seeds

TIMES = 100
# What a parser holds at once however little it is given: tables, a template's budget, a conversation's room, and what
# the targets themselves make to compare with, which is all of it several times.
FLOOR = 3 * 1024 * 1024
PURE = sorted(TARGETS.keys() - {"http"})


@pytest.fixture(autouse=True)
def only_what_is_new() -> Iterator[None]:
    """Keep what was there before from the collector, which would look at all of it each time that it is called."""
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.mark.parametrize("name", PURE)
def test_m10_memory_is_in_proportion(name: str) -> None:
    """M10: no seed makes a parser hold more than a hundred times its bytes at its peak, beside a fixed floor."""
    TARGETS[name](seeds(name)[0])  # what is made once
    tracemalloc.start()
    try:
        for seed in seeds(name):
            gc.collect()
            tracemalloc.reset_peak()
            before, _ = tracemalloc.get_traced_memory()
            TARGETS[name](seed)
            _, peak = tracemalloc.get_traced_memory()
            assert peak - before <= TIMES * len(seed) + FLOOR, seed[:100]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("name", PURE)
def test_m10_nothing_is_kept(name: str) -> None:
    """M10: what was held for an input is given back: the corpus over and over leaves no more than once."""
    for seed in seeds(name):
        TARGETS[name](seed)
    tracemalloc.start()
    try:
        gc.collect()
        before, _ = tracemalloc.get_traced_memory()
        for _ in range(2):
            for seed in seeds(name):
                TARGETS[name](seed)
        gc.collect()
        after, _ = tracemalloc.get_traced_memory()
        assert after - before <= 512 * 1024
    finally:
        tracemalloc.stop()
