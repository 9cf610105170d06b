"""Packed bodies: what comes out is what went in, however it is cut; all else is refused in time."""

from __future__ import annotations

import gzip
import tracemalloc
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ollama_openai_proxy.errors import InvalidRequest
from ollama_openai_proxy.serve.unpacking import PIECE, unpacker

TEXT = b'{"model":"m"}' * 200
LIMIT = 1024 * 1024


def deflated(data: bytes, wbits: int) -> bytes:
    packing = zlib.compressobj(wbits=wbits)
    return packing.compress(data) + packing.flush()


PACKED = {
    "gzip": ("gzip", gzip.compress(TEXT)),
    "x-gzip": ("x-gzip", gzip.compress(TEXT)),
    "in capitals": ("GZIP", gzip.compress(TEXT)),
    "with identity": ("identity, gzip", gzip.compress(TEXT)),
    "two members": ("gzip", gzip.compress(TEXT[:50]) + gzip.compress(TEXT[50:])),
    "deflate": ("deflate", deflated(TEXT, 15)),
    "raw deflate": ("deflate", deflated(TEXT, -15)),
}


def unpacked(encoding: str, data: bytes, cut: int = 1 << 30, limit: int = LIMIT) -> bytes:
    packed = unpacker([encoding], limit)
    assert packed
    pieces = [piece for start in range(0, len(data), cut) for piece in packed.feed(data[start : start + cut])]
    packed.finish()
    assert all(len(piece) <= PIECE for piece in pieces)
    return b"".join(pieces)


@pytest.mark.parametrize(("encoding", "data"), PACKED.values(), ids=PACKED.keys())
def test_a15_formats(encoding: str, data: bytes) -> None:
    """A15, RFC 9110, 8.4.1: gzip, of several members too, and deflate, with and without its wrapping."""
    for cut in (1, 7, 1 << 20):
        assert unpacked(encoding, data, cut) == TEXT


@given(st.binary(max_size=3000), st.integers(1, 50), st.sampled_from([-15, 15, 31]))
def test_a15_any_data(data: bytes, cut: int, wbits: int) -> None:
    """A15: whatever was packed comes out, wherever it was cut."""
    assert unpacked("gzip" if wbits == 31 else "deflate", deflated(data, wbits), cut) == data


@given(st.binary(max_size=200), st.sampled_from(["gzip", "deflate"]))
def test_a15_any_bytes(data: bytes, encoding: str) -> None:
    """A15: bytes that nobody packed are refused, or stand for something: nothing else is ever raised."""
    refused: InvalidRequest | None = None
    try:
        unpacked(encoding, data)
    except InvalidRequest as refusal:
        refused = refusal
    assert refused is None or (refused.status, refused.message) == (400, f"request body is not valid {encoding}")


BROKEN = {
    "garbage": ("gzip", b"hello"),
    "plain JSON": ("gzip", TEXT),
    "plain JSON as deflate": ("deflate", TEXT),
    "cut": ("gzip", gzip.compress(TEXT)[:-1]),
    "cut in deflate": ("deflate", deflated(TEXT, 15)[:-1]),
    "a wrong checksum": ("gzip", gzip.compress(TEXT)[:-8] + bytes(8)),
    "garbage after it": ("gzip", gzip.compress(TEXT) + b"junk"),
    "garbage after deflate": ("deflate", deflated(TEXT, 15) + b"junk"),
    "half of another member": ("gzip", gzip.compress(TEXT) + gzip.compress(TEXT)[:9]),
    "a thousand members": ("gzip", gzip.compress(b"") * 1000),
}


@pytest.mark.parametrize(("encoding", "data"), BROKEN.values(), ids=BROKEN.keys())
def test_a15_broken(encoding: str, data: bytes) -> None:
    """A15: what is no such format, was cut or goes on after its end is a bad request."""
    for cut in (1, 1 << 20):
        with pytest.raises(InvalidRequest, match=rf"^request body is not valid {encoding}$") as raised:
            unpacked(encoding, data, cut)
        assert raised.value.status == 400


@pytest.mark.parametrize("encodings", [[], [""], ["identity"], ["identity", "Identity"]])
def test_a15_plain(encodings: list[str]) -> None:
    """A15: no encoding, or `identity`, is a plain body."""
    assert unpacker(encodings, LIMIT) is None


@pytest.mark.parametrize("encodings", [["zstd"], ["br"], ["compress"], ["utf-8"], ["gzip, gzip"], ["gzip", "deflate"]])
def test_a15_unsupported(encodings: list[str]) -> None:
    """A15, RFC 9110, 15.5.16: other encodings, and several at once, are 415."""
    with pytest.raises(InvalidRequest) as raised:
        unpacker(encodings, LIMIT)
    assert raised.value.status == 415


@pytest.mark.parametrize(("size", "fits"), [(LIMIT, True), (LIMIT + 1, False), (3 * PIECE, True)])
def test_a15_limit(size: int, fits: bool) -> None:
    """A15: the limit is of what comes out, to the byte."""
    data = gzip.compress(bytes(size))
    if fits:
        assert unpacked("gzip", data) == bytes(size)
        return
    with pytest.raises(InvalidRequest) as raised:
        unpacked("gzip", data)
    assert (raised.value.status, raised.value.outcome) == (413, "too_large")


@pytest.mark.parametrize("wbits", [31, 15])
def test_a15_m10_bomb(wbits: int) -> None:
    """A15, M10: of a megabyte that would become a gigabyte no more comes out than the limit, piece by piece."""
    bomb = deflated(bytes(1 << 28), wbits) * (1 if wbits == 15 else 4)
    tracemalloc.start()
    try:
        with pytest.raises(InvalidRequest) as raised:
            unpacked("gzip" if wbits == 31 else "deflate", bomb, 65536)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert raised.value.status == 413
    assert peak < 2 * LIMIT + 4 * PIECE
