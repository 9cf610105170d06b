"""The guard that asks for keys, by itself; tests/faults/test_keys.py has it in the proxy."""

from __future__ import annotations

import pytest
from starlette.types import Receive, Scope, Send

from ollama_openai_proxy.serve.keys import KeyGuard
from ollama_openai_proxy.serve.ollama import render
from support.asgi import call
from support.recording import recorded

CALLERS: list[str | None] = []


async def noting(scope: Scope, _receive: Receive, send: Send) -> None:
    """An application that notes who asks."""
    CALLERS.append(scope.get("caller"))
    await send({"type": "http.response.start", "status": 299, "headers": []})
    await send({"type": "http.response.body", "body": b""})


def guarded() -> KeyGuard:
    return KeyGuard(noting, keys=("first-canary", "second-canary"), render=render)


@pytest.mark.parametrize(
    ("path", "header", "status", "caller"),
    [
        ("/api/tags", "Bearer first-canary", 299, "key 0"),
        ("/api/tags", "BEARER second-canary", 299, "key 1"),
        ("/api/tags", "Bearer third", 401, None),
        ("/live", "Bearer third", 299, None),
        ("/ready", "", 299, None),
        ("/live/", "", 401, None),
        ("/Live", "", 401, None),
    ],
)
async def test_who_is_let_in(path: str, header: str, status: int, caller: str | None) -> None:
    """M1: a key lets in, and gives its holder a name that holds nothing of it; two paths are open, as they are."""
    CALLERS.clear()
    answered, _ = await call(recorded(guarded()), "GET", path, [("Authorization", header)])
    assert answered == status
    assert ([caller] if status == 299 else []) == CALLERS


async def test_lifespan_passes() -> None:
    """What is no request needs no key."""
    seen: list[str] = []

    async def app(scope: Scope, _receive: Receive, _send: Send) -> None:
        seen.append(scope["type"])

    await KeyGuard(app, keys=("k",), render=render)({"type": "lifespan"}, None, None)  # type: ignore[arg-type]  # none is called
    assert seen == ["lifespan"]


def test_m3_no_key_in_the_guard() -> None:
    """M3: the guard holds digests: nothing that shows what it holds can show a key."""
    assert "canary" not in repr(vars(guarded()))
