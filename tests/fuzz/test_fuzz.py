"""Each target over its corpus, and over what comes of that by small changes; scripts/fuzz looks further."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fuzz.targets import CORPUS, TARGETS, seeds
from fuzz.wire import InProcess, fuzz_http, in_process

PURE = sorted(TARGETS.keys() - {"http"})
BRIEFLY = settings(deadline=None, suppress_health_check=list(HealthCheck))


@pytest.fixture(scope="module")
def server() -> Iterator[InProcess]:
    with in_process() as running:
        yield running


@st.composite
def changed(draw: st.DrawFn, name: str) -> bytes:
    """A seed, with parts of it gone, doubled, or replaced by parts of another."""
    given_seeds = seeds(name)
    data = bytearray(draw(st.sampled_from(given_seeds))[:4096])
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(data)))
        end = draw(st.integers(start, min(len(data), start + 40)))
        other = draw(st.sampled_from(given_seeds))
        at = draw(st.integers(0, len(other)))
        data[start:end] = draw(
            st.binary(max_size=6)
            | st.just(b"")
            | st.just(other[at : at + 40])
            | st.just(bytes(data[start:end]) * 2)
            | st.sampled_from([b"\r", b"\n", b"\0", b'"', b"\\ud800", b"\xe2\x80\xa8", b"1e999", b"{{", b"[" * 2000])
        )
    return bytes(data)


def test_each_target_has_seeds() -> None:
    """A target without a corpus would be held by made-up bytes alone, and a folder without a target by nothing."""
    assert {path.name for path in CORPUS.iterdir()} == {*TARGETS}
    assert all(len(seeds(name)) >= 3 for name in TARGETS)


@pytest.mark.parametrize("name", PURE)
def test_corpus(name: str) -> None:
    """4.1: what a target begins with, and what has once broken it, breaks it no more."""
    for seed in seeds(name):
        TARGETS[name](seed)


@pytest.mark.parametrize("name", PURE)
def test_changed(name: str) -> None:
    """4.1: nor does what comes of it by small changes."""

    @settings(BRIEFLY, max_examples=40)
    @given(changed(name))
    def each(data: bytes) -> None:
        TARGETS[name](data)

    each()


def test_http_corpus(server: InProcess) -> None:
    """4.1: bytes that are no request, or a strange one, are answered with HTTP or with nothing."""
    for seed in seeds("http"):
        fuzz_http(seed, server)


def test_http_changed(server: InProcess) -> None:
    """4.1: and so is what comes of them by small changes."""

    @settings(BRIEFLY, max_examples=50)
    @given(changed("http"))
    def each(data: bytes) -> None:
        fuzz_http(data, server)

    each()
