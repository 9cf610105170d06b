"""What a scripted backend can do with a connection, one thing at a time."""

from __future__ import annotations

import asyncio
import time
from typing import Protocol


class Peer(Protocol):
    """The connection that a step is done with."""

    async def write(self, data: bytes) -> None: ...

    def close(self) -> None: ...

    def half_close(self) -> None: ...

    def reset(self) -> None: ...


class Step(Protocol):
    """One thing that the backend does in answer to a request."""

    async def run(self, peer: Peer) -> None: ...


class Send:
    """Write these bytes, in one piece."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    async def run(self, peer: Peer) -> None:
        await peer.write(self.data)


class Status(Send):
    """Write a status line and headers, each "Name: value", and the blank line."""

    def __init__(self, code: int, *headers: str) -> None:
        super().__init__("\r\n".join((f"HTTP/1.1 {code} Scripted", *headers, "", "")).encode())


class Chunk(Send):
    """Write one chunk of a chunked body."""

    def __init__(self, data: bytes) -> None:
        super().__init__(b"%x\r\n%b\r\n" % (len(data), data))


class End(Send):
    """Write the chunk that ends a chunked body."""

    def __init__(self) -> None:
        super().__init__(b"0\r\n\r\n")


class Flood:
    """Write the same chunk so many times, as fast as it is taken."""

    def __init__(self, data: bytes, times: int) -> None:
        self._chunk = Chunk(data)
        self._times = times

    async def run(self, peer: Peer) -> None:
        for _ in range(self._times):
            await self._chunk.run(peer)


class Repeat:
    """Write these bytes so many times, as fast as they are taken."""

    def __init__(self, data: bytes, times: int) -> None:
        self._data = data
        self._times = times

    async def run(self, peer: Peer) -> None:
        for _ in range(self._times):
            await peer.write(self._data)
            await asyncio.sleep(0)


class Wait:
    """Go on when the event is set: a barrier between the backend and the test."""

    def __init__(self, event: asyncio.Event) -> None:
        self._event = event

    async def run(self, peer: Peer) -> None:
        await self._event.wait()


class Pause:
    """Go on after so many seconds, for what is about time itself."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    async def run(self, peer: Peer) -> None:
        await asyncio.sleep(self._seconds)


class Hold:
    """Do nothing until the peer leaves."""

    async def run(self, peer: Peer) -> None:
        await asyncio.Event().wait()


class Close:
    """End the connection in order: FIN."""

    async def run(self, peer: Peer) -> None:
        peer.close()


class HalfClose:
    """Say that nothing more comes, and keep the connection."""

    async def run(self, peer: Peer) -> None:
        peer.half_close()


class Block:
    """Stop the whole process for so many seconds: whoever is in the loop, the proxy too."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    async def run(self, peer: Peer) -> None:
        time.sleep(self._seconds)  # noqa: ASYNC251  # that is what it is for


class Reset:
    """Break the connection: RST."""

    async def run(self, peer: Peer) -> None:
        peer.reset()
