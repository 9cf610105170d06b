"""Guards around an application: who answers a request, and who is asked."""

from __future__ import annotations

import pytest
from starlette.types import ASGIApp, Receive, Scope, Send

from ollama_openai_proxy.serve.guard import Guard
from support.asgi import alive, call


async def ok(_scope: Scope, _receive: Receive, send: Send) -> None:
    """An application that answers every request, 299 to be known by."""
    await send({"type": "http.response.start", "status": 299, "headers": []})
    await send({"type": "http.response.body", "body": b""})


async def teapot(_scope: Scope, _receive: Receive, send: Send) -> None:
    """The answer of a guard that lets nobody in."""
    await send({"type": "http.response.start", "status": 418, "headers": []})
    await send({"type": "http.response.body", "body": b""})


class Doorkeeper(Guard):
    """Notes that it was asked, and lets in who does not ask for its path."""

    def __init__(self, app: ASGIApp, refused: str, asked: list[str]) -> None:
        super().__init__(app)
        self._refused = refused
        self._asked = asked

    def answering(self, scope: Scope) -> ASGIApp:
        self._asked.append(self._refused)
        return teapot if scope["path"] == self._refused else self.passed(scope)


@pytest.mark.parametrize(
    ("path", "status", "asked"),
    [("/", 299, ["/outer", "/inner"]), ("/inner", 418, ["/outer", "/inner"]), ("/outer", 418, ["/outer"])],
)
async def test_order(path: str, status: int, asked: list[str]) -> None:
    """The outermost guard is asked first, and after one that refuses nobody is."""
    seen: list[str] = []
    guarded = Doorkeeper(Doorkeeper(ok, "/inner", seen), "/outer", seen)
    assert await call(guarded, "GET", path) == (status, [])
    assert seen == asked


async def test_lifespan_passes() -> None:
    """What is no request reaches the application, and no guard is asked."""
    told: list[str] = []
    seen: list[str] = []

    async def receive() -> dict[str, str]:
        return {"type": "lifespan.startup"}

    async def send(message: object) -> None:
        told.append(str(message))

    guarded = Doorkeeper(Doorkeeper(alive(ok), "/inner", seen), "/outer", seen)
    await guarded({"type": "lifespan"}, receive, send)
    assert (len(told), seen) == (2, [])
