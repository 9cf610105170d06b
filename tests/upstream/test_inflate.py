"""Packed bodies, unpacked piece by piece."""

from __future__ import annotations

import gzip
import os
import zlib
from collections.abc import Callable, Sequence
from functools import partial

import pytest

from ollama_openai_proxy.errors import UpstreamBroken
from ollama_openai_proxy.upstream.inflate import Inflated, is_packed

KIB = 1024


class Source:
    """Gives these pieces, one at a time, then nothing: for now, or for ever."""

    def __init__(self, pieces: Sequence[bytes]) -> None:
        self.left = list(pieces)
        self.asked = 0

    def __call__(self) -> bytes:
        self.asked += 1
        return self.left.pop(0) if self.left else b""


def inflated(pieces: Sequence[bytes], encoding: str = "gzip") -> tuple[Callable[[], bytes], Source, Inflated]:
    """Return what takes the next of these pieces, unpacked; what gives them; and what unpacks them."""
    source, inflating = Source(pieces), Inflated(encoding)
    return partial(inflating.take, source), source, inflating


def take_all(take: Callable[[], bytes]) -> list[bytes]:
    return list(iter(take, b""))


def test_e16_pieces_are_small() -> None:
    """E16: however much one read unpacks to, at most 64 KiB are handed on at a time, and all of it is."""
    data = b"".join(os.urandom(10) * 100 for _ in range(3000))  # 3 MB
    take, _, _ = inflated([gzip.compress(data)])
    pieces = take_all(take)
    assert b"".join(pieces) == data
    assert max(map(len, pieces)) <= 64 * KIB


@pytest.mark.parametrize("size", [0, 1, 64 * KIB - 1, 64 * KIB, 64 * KIB + 1, 128 * KIB])
def test_e16_any_size(size: int) -> None:
    """E16: the limit of a piece cuts nothing off."""
    data = os.urandom(size)
    for pack, encoding in ((gzip.compress, "gzip"), (zlib.compress, "deflate")):
        take, _, inflating = inflated([pack(data)], encoding)
        assert b"".join(take_all(take)) == data
        inflating.end()


def test_e16_pieces_that_bring_nothing() -> None:
    """E16: a piece that unpacks to nothing yet is followed by the next, if that is there."""
    packed = gzip.compress(b"abc")
    take, source, _ = inflated([packed[:5], packed[5:10], packed[10:]])
    assert take() == b"abc"
    assert source.asked == 3
    assert take() == b""


def test_e16_what_comes_later() -> None:
    """E16: when nothing is there, there is nothing to take; what comes then is unpacked where that left off."""
    packed = gzip.compress(b"abc") + gzip.compress(b"def")
    take, source, inflating = inflated([])
    found = []
    for at in range(len(packed)):
        assert take() == b""
        source.left.append(packed[at : at + 1])
        found.append(take())
    assert b"".join(found) == b"abcdef"
    inflating.end()


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "bare"])
def test_e16_cut_short(encoding: str) -> None:
    """E16: what ends within a member is half of a body, wherever it is cut; what had come of it is handed on."""
    data = os.urandom(300)
    packed = {"gzip": gzip.compress(data), "deflate": zlib.compress(data), "bare": zlib.compress(data)[2:-4]}[encoding]
    for size in range(1, len(packed)):
        take, _, inflating = inflated([packed[:size]], "gzip" if encoding == "gzip" else "deflate")
        assert data.startswith(b"".join(take_all(take)))
        with pytest.raises(UpstreamBroken) as caught:
            inflating.end()
        assert caught.value.outcome == "up_truncated"


def test_e16_nothing_at_all() -> None:
    """E16: a body of no bytes is one, packed or not."""
    take, _, inflating = inflated([])
    assert take() == b""
    inflating.end()


def test_e16_ratio() -> None:
    """E16: 64 KiB may come of few bytes, and beyond them 100 for each."""
    packed = gzip.compress(b"x" * 64 * KIB)
    assert len(b"".join(take_all(inflated([packed])[0]))) == 64 * KIB
    take, _, _ = inflated([gzip.compress(b"x" * KIB * KIB)])
    with pytest.raises(UpstreamBroken, match="unpacks to too much"):
        take_all(take)


@pytest.mark.parametrize("size", [1, 7, 64 * KIB])
def test_e16_a_member_for_each_event(size: int) -> None:
    """E16: a backend may pack each event by itself: thousands of members are one body, however they are read."""
    events = [b"%d " % number for number in range(5000)]
    packed = b"".join(map(gzip.compress, events))
    take, _, inflating = inflated([packed[at : at + size] for at in range(0, len(packed), size)])
    assert b"".join(take_all(take)) == b"".join(events)
    inflating.end()


@pytest.mark.parametrize("size", [20, 64 * KIB])
def test_e16_t19_members_of_nothing(size: int) -> None:
    """E16, T19: members that hold nothing are work without end: of 10,000 in a row few are looked at."""
    empty = gzip.compress(b"")
    endless = empty * 10_000
    pieces = (endless[at : at + size] for at in range(0, len(endless), size))
    take, source, _ = inflated([gzip.compress(b"x"), *pieces])
    assert take() == b"x"
    with pytest.raises(UpstreamBroken):
        take()
    assert source.asked < 100
    take, _, _ = inflated([empty * 63 + gzip.compress(b"x")])
    assert take() == b"x"


def test_e16_what_came_before_the_fault() -> None:
    """E16: what was packed well is handed on, although the fault came with it in one read."""
    take, _, _ = inflated([gzip.compress(b"abc") + gzip.compress(b"def") + b"\x1f\x8bno"])
    assert take() == b"abcdef"
    for _ in range(2):
        with pytest.raises(UpstreamBroken):
            take()


@pytest.mark.parametrize("encoding", ["br", "zstd", "compress", "gzip, gzip", "identity, gzip"])
def test_e16_unknown_encodings(encoding: str) -> None:
    """E16: what can't be unpacked is no answer."""
    with pytest.raises(UpstreamBroken):
        is_packed(encoding)


def test_e16_known_encodings() -> None:
    """E16: gzip and deflate are unpacked, the identity is not."""
    assert [is_packed(name) for name in ("gzip", "x-gzip", "deflate", "identity", "none", "")] == [True] * 3 + [
        False
    ] * 3
