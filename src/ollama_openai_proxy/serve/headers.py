"""Headers of a request, as ASGI gives them."""

from __future__ import annotations

from starlette.types import Scope


def header(scope: Scope, name: bytes) -> str | None:
    """Return the first header of this name (in lower case), None if there is none."""
    for key, value in scope["headers"]:
        if key == name:
            return bytes(value).decode("latin-1")
    return None


def values(scope: Scope, name: bytes) -> list[str]:
    """Return all headers of this name."""
    return [bytes(value).decode("latin-1") for key, value in scope["headers"] if key == name]


def joined(scope: Scope, name: bytes) -> str | None:
    """Return all headers of this name as one, as HTTP joins them."""
    found = values(scope, name)
    return ",".join(found) if found else None
