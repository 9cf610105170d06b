"""Bodies that come compressed although nobody asked: unpacked piece by piece, and not without limit."""

from __future__ import annotations

import zlib
from collections.abc import Callable

from ollama_openai_proxy.errors import UpstreamBroken
from ollama_openai_proxy.translate.openai.completion import TRUNCATED
from ollama_openai_proxy.upstream.errors import INVALID

_PIECE = 64 * 1024
_SLICE = 4 * 1024  # what is unpacked at once: zlib copies the rest of it with each member that ends
_EMPTY = 64  # members, one after the other: none but a fault needs more
_FREE = 64 * 1024  # so much may come of few bytes
_RATIO = 100

_WITH_HEADER = zlib.MAX_WBITS | 32  # that of gzip or of zlib


def is_packed(encoding: str) -> bool:
    """Tell whether a body with this `Content-Encoding` is to be unpacked. Raises UpstreamBroken if it can't be."""
    if encoding in ("", "identity", "none"):  # the last is no encoding, but how some keep others from packing
        return False
    if encoding in ("gzip", "x-gzip", "deflate"):
        return True
    raise UpstreamBroken("unexpected content encoding from upstream")


class Inflated:
    """Unpacks what comes: gzip, also in several members, and deflate with or without header.

    What is there is handed on at once, at most 64 KiB at a time. What unpacks to more than 100 times its size
    is no answer.
    """

    def __init__(self, encoding: str) -> None:
        self._bare = encoding == "deflate"  # may have no header
        self._inflate: zlib._Decompress | None = None
        self._packed = b""
        self._at = 0  # in it
        self._full = False
        self._empty = 0
        self._taken = 0
        self._given = 0

    def take(self, source: Callable[[], bytes]) -> bytes:
        """Return the next bytes, b"" if `source`, which gives packed ones, has none now. Raises UpstreamBroken."""
        while True:
            if not self._more():
                self._packed, self._at = source(), 0
                self._taken += len(self._packed)
                if not self._packed:
                    return b""
            if piece := self._unpack():
                return piece

    def end(self) -> None:
        """Tell that no more comes. Raises UpstreamBroken if it was cut."""
        if self._inflate and not self._inflate.eof:
            raise UpstreamBroken(TRUNCATED, outcome="up_truncated")

    def _more(self) -> bool:
        """Tell whether more may come of what was read."""
        return self._full or self._at < len(self._packed)

    def _unpack(self) -> bytes:
        pieces: list[bytes] = []
        room = _PIECE
        while room and self._more():
            try:
                piece = self._unpack_slice(room)
            except zlib.error:
                if pieces:
                    break  # it fails again when these are told
                raise UpstreamBroken(INVALID) from None
            if piece:
                pieces.append(piece)
                room -= len(piece)
        self._given += _PIECE - room
        if self._given > _FREE + _RATIO * self._taken:
            raise UpstreamBroken("the upstream's response unpacks to too much")
        return b"".join(pieces)

    def _unpack_slice(self, room: int) -> bytes:
        """Return at most `room` bytes of the next slice. Raises zlib.error."""
        packed = self._packed[self._at : self._at + _SLICE]
        inflate = self._inflate
        if inflate is None or inflate.eof:
            self._empty += 1
            if self._empty > _EMPTY:
                raise zlib.error
            bare = self._bare and packed[0] & 0x0F != zlib.DEFLATED
            self._inflate = inflate = zlib.decompressobj(-zlib.MAX_WBITS if bare else _WITH_HEADER)
        piece = inflate.decompress(packed, room)
        self._at += len(packed) - len(inflate.unused_data if inflate.eof else inflate.unconsumed_tail)
        self._full = len(piece) == room and not inflate.eof
        if piece:
            self._empty = 0
        return piece
