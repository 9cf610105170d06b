"""What happens to requests that no route takes as they are: in plain text, and by Ollama's rules (contract 1.2)."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Sequence
from urllib.parse import quote

from fastapi import Request, Response
from starlette.exceptions import HTTPException
from starlette.routing import BaseRoute, Match, Route
from starlette.types import ASGIApp, Scope

from ollama_openai_proxy.errors import ProxyError
from ollama_openai_proxy.serve.guard import Guard
from ollama_openai_proxy.serve.headers import header
from ollama_openai_proxy.serve.recorder import OPERATIONS, record_of

# The order in which Ollama lists them.
_METHODS = ("HEAD", "GET", "POST", "DELETE")
_LOOP = "proxy loop: the base URL of the backend is that of an ollama-openai-proxy"
# What may stand in a Location as it is; a backslash may not, for browsers take it for a slash.
_SAFE = "/%:@!$&'()*+,;=~?"


class LoopGuard(Guard):
    """Ends calls for a backend that came here: then the base URL is that of this proxy, or of another one.

    It is outside of all other rules, for none of them would tell what is wrong. What clients and probes ask is not
    looked at: no call of a proxy for completions or a list of models begins so.
    """

    def __init__(self, app: ASGIApp, *, agent: str, render: Callable[[Scope, ProxyError], Response]) -> None:
        """`agent`: what the User-Agent of proxies begins with."""
        super().__init__(app)
        self._agent = agent
        self._render = render

    def answering(self, scope: Scope) -> ASGIApp:
        if scope["path"].startswith("/api/") or not self._is_own(scope):
            return self.passed(scope)
        record = record_of(scope)
        record.outcome = "bad_request"
        return self._render(scope, ProxyError(_LOOP, status=508, outcome=record.outcome))

    def _is_own(self, scope: Scope) -> bool:
        return scope["path"] not in OPERATIONS and (header(scope, b"user-agent") or "").startswith(self._agent)


class Redirects(Guard):
    """Sends those on who asked for another spelling of a path.

    Origins and hosts are not looked at before (contract 1.4), and need not be: all that is told is
    a path of this server, which begins with exactly one slash, and never a host.
    """

    def __init__(self, app: ASGIApp, *, routes: Sequence[BaseRoute]) -> None:
        """`routes`: where a slash at the end is one too many."""
        super().__init__(app)
        self._routes = routes
        paths = (route.path for route in routes if isinstance(route, Route) and "{" not in route.path)
        self._known = frozenset(path for path in paths if path in ("/", clean(path.encode()).decode().rstrip("/")))

    def answering(self, scope: Scope) -> ASGIApp:
        if scope["path"] in self._known:  # then there is nothing to correct, however it was escaped
            return self.passed(scope)
        found = self._elsewhere(scope)
        if found is None:
            return self.passed(scope)
        status, path = found
        query = scope.get("query_string", b"")
        location = quote(path, _SAFE) + (f"?{quote(query, _SAFE)}" if query else "")
        return Response(status_code=status, headers={"Location": location})

    def _elsewhere(self, scope: Scope) -> tuple[int, bytes] | None:
        raw: bytes = scope.get("raw_path") or scope["path"].encode()
        if (b"//" in raw or b"/." in raw) and (path := clean(raw)) != raw:
            return 307, path
        asked: str = scope["path"]
        if asked.endswith("/") and asked != "/" and self._takes({**scope, "path": asked[:-1]}):
            return 301 if scope["method"] == "GET" else 307, quote(asked[:-1]).encode()
        return None

    def _takes(self, scope: Scope) -> bool:
        return any(route.matches(scope)[0] is Match.FULL for route in self._routes)


def clean(path: bytes) -> bytes:
    """Return the path without doubled slashes and dot segments, as Go's `cleanPath` does.

    Escapes are not looked into: `%2e` is no dot here.
    """
    cleaned = b"/" + posixpath.normpath(path).lstrip(b"/")
    return cleaned + b"/" if path.endswith(b"/") and cleaned != b"/" else cleaned


def on_http_error(request: Request, error: Exception) -> Response:
    """Answer a request that no route takes."""
    if not isinstance(error, HTTPException):
        raise error
    record_of(request.scope).outcome = "not_found" if error.status_code == 404 else "bad_request"
    if error.status_code == 404:
        return Response("404 page not found", 404, headers={"Content-Type": "text/plain"})
    if error.status_code == 405:
        headers = {"Content-Type": "text/plain", "Allow": ", ".join(_allowed(request))}
        return Response("405 method not allowed", 405, headers=headers)
    return Response(status_code=error.status_code)


def _allowed(request: Request) -> list[str]:
    """Return the methods of all routes with this path."""
    scope = request.scope
    found: set[str] = set()
    for route in request.app.routes:
        if route.matches(scope)[0] is not Match.NONE:
            found |= getattr(route, "methods", None) or set()
    return [method for method in _METHODS if method in found]
