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
    """E16: however much one read unpacks to, at most 256 KiB are handed on at a time, and all of it is."""
    data = b"".join(os.urandom(10) * 100 for _ in range(3000))  # 3 MB
    reader, _ = inflated([gzip.compress(data)])
    pieces = await read_all(reader)
    assert b"".join(pieces) == data
    assert max(map(len, pieces)) <= 256 * KIB


@pytest.mark.parametrize("size", [0, 1, 256 * KIB - 1, 256 * KIB, 256 * KIB + 1, 512 * KIB])
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


@pytest.mark.parametrize("encoding", ["br", "zstd", "compress", "gzip, gzip", "identity, gzip"])
def test_e16_unknown_encodings(encoding: str) -> None:
    """E16: what can't be unpacked is no answer."""
    with pytest.raises(UpstreamBroken):
        is_packed(encoding)


def test_e16_known_encodings() -> None:
    """E16: gzip and deflate are unpacked, the identity is not."""
    assert [is_packed(name) for name in ("gzip", "x-gzip", "deflate", "identity", "")] == [True] * 3 + [False] * 2
