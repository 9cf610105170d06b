"""Bodies that come compressed although nobody asked: unpacked piece by piece, and not without limit."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Awaitable, Callable

from ollama_openai_proxy.errors import UpstreamBroken
from ollama_openai_proxy.translate.openai.completion import TRUNCATED
from ollama_openai_proxy.upstream.errors import INVALID

_PIECE = 256 * 1024
_FREE = 64 * 1024  # so much may come of few bytes
_RATIO = 100

_WITH_HEADER = zlib.MAX_WBITS | 32  # that of gzip or of zlib


def is_packed(encoding: str) -> bool:
    """Tell whether a body with this `Content-Encoding` is to be unpacked. Raises UpstreamBroken if it can't be."""
    if encoding in ("", "identity"):
        return False
    if encoding in ("gzip", "x-gzip", "deflate"):
        return True
    raise UpstreamBroken("unexpected content encoding from upstream")


class Inflated:
    """Reads what another reader reads, unpacked: gzip, also in several members, and deflate with or without header.

    What is there is handed on at once, at most 256 KiB at a time. What unpacks to more than 100 times its size
    is no answer.
    """

    def __init__(self, source: Callable[[], Awaitable[bytes]], again: Callable[[], None], encoding: str) -> None:
        """`again` is called before each further read of `source` that one read of the unpacked bytes takes."""
        self._source = source
        self._again = again
        self._bare = encoding == "deflate"  # may have no header
        self._inflate: zlib._Decompress | None = None
        self._full = False
        self._taken = 0
        self._given = 0

    async def read(self) -> bytes:
        """Return the next bytes, b"" at the end. Raises UpstreamError."""
        if self._full:
            await asyncio.sleep(0)  # there may be much of it, and others want their turn
        while True:
            rest = self._rest()
            if not rest and not self._full:
                rest = await self._source()
                self._taken += len(rest)
                if not rest:
                    return self._end()
            if piece := self._unpack(rest):
                return piece
            self._again()

    def _rest(self) -> bytes:
        """Return what was read and not unpacked."""
        if self._inflate is None:
            return b""
        return self._inflate.unused_data if self._inflate.eof else self._inflate.unconsumed_tail

    def _end(self) -> bytes:
        if self._inflate and not self._inflate.eof:
            raise UpstreamBroken(TRUNCATED, outcome="up_truncated")
        return b""

    def _unpack(self, packed: bytes) -> bytes:
        try:
            if self._inflate is None or self._inflate.eof:
                bare = self._bare and packed[0] & 0x0F != zlib.DEFLATED
                self._inflate = zlib.decompressobj(-zlib.MAX_WBITS if bare else _WITH_HEADER)
            piece = self._inflate.decompress(packed, _PIECE)
        except zlib.error:
            raise UpstreamBroken(INVALID) from None
        self._full = len(piece) == _PIECE and not self._inflate.eof
        self._given += len(piece)
        if self._given > _FREE + _RATIO * self._taken:
            raise UpstreamBroken("the upstream's response unpacks to too much")
        return piece
