"""Request bodies that are packed: unpacked as they arrive, in small pieces, and never beyond the limit.

zstd and br are refused with 415: no client of `/api` sends them, and Ollama unpacks nothing there (ADR 0020).
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Protocol

from ollama_openai_proxy.errors import InvalidRequest

TOO_LARGE = "request body too large"
UNSUPPORTED = "unsupported content encoding: send gzip, deflate or none"
PIECE = 256 * 1024  # bytes that are unpacked at a time: well below a millisecond
_MAX_MEMBERS = 64  # of one gzip file; each costs, however little is in it
_GZIP, _ZLIB, _RAW = 16 + zlib.MAX_WBITS, zlib.MAX_WBITS, -zlib.MAX_WBITS
_DEFLATE = 8  # in the low half of zlib's first byte


class Unpacker(Protocol):
    """Unpacks one body."""

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield what comes out, piece by piece. Raises InvalidRequest for what is too large or not of the format."""

    def finish(self) -> None:
        """Raise InvalidRequest if the body was cut."""


def unpacker(encodings: list[str], limit: int) -> Unpacker | None:
    """Return what unpacks a body with these Content-Encoding headers, at most to `limit` bytes; None if it is plain.

    Raises InvalidRequest, 415, for other encodings, and for several.
    """
    names = [name.strip().lower() for line in encodings for name in line.split(",")]
    asked = [name for name in names if name not in ("", "identity")]
    if not asked:
        return None
    if len(asked) == 1 and asked[0] in ("gzip", "x-gzip", "deflate"):
        return _Inflater(asked[0].removeprefix("x-"), limit)
    raise InvalidRequest(UNSUPPORTED, status=415)


class _Inflater:
    def __init__(self, encoding: str, limit: int) -> None:
        self._encoding = encoding
        self._left = limit
        self._members = 0
        self._inflate: zlib._Decompress | None = None

    def feed(self, data: bytes) -> Iterator[bytes]:
        is_full = False
        while data or is_full:
            inflate = self._inflate = self._current(data)
            try:
                piece = inflate.decompress(data, PIECE)
            except zlib.error:
                raise self._invalid() from None
            self._left -= len(piece)
            if self._left < 0:
                raise InvalidRequest(TOO_LARGE, status=413, outcome="too_large")
            is_full = len(piece) == PIECE and not inflate.eof  # more may come out without more going in
            data = inflate.unused_data if inflate.eof else inflate.unconsumed_tail
            yield piece

    def finish(self) -> None:
        if self._inflate and not self._inflate.eof:
            raise self._invalid()

    def _current(self, data: bytes) -> zlib._Decompress:
        """Return what unpacks the data: the same as before, unless that has come to its end."""
        if self._inflate and not self._inflate.eof:
            return self._inflate
        self._members += 1
        if self._members > (_MAX_MEMBERS if self._encoding == "gzip" else 1):
            raise self._invalid()
        if self._encoding == "gzip":
            return zlib.decompressobj(_GZIP)
        # Some send what RFC 1950 wraps, as RFC 9110 says, and some what is in it.
        return zlib.decompressobj(_ZLIB if data[0] & 0x0F == _DEFLATE else _RAW)

    def _invalid(self) -> InvalidRequest:
        return InvalidRequest(f"request body is not valid {self._encoding}")
