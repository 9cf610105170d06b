"""Request bodies: read as bytes, whatever their content type claims (rule R1), and never without limit.

A body that is packed is unpacked here, under the same limit.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping
from contextlib import suppress
from typing import Any

from fastapi import Request, Response
from starlette.types import Message, Receive, Scope, Send

from ollama_openai_proxy.errors import InvalidRequest
from ollama_openai_proxy.limits import BodyLimits
from ollama_openai_proxy.serve.headers import named, values
from ollama_openai_proxy.serve.stepping import Rest
from ollama_openai_proxy.serve.unpacking import PIECE, TOO_LARGE, Unpacker, unpacker

TOO_SLOW = "timed out waiting for the request body"
UNREAD = frozenset({"too_large", "client_timeout"})  # the outcomes of requests whose bodies were not read to the end
# What is still read of a body that was refused, and thrown away: a client that sends before it reads
# would find its connection reset, and no answer.
_LINGER_BYTES = 64 * 1024 * 1024


def read_body(request: Request, limits: BodyLimits) -> bytes | Coroutine[Any, Any, bytes]:
    """Return the body, unpacked, or what waits for it and returns it.

    Either raises InvalidRequest when it is too large, comes too slowly, is never finished, or is packed in a way that
    nobody here unpacks.
    """
    headers = named(request.scope)
    if int(headers.get(b"content-length") or 0) > limits.size:
        raise _too_large()
    packed = None
    if b"content-encoding" in headers:
        packed = unpacker(values(request.scope, b"content-encoding"), limits.size)
    receiving: Coroutine[Any, Any, Message] = request.receive()  # type: ignore[assignment]  # servers have coroutines
    try:
        rest = Rest(receiving, receiving.send(None))
    except StopIteration as received:
        first: Message = received.value
        if packed is None and not first.get("more_body"):  # as most do, it came with its head
            return _part(first, 0, limits)
        return _joined(_after(first, request.receive), limits, packed)
    return _joined(_after(rest, request.receive), limits, packed)


def _after(first: Message | Rest, receive: Receive) -> Receive:
    """Return what receives the first message, which is there or still to come, and then all others."""
    left = [first]

    async def receive_all() -> Message:
        if not left:
            return await receive()
        first = left.pop()
        return await first if isinstance(first, Rest) else first

    return receive_all


async def _joined(receive: Receive, limits: BodyLimits, packed: Unpacker | None) -> bytes:
    try:
        parts = await _read(receive, limits, packed)
    except TimeoutError:
        raise InvalidRequest(TOO_SLOW, status=408, outcome="client_timeout") from None
    return parts[0] if len(parts) == 1 else b"".join(parts)


async def _read(receive: Receive, limits: BodyLimits, packed: Unpacker | None) -> list[bytes]:
    """Return the pieces of a body. Raises TimeoutError."""
    pieces: list[bytes] = []
    size = 0
    now = asyncio.get_running_loop().time
    began = now()
    async with asyncio.timeout(limits.timeout) as deadline:
        while True:
            message = await receive()
            if part := _part(message, size, limits):
                size += len(part)
                if packed:
                    await _unpack(packed, part, pieces)
                else:
                    pieces.append(part)
                earned = size / limits.min_rate if limits.min_rate else float("inf")
                deadline.reschedule(min(now(), began + earned) + limits.timeout)
            if not message.get("more_body"):
                break
    if packed:
        packed.finish()
    return pieces


def _part(message: Message, before: int, limits: BodyLimits) -> bytes:
    """Return what came, after so many bytes. Raises InvalidRequest."""
    if message["type"] == "http.disconnect":
        raise InvalidRequest("request canceled", status=499, outcome="client_abort")
    part: bytes = message.get("body", b"")
    if before + len(part) > limits.size:
        raise _too_large()
    return part


async def _unpack(packed: Unpacker, part: bytes, pieces: list[bytes]) -> None:
    for piece in packed.feed(part):
        pieces.append(piece)
        if len(piece) == PIECE:
            await asyncio.sleep(0)  # others have their turn


def _too_large() -> InvalidRequest:
    return InvalidRequest(TOO_LARGE, status=413, outcome="too_large")


class Lingering(Response):
    """An answer to who may still be sending: told at once, and then the connection is closed.

    Not before the client has sent what it has, or a good deal of it, or `patience` seconds are over.
    """

    patience = 5.0

    def init_headers(self, headers: Mapping[str, str] | None = None) -> None:
        super().init_headers({**(headers or {}), "Connection": "close"})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def hold_open(message: Message) -> None:
            await send({**message, "more_body": True} if message["type"] == "http.response.body" else message)

        await super().__call__(scope, receive, hold_open)
        with suppress(TimeoutError):
            async with asyncio.timeout(self.patience):
                await _discard(receive)
        await send({"type": "http.response.body", "body": b""})


async def _discard(receive: Receive) -> None:
    left = _LINGER_BYTES
    while left > 0:
        message = await receive()
        if not message.get("more_body"):
            return  # its end, or the client has left
        left -= len(message["body"])
