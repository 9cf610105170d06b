"""What is dialled, who tells its addresses, why it fails, and what runs the dialling."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
import uvloop

from ollama_openai_proxy.errors import ProxyError, UpstreamUnreachable
from ollama_openai_proxy.upstream.dial import Dialer, Unconnected
from ollama_openai_proxy.upstream.egress import Egress
from ollama_openai_proxy.upstream.resolver import Lookup, ask_system
from support.waiting import no_descriptors_left

Run = Callable[[Coroutine[Any, Any, None]], None]
Failure = tuple[type[ProxyError], str, str, bool]
NXDOMAIN = socket.gaierror(socket.EAI_NONAME, "canary: no such name")
AGAIN = socket.gaierror(socket.EAI_AGAIN, "canary: not now")
LATE = "timed out connecting to the upstream"
REFUSED: Failure = (UpstreamUnreachable, "the upstream refused the connection", "up_connect", True)
UNPROVEN = "the upstream's TLS could not be verified"
NAMELESS = "the upstream's name could not be resolved"


class Line(asyncio.Protocol):
    """A connection, which notes what comes."""

    transport: asyncio.Transport

    def __init__(self) -> None:
        self.heard = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]  # uvloop's is none by its class

    def data_received(self, data: bytes) -> None:
        self.heard += data


def on_asyncio(coroutine: Coroutine[Any, Any, None]) -> None:
    """Run it on the loop of asyncio."""
    asyncio.run(coroutine)


def on_uvloop(coroutine: Coroutine[Any, Any, None]) -> None:
    """Run it on uvloop, once that has opened a file that it keeps."""

    async def warmed() -> None:
        async with await asyncio.start_server(lambda _reader, _writer: None, "127.0.0.1", 0):
            pass
        await coroutine

    uvloop.run(warmed())


def names(*addresses: str) -> Lookup:
    """A name server that has these for each name."""

    async def look_up(_host: str, _port: int) -> list[str]:
        return list(addresses)

    return look_up


def failing(error: Exception) -> Lookup:
    """A name server that fails so."""

    async def look_up(_host: str, _port: int) -> list[str]:
        raise error

    return look_up


async def silent(_host: str, _port: int) -> list[str]:
    """A name server that does not answer."""
    await asyncio.Event().wait()
    return []


async def dialled(url: str, lookup: Lookup = ask_system, seconds: float = 5.0, egress: Egress | None = None) -> Line:
    """Return a connection to the backend."""
    dialer = Dialer(url, lookup, egress)
    try:
        return await dialer.connect(Line, seconds)
    finally:
        await dialer.close()


async def failure(url: str, lookup: Lookup = ask_system, seconds: float = 5.0, egress: Egress | None = None) -> Failure:
    """Return why there is no connection: the kind, the words, the outcome, and whether it may be gone in a moment.

    Nothing is left open, and nothing is told of names and credentials, which hold the word canary.
    """
    async with no_descriptors_left():
        with pytest.raises(Unconnected) as caught:
            await dialled(url, lookup, seconds, egress)
    error = caught.value.error
    assert "canary" not in f"{caught.value!r} {error!r}"
    assert str(error) == error.message
    return type(error), error.message, error.outcome, caught.value.passing
