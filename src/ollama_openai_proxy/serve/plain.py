"""Answers to clients of HTTP/1.0, who know no chunks: a length, or the end of the connection ends them."""

from __future__ import annotations

from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

_EMPTY = (204, 304)


class Plain:
    """Makes the answers of an application fit for a client of HTTP/1.0 (RFC 9112, 6.1 and 9.3).

    The connection is kept if the client asks for that and the answer has a length.
    """

    def __init__(self, app: ASGIApp, cycle: Any) -> None:
        """`cycle`: uvicorn's, which writes the answer; it would write chunks."""
        self._app = app
        self._cycle = cycle

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        cycle, until_close = self._cycle, False

        async def plainly(message: Message) -> None:
            nonlocal until_close
            if message["type"] == "http.response.start":
                until_close = _begin(cycle, scope, message)
            elif until_close:
                cycle.expected_content_length = len(message.get("body", b""))
            await send(message)

        await self._app(scope, receive, plainly)


def _begin(cycle: Any, scope: Scope, message: Message) -> bool:
    """Say how the answer ends, and whether the connection does. Return whether it is all one."""
    headers = message["headers"] = list(message.get("headers", ()))
    names = {name.lower() for name, _ in headers}
    until_close = scope["method"] != "HEAD" and message["status"] not in _EMPTY and b"content-length" not in names
    if until_close:
        cycle.chunked_encoding = False
    if b"connection" not in names:
        cycle.keep_alive = not until_close and _asks_to_keep(scope)
        headers.append((b"connection", b"keep-alive" if cycle.keep_alive else b"close"))
    return until_close


def _asks_to_keep(scope: Scope) -> bool:
    tokens = [token.strip() for name, value in scope["headers"] if name == b"connection" for token in value.split(b",")]
    return any(token.lower() == b"keep-alive" for token in tokens)
