"""The keys of clients, as plain ASGI: whoever has none is told so, before a route is looked for or a body read."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Iterable

from starlette.responses import Response
from starlette.types import ASGIApp, Scope

from ollama_openai_proxy.errors import ProxyError, Unauthorised
from ollama_openai_proxy.serve.guard import Guard
from ollama_openai_proxy.serve.recorder import record_of

# What orchestrators ask, who have no key. They are told yes or no.
OPEN = frozenset({"/live", "/ready"})


class KeyGuard(Guard):
    """Lets in who sends `Authorization: Bearer` with one of the keys.

    It keeps digests, which have one length and are compared in constant time: how long an answer takes tells nothing of
    a key, and no character of a header can be one too odd to compare. It goes by the path that routes are found by,
    and by nothing else that a request says of itself.
    """

    def __init__(self, app: ASGIApp, *, keys: Iterable[str], render: Callable[[Scope, ProxyError], Response]) -> None:
        super().__init__(app)
        self._digests = tuple(_digest(key.encode()) for key in keys)
        self._render = render

    def answering(self, scope: Scope) -> ASGIApp:
        if scope["path"] not in OPEN:
            caller = self._caller(scope)
            if caller is None:
                return self._refusal(scope)
            scope["caller"] = caller
        return self.passed(scope)

    def _caller(self, scope: Scope) -> str | None:
        """Return a name for the key that the request has: none of what it holds."""
        given = [value for name, value in scope["headers"] if name == b"authorization"]
        if len(given) != 1:
            return None
        scheme, _, key = given[0].partition(b" ")
        if scheme.lower() != b"bearer":
            return None
        digest = _digest(key.strip(b" "))
        matches = [hmac.compare_digest(digest, known) for known in self._digests]  # all, whichever it is
        return f"key {matches.index(True)}" if any(matches) else None

    def _refusal(self, scope: Scope) -> ASGIApp:
        error = Unauthorised()
        record = record_of(scope)
        record.outcome, record.error = error.outcome, type(error).__name__
        response = self._render(scope, error)
        response.headers["WWW-Authenticate"] = "Bearer"
        return response


def _digest(key: bytes) -> bytes:
    return hashlib.sha256(key).digest()
