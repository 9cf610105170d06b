"""`/openapi.json` and `/docs`, and that they tell of all routes and of no others."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi.routing import APIRoute

from ollama_openai_proxy.main import create_app
from ollama_openai_proxy.translate.ollama.support import ENDPOINTS
from support.proxy import proxied, sealed


def registered(**settings: Any) -> dict[str, list[str]]:
    """The routes of an application, and their methods."""
    app = create_app(sealed(openai_api_base_url="http://127.0.0.1:9/v1", **settings))
    return {route.path: sorted(route.methods or ()) for route in app.routes if isinstance(route, APIRoute)}


async def described() -> Any:
    async with proxied(api_docs=True) as proxy:
        response = await proxy.ask("GET", "/openapi.json")
        assert response.all("content-type") == ["application/json"]
        return response.json


def test_every_route_has_a_row() -> None:
    """Whoever adds a route of Ollama's says what it does; whoever takes one away takes its row, too."""
    rows = {row.path: sorted(row.methods) for row in ENDPOINTS}
    assert {path: methods for path, methods in registered().items() if path == "/" or path[:5] == "/api/"} == rows


@pytest.mark.parametrize("path", ["/openapi.json", "/docs", "/redoc", "/docs/oauth2-redirect"])
async def test_off_by_default(path: str) -> None:
    """Contract 1.2: what Ollama does not have is 404, in plain text."""
    async with proxied() as proxy:
        response = await proxy.ask("GET", path)
        assert (response.status, response.body) == (404, b"404 page not found")


async def test_every_route_is_described() -> None:
    """The description has each path and method that there is, those of the host among them, and no others."""
    document = await described()
    paths = {
        path: sorted(method.upper() for method in operations if method != "parameters")
        for path, operations in document["paths"].items()
    }
    assert paths == registered(api_docs=True)
    assert {"/live", "/ready", "/health", "/metrics", "/openapi.json", "/docs"} < set(paths)


async def test_operations_have_names_of_their_own() -> None:
    """OpenAPI 3.1, 4.8.10: an operationId is unique among all operations."""
    document = await described()
    names = [operation["operationId"] for path in document["paths"].values() for operation in operations_of(path)]
    assert len(names) == len(set(names))


def operations_of(path: dict[str, Any]) -> list[dict[str, Any]]:
    return [operation for method, operation in path.items() if method != "parameters"]


async def test_references_lead_somewhere() -> None:
    """Each schema that is referred to is there, and each that is there is referred to."""
    document = await described()
    found: set[str] = set()

    def look(value: Any) -> None:
        if isinstance(value, dict):
            found.update([value["$ref"]] if isinstance(value.get("$ref"), str) else [])
            for item in value.values():
                look(item)
        elif isinstance(value, list):
            for item in value:
                look(item)

    look(document)
    assert found == {f"#/components/schemas/{name}" for name in document["components"]["schemas"]}


async def test_a_streamed_route() -> None:
    """Contract 1.3: chats answer with lines or with one object; a line may be an error (contract 1.10)."""
    chat = (await described())["paths"]["/api/chat"]["post"]
    assert chat["x-support"] == "translated"
    assert chat["requestBody"]["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/ChatRequest"}
    content = chat["responses"]["200"]["content"]
    assert content["application/json"]["schema"] == {"$ref": "#/components/schemas/ChatAnswer"}
    assert {"$ref": "#/components/schemas/Error"} in content["application/x-ndjson"]["schema"]["anyOf"]
    assert set(chat["responses"]) == {"200", "4XX", "5XX"}


async def test_a_route_that_is_refused() -> None:
    """Contract 5.16, 5.17: what only fails has no 200; a parameter of the path is named."""
    paths = (await described())["paths"]
    assert set(paths["/api/me"]["post"]["responses"]) == {"401"}
    blobs = paths["/api/blobs/{digest}"]
    assert [parameter["name"] for parameter in blobs["parameters"]] == ["digest"]
    assert "application/octet-stream" in blobs["post"]["requestBody"]["content"]
    assert "content" not in blobs["head"]["responses"]["404"]


async def test_page() -> None:
    """The page finds the description beside itself, under whatever prefix a reverse proxy puts both."""
    async with proxied(api_docs=True) as proxy:
        page = await proxy.ask("GET", "/docs")
        assert page.status == 200
        assert (page.header("content-type") or "").startswith("text/html")
        assert b"url: 'openapi.json'" in page.body
        assert (await proxy.ask("HEAD", "/docs")).status == 200
        assert (await proxy.ask("HEAD", "/openapi.json")).status == 200
        assert (await proxy.ask("POST", "/docs")).status == 405
