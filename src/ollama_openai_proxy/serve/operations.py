"""What the host asks: whether the process lives, whether it is ready, how it does.

None of it asks the backend anything, or takes longer for what a client does.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

import msgspec
from fastapi import FastAPI, Request, Response
from fastapi.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from ollama_openai_proxy.observe.metrics import Metrics
from ollama_openai_proxy.serve.headers import joined
from ollama_openai_proxy.serve.health import UpstreamHealth
from ollama_openai_proxy.serve.lifecycle import Lifecycle

_FRESH = {"Cache-Control": "no-store"}


class Operations:
    """The routes, and what they look at."""

    def __init__(
        self,
        lifecycle: Lifecycle,
        upstream: UpstreamHealth,
        about: dict[str, str],
        *,
        ready_needs_upstream: bool = False,
        terse: bool = False,
    ) -> None:
        """`about`: what `/health` tells of the process beside how it does. `terse`: `/ready` is for strangers, too, and
        does not say why not."""
        self._lifecycle = lifecycle
        self._upstream = upstream
        self._about = about
        self._ready_needs_upstream = ready_needs_upstream
        self._terse = terse

    def register(self, app: FastAPI) -> None:
        for path, handler in (("/live", self.live), ("/ready", self.ready), ("/health", self.health)):
            app.add_api_route(path, handler, methods=["HEAD", "GET"], response_model=None)

    async def live(self) -> Response:
        return PlainTextResponse("ok", headers=_FRESH)

    async def ready(self) -> Response:
        """Say `ready`, or with a 503 why not."""
        reason = self._not_ready()
        if reason and self._terse:
            reason = "not ready"
        return PlainTextResponse(reason or "ready", 503 if reason else 200, headers=_FRESH)

    async def health(self) -> Response:
        """Say all that is known, as JSON: 503 if requests will fail, else 200."""
        status = self._status()
        picture: dict[str, Any] = {
            "status": status,
            "state": self._lifecycle.state,
            **self._about,
            "uptime_seconds": round(time.monotonic() - self._lifecycle.began, 3),
            "in_flight": self._lifecycle.in_flight,
            "upstreams": [self._upstream.picture()],
        }
        body = msgspec.json.encode(picture)
        return Response(body, 503 if status == "unhealthy" else 200, _FRESH, "application/json")

    def _not_ready(self) -> str:
        if self._lifecycle.state != "ready":
            return self._lifecycle.state
        if self._ready_needs_upstream and self._upstream.status not in ("healthy", "degraded"):
            return f"upstream {self._upstream.status}"
        return ""

    def _status(self) -> str:
        if self._lifecycle.state != "ready":
            return "unhealthy"
        status = self._upstream.status
        return "healthy" if status == "unknown" else status


class MetricsPage:
    """`/metrics`, as an ASGI application of its own: it may have a port to itself."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._one = asyncio.Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _live_and_end(receive, send)
        elif scope["path"] != "/metrics":
            await PlainTextResponse("404 page not found", 404)(scope, receive, send)
        elif scope["method"] not in ("GET", "HEAD"):
            await PlainTextResponse("405 method not allowed", 405, {"Allow": "HEAD, GET"})(scope, receive, send)
        else:
            await (await self.page(Request(scope)))(scope, receive, send)

    async def page(self, request: Request) -> Response:
        async with self._one:  # however many ask
            # In a thread: thousands of lines would hold up the streams.
            body, content_type = await asyncio.to_thread(self._metrics.render, joined(request.scope, b"accept") or "")
        return Response(body, headers={"Content-Type": content_type, **_FRESH})

    def register(self, app: FastAPI) -> None:
        app.add_api_route("/metrics", self.page, methods=["HEAD", "GET"], response_model=None)


async def _live_and_end(receive: Receive, send: Send) -> None:
    for stage in ("startup", "shutdown"):
        await receive()
        await send({"type": f"lifespan.{stage}.complete"})
