"""Headers of a request, as ASGI gives them."""

from __future__ import annotations

from starlette.types import Scope


def named(scope: Scope) -> dict[bytes, bytes]:
    """Return the headers by name (in lower case): of several of one name the last. Made once for each request."""
    found: dict[bytes, bytes] | None = scope.get("named")
    if found is None:
        found = scope["named"] = dict(scope["headers"])
    return found


def header(scope: Scope, name: bytes) -> str | None:
    """Return the first header of this name (in lower case), None if there is none."""
    return values(scope, name)[0] if name in named(scope) else None


def values(scope: Scope, name: bytes) -> list[str]:
    """Return all headers of this name."""
    return [bytes(value).decode("latin-1") for key, value in scope["headers"] if key == name]


def joined(scope: Scope, name: bytes) -> str | None:
    """Return all headers of this name as one, as HTTP joins them."""
    return ",".join(values(scope, name)) if name in named(scope) else None
