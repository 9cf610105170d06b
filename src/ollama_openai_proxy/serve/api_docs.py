"""`/openapi.json`, which describes all routes, and `/docs`, which shows it.

The page loads Swagger UI from a public CDN (cdn.jsdelivr.net): a browser without a way there shows nothing.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec
from fastapi import FastAPI, Response
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.routing import APIRoute

from ollama_openai_proxy.translate.ollama import schemas
from ollama_openai_proxy.translate.ollama.answers import Error
from ollama_openai_proxy.translate.ollama.schemas import Schema
from ollama_openai_proxy.translate.ollama.support import ENDPOINTS, Endpoint

_TITLE = "Ollama's API"
_DESCRIPTION = (
    "What ollama-openai-proxy does of Ollama's API with any OpenAI-compatible backend. Each field says what becomes of "
    "it: forwarded, translated, answered by the proxy, ignored or refused."
)
_PARAMETER = re.compile(r"{(\w+)}")
_SIGNS = re.compile(r"\W+")
_NDJSON = "application/x-ndjson"
_JSON = "application/json"
# What the host asks. The answers are described in docs/operations.md and docs/monitoring.md.
_OPERATIONS = {
    "/live": ("Whether the process lives.", "text/plain", ("200",)),
    "/ready": ("Whether it takes requests.", "text/plain", ("200", "503")),
    "/health": ("How it and the backend do.", _JSON, ("200", "503")),
    "/metrics": ("Figures, in the formats of Prometheus.", "text/plain", ("200",)),
    "/openapi.json": ("This description.", _JSON, ("200",)),
    "/docs": ("This description, for people.", "text/html", ("200",)),
}


class ApiDocs:
    """The two pages."""

    def __init__(self, app: FastAPI, version: str) -> None:
        """`app` has all other routes; `version` is the proxy's."""
        self._app = app
        self._version = version
        for path, handler in (("/openapi.json", self.description), ("/docs", self.page)):
            app.add_api_route(path, handler, methods=["HEAD", "GET"], response_model=None)
        self._description = msgspec.json.encode(self._document())

    async def description(self) -> Response:
        return Response(self._description, media_type=_JSON)

    async def page(self) -> Response:
        # Relative, for whoever comes through a reverse proxy under a prefix.
        return get_swagger_ui_html(openapi_url="openapi.json", title=_TITLE)

    def _document(self) -> dict[str, Any]:
        routes = [route for route in self._app.routes if isinstance(route, APIRoute)]
        described = {endpoint.path: endpoint for endpoint in ENDPOINTS}
        kinds = {endpoint.answer for endpoint in ENDPOINTS if endpoint.answer} | {Error}
        components = schemas.requests() | schemas.answers(sorted(kinds, key=lambda kind: kind.__name__))
        return {
            "openapi": "3.1.0",
            "info": {"title": _TITLE, "description": _DESCRIPTION, "version": self._version},
            "paths": {route.path: _path(route, described.get(route.path)) for route in routes},
            "components": {"schemas": components},
        }


def _path(route: APIRoute, endpoint: Endpoint | None) -> dict[str, Any]:
    described = {
        method.lower(): {
            "operationId": f"{method.lower()}{_SIGNS.sub('_', route.path).rstrip('_') or '_root'}",
            **(_endpoint(endpoint, method) if endpoint else _operation(route.path, method)),
        }
        for method in sorted(route.methods or ())
    }
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
        for name in _PARAMETER.findall(route.path)
    ]
    return {**described, **({"parameters": parameters} if parameters else {})}


def _operation(path: str, method: str) -> dict[str, Any]:
    summary, media_type, statuses = _OPERATIONS[path]
    content = _content({media_type: {}}) if method != "HEAD" else {}
    responses = {status: {"description": "ok" if status == "200" else "not now", **content} for status in statuses}
    return {"tags": ["operations"], "summary": summary, "responses": responses}


def _endpoint(endpoint: Endpoint, method: str) -> dict[str, Any]:
    described: dict[str, Any] = {
        "tags": [endpoint.support],
        "summary": endpoint.note,
        "x-support": endpoint.support,
        "responses": _responses(endpoint, with_body=method != "HEAD"),
    }
    if endpoint.body:
        described["requestBody"] = _content({_JSON: schemas.reference(endpoint.body)}, required=True)
    elif method == "POST" and endpoint.path.startswith("/api/experimental/"):
        described["requestBody"] = _content({_JSON: {"type": "object"}}, required=True)
    elif method == "POST" and "{digest}" in endpoint.path:
        described["requestBody"] = _content({"application/octet-stream": {}})
    return described


def _responses(endpoint: Endpoint, *, with_body: bool) -> dict[str, Any]:
    answers: dict[str, Schema] = {}
    if endpoint.answer:
        answers[_JSON] = schemas.reference(endpoint.answer)
    if endpoint.answer and endpoint.streamed:
        answers[_NDJSON] = {"anyOf": [schemas.reference(endpoint.answer), schemas.reference(Error)]}
    if endpoint.text:
        answers["text/plain"] = {"type": "string"}
    responses = {}
    if answers or endpoint.support != "refused":
        responses["200"] = {"description": endpoint.note, **(_content(answers) if with_body and answers else {})}
    for status in endpoint.errors:
        content = _content({_JSON: schemas.reference(Error)}) if with_body else {}
        responses[status] = {"description": "an error", **content}
    return responses


def _content(kinds: dict[str, Schema], **more: bool) -> dict[str, Any]:
    return {"content": {media_type: {"schema": schema} for media_type, schema in kinds.items()}, **more}
