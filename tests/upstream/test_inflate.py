"""Packed bodies, unpacked piece by piece."""

from __future__ import annotations

import gzip
import os
import zlib
from collections.abc import Sequence

import pytest

from ollama_openai_proxy.errors import UpstreamBroken
from ollama_openai_proxy.upstream.inflate import Inflated, is_packed

KIB = 1024


def inflated(pieces: Sequence[bytes], encoding: str = "gzip") -> tuple[Inflated, list[int]]:
    """Return a reader of these pieces, and a list that grows with each further read of one read."""
    left, again = list(pieces), list[int]()

    async def read() -> bytes:
        return left.pop(0) if left else b""

    return Inflated(read, lambda: again.append(1), encoding), again


async def read_all(reader: Inflated) -> list[bytes]:
    pieces = []
    while piece := await reader.read():
        pieces.append(piece)
    return pieces


async def test_e16_pieces_are_small() -> None:
    """E16: however much one read unpacks to, at most 64 KiB are handed on at a time, and all of it is."""
    data = b"".join(os.urandom(10) * 100 for _ in range(3000))  # 3 MB
    reader, _ = inflated([gzip.compress(data)])
    pieces = await read_all(reader)
    assert b"".join(pieces) == data
    assert max(map(len, pieces)) <= 64 * KIB


@pytest.mark.parametrize("size", [0, 1, 64 * KIB - 1, 64 * KIB, 64 * KIB + 1, 128 * KIB])
async def test_e16_any_size(size: int) -> None:
    """E16: the limit of a piece cuts nothing off."""
    data = os.urandom(size)
    for pack, encoding in ((gzip.compress, "gzip"), (zlib.compress, "deflate")):
        reader, _ = inflated([pack(data)], encoding)
        assert b"".join(await read_all(reader)) == data


async def test_e16_reads_that_bring_nothing() -> None:
    """E16: a read that unpacks to nothing yet is followed by another, and whoever waits is told so."""
    packed = gzip.compress(b"abc")
    reader, again = inflated([packed[:5], packed[5:10], packed[10:]])
    assert await reader.read() == b"abc"
    assert len(again) == 2
    assert await reader.read() == b""


async def test_e16_ratio() -> None:
    """E16: 64 KiB may come of few bytes, and beyond them 100 for each."""
    packed = gzip.compress(b"x" * 64 * KIB)
    reader, _ = inflated([packed])
    assert len(b"".join(await read_all(reader))) == 64 * KIB
    reader, _ = inflated([gzip.compress(b"x" * KIB * KIB)])
    with pytest.raises(UpstreamBroken, match="unpacks to too much"):
        await read_all(reader)


@pytest.mark.parametrize("size", [1, 7, 64 * KIB])
async def test_e16_a_member_for_each_event(size: int) -> None:
    """E16: a backend may pack each event by itself: thousands of members are one body, however they are read."""
    events = [b"%d " % number for number in range(5000)]
    packed = b"".join(map(gzip.compress, events))
    reader, _ = inflated([packed[at : at + size] for at in range(0, len(packed), size)])
    assert b"".join(await read_all(reader)) == b"".join(events)


@pytest.mark.parametrize("size", [20, 64 * KIB])
async def test_e16_t19_members_of_nothing(size: int) -> None:
    """E16, T19: members that hold nothing are work without end: of 10,000 in a row few are looked at."""
    empty = gzip.compress(b"")
    endless = empty * 10_000
    reader, again = inflated([gzip.compress(b"x"), *(endless[at : at + size] for at in range(0, len(endless), size))])
    assert await reader.read() == b"x"
    with pytest.raises(UpstreamBroken):
        await reader.read()
    assert len(again) < 100
    reader, _ = inflated([empty * 63 + gzip.compress(b"x")])
    assert await reader.read() == b"x"


async def test_e16_what_came_before_the_fault() -> None:
    """E16: what was packed well is handed on, although the fault came with it in one read."""
    reader, _ = inflated([gzip.compress(b"abc") + gzip.compress(b"def") + b"\x1f\x8bno"])
    assert await reader.read() == b"abcdef"
    for _ in range(2):
        with pytest.raises(UpstreamBroken):
            await reader.read()


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
