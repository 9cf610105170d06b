"""An ASGI application, called without a server: for what a middleware does with one request."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.types import ASGIApp, Message, Receive, Scope, Send

Headers = Sequence[tuple[str, str]]


async def call(
    app: ASGIApp, method: str, path: str = "/", headers: Headers = (), *, query: str = ""
) -> tuple[int, list[tuple[str, str]]]:
    """Return status and headers of the response."""
    raw = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers]
    scope = {"type": "http", "method": method, "path": path, "query_string": query.encode(), "headers": raw}
    started: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": b""}

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            started.append(message)

    await app(scope, receive, send)
    (start,) = started
    return start["status"], [(name.decode(), value.decode("latin-1")) for name, value in start["headers"]]


def alive(app: ASGIApp) -> ASGIApp:
    """Return an application that starts and ends in order, and is this one in between."""

    async def living(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":
            await app(scope, receive, send)
            return
        for stage in ("startup", "shutdown"):
            await receive()
            await send({"type": f"lifespan.{stage}.complete"})

    return living
