"""What the host asks: whether the process lives."""

from __future__ import annotations

from fastapi import FastAPI, Request, Response
from fastapi.responses import PlainTextResponse
from starlette.exceptions import HTTPException

from ollama_openai_proxy.serve.middleware import record_of

# The order in which Ollama lists them.
_METHODS = ("HEAD", "GET", "POST", "DELETE")


def register(app: FastAPI) -> None:
    app.add_api_route("/live", live, methods=["HEAD", "GET"], response_model=None)


async def live() -> Response:
    return PlainTextResponse("ok")


def on_http_error(request: Request, error: Exception) -> Response:
    """Answer a request that no route takes, as Ollama does: in plain text (contract 1.2)."""
    if not isinstance(error, HTTPException):
        raise error
    record_of(request.scope).outcome = "not_found" if error.status_code == 404 else "bad_request"
    if error.status_code == 404:
        return Response("404 page not found", 404, headers={"Content-Type": "text/plain"})
    if error.status_code == 405:
        allowed = (error.headers or {}).get("Allow", "").split(", ")
        headers = {"Content-Type": "text/plain", "Allow": ", ".join(filter(allowed.__contains__, _METHODS))}
        return Response("405 method not allowed", 405, headers=headers)
    return Response(status_code=error.status_code)
