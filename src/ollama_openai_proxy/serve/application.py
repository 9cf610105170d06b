"""The routes as an application: FastAPI's, and a shorter way to most of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from fastapi import FastAPI, Request, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from ollama_openai_proxy.errors import ProxyError
from ollama_openai_proxy.serve.handlers import Route
from ollama_openai_proxy.serve.recorder import record_of


class Application(FastAPI):
    """FastAPI with an `edge` of ours around its own."""

    def __init__(self, **options: Any) -> None:
        """`options` are FastAPI's."""
        super().__init__(**options)
        self.edge: ASGIApp = self.routed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.edge(scope, receive, send)

    async def routed(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer as FastAPI does, without the edge."""
        await super().__call__(scope, receive, send)


class Direct:
    """Calls the handlers of routes that FastAPI has, too, and leaves to it what none of them takes as it is.

    FastAPI looks for dependencies and checks answers, of which these handlers have none: that was a quarter of what a
    request cost.
    """

    def __init__(
        self, app: ASGIApp, routes: Iterable[Route], on_error: Callable[[Request, ProxyError], Response]
    ) -> None:
        """`app` takes the rest; `on_error` renders what a handler raises."""
        self._app = app
        self._routes = {
            (method, route.path): route for route in routes if "{" not in route.path for method in route.methods
        }
        self._on_error = on_error

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        route = self._routes.get((scope["method"], scope["path"])) if scope["type"] == "http" else None
        if route is None:
            await self._app(scope, receive, send)
            return
        scope["route"] = route
        http = Request(scope, receive, send)
        try:
            response = await route.handler(http)
            await response(scope, receive, send)
        except ProxyError as error:
            if record_of(scope).status:  # it has begun to answer
                raise
            await self._on_error(http, error)(scope, receive, send)
