"""Ollama's native API, `/api/*`: which handlers there are, and how errors are told."""

from __future__ import annotations

from fastapi import FastAPI, Request, Response
from starlette.types import Scope

from ollama_openai_proxy.errors import Busy, ProxyError, Unauthorised
from ollama_openai_proxy.observe.record import Record
from ollama_openai_proxy.serve.account import Account
from ollama_openai_proxy.serve.body import UNREAD, Lingering
from ollama_openai_proxy.serve.embedding import Embedding
from ollama_openai_proxy.serve.generation import Generation
from ollama_openai_proxy.serve.handlers import Route, Services, json_answer
from ollama_openai_proxy.serve.listing import Listing
from ollama_openai_proxy.serve.management import Management
from ollama_openai_proxy.serve.recorder import record_of
from ollama_openai_proxy.translate.ollama.errors import error_body, status


def routes(services: Services, *, version: str, context_length: int, management: bool) -> tuple[Route, ...]:
    """Return all routes.

    `version`: the Ollama version to report; `context_length`: tokens, for models of which nobody tells it;
    `management`: whether clients may change anything.
    """
    return (  # the first is found fastest
        *Generation(services).routes(),
        *Embedding(services).routes(),
        *Listing(services, version, context_length).routes(),
        *Management(services, enabled=management).routes(),
        *Account(services).routes(),
    )


def register(app: FastAPI, routes: tuple[Route, ...]) -> None:
    """Add the routes to the application itself: an included router costs a tenth of a request."""
    for route in routes:
        app.add_api_route(route.path, route.handler, methods=list(route.methods), response_model=None)


def on_error(http: Request, error: Exception) -> Response:
    """Render a ProxyError that was raised before the first byte of an answer."""
    if not isinstance(error, ProxyError):
        raise error
    record: Record = record_of(http.scope)
    record.outcome, record.error = error.outcome, type(error).__name__
    record.client_gone = error.outcome == "client_abort"
    return render(http.scope, error)


async def on_mistake(http: Request, _error: Exception) -> Response:
    """Render what nobody foresaw, and nothing of what it says."""
    return render(http.scope, ProxyError("internal error"))


def render(scope: Scope, error: ProxyError) -> Response:
    """Return an error in Ollama's words."""
    unread = isinstance(error, Busy | Unauthorised) and not record_of(scope).bytes_in
    kind = Lingering if unread or error.outcome in UNREAD else Response
    response = json_answer(error_body(error, scope["path"]), status(error, scope["path"]), kind)
    if record_of(scope).streamed:
        response.headers["Content-Type"] = "application/json"  # as Ollama, where lines were to come (contract 1.10)
    if error.retry_after is not None:
        response.headers["Retry-After"] = str(error.retry_after)
    return response
