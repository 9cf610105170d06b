"""Large bodies on their way to a backend: uncopied, in pieces, each of which waits for the one before."""

from __future__ import annotations

import asyncio

from aiohttp.abc import AbstractStreamWriter
from aiohttp.payload import Payload

_LARGE = 1024 * 1024
_PIECE = 256 * 1024


class Large(Payload):
    """A body that aiohttp would write in one piece if it were given as bytes, and warn of."""

    _value: bytes

    def __init__(self, body: bytes) -> None:
        super().__init__(body)
        self._size = len(body)

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        return self._value.decode(encoding, errors)

    async def write(self, writer: AbstractStreamWriter) -> None:
        view = memoryview(self._value)
        for at in range(0, len(view), _PIECE):
            await writer.write(view[at : at + _PIECE])
            await asyncio.sleep(0)  # a fast peer would leave no turn to others


def payload(body: bytes) -> bytes | Large | None:
    """Return what sends these bytes; each call needs a new one."""
    return Large(body) if len(body) > _LARGE else body or None
