"""The short way to the handlers: nobody can tell it from FastAPI's."""

from __future__ import annotations

import logging
import re

import pytest
from fastapi import Request, Response
from starlette.types import Receive, Scope, Send

from ollama_openai_proxy.errors import ModelNotFound
from ollama_openai_proxy.main import create_app
from ollama_openai_proxy.serve import ollama
from ollama_openai_proxy.serve.application import Direct
from ollama_openai_proxy.serve.handlers import Route
from ollama_openai_proxy.serve.server import serving
from support.asgi import alive, call
from support.proxy import chat, proxied, sealed
from support.rawclient import RawClient
from support.recording import recorded
from support.replies import HI
from support.scripted import Upstream

Told = tuple[int, list[tuple[str, str]], str]

METHODS = ("HEAD", "GET", "POST", "PUT", "DELETE")
PATHS = (
    *("/", "/api/version", "/api/tags", "/api/ps", "/api/show", "/api/chat", "/api/generate", "/api/embed"),
    *("/api/embeddings", "/api/pull", "/api/push", "/api/create", "/api/copy", "/api/delete", "/api/me"),
    *("/api/blobs/sha256:x", "/api/status", "/nowhere", "/live"),
)
BODIES: tuple[object, ...] = (
    None,
    {},
    chat(stream=False),
    {"model": "no", "prompt": "p"},
    {"model": "m", "name": "m", "input": "i"},
)
OWN = {"date", "x-request-id"}  # of each answer
# Times, and how long it took.
MOMENTS = re.compile(r'"\d{4}-\d\d-\d\dT[^"]*"|(?<=_duration":)\d+')


async def answers(*, direct: bool) -> dict[tuple[str, str, int], Told]:
    """Return what the routes answer to every method and to several bodies."""
    async with Upstream() as upstream:
        upstream.script("m", HI)
        app = create_app(sealed(openai_api_base_url=upstream.url))
        if not direct:
            app.edge = recorded(app.routed)
        async with serving(app) as url:
            asked = [(method, path, body) for method in METHODS for path in PATHS for body in range(len(BODIES))]
            return {one: await answer(url, *one) for one in asked}


async def answer(url: str, method: str, path: str, body: int) -> Told:
    async with RawClient(url) as client:
        await client.ask(method, path, BODIES[body])
        response = await client.response(to_head=method == "HEAD")
    headers = [header for header in response.headers if header[0] not in OWN | {"content-length"}]
    return response.status, headers, MOMENTS.sub("0", response.body.decode())


async def test_no_difference() -> None:
    """Whatever is asked, the answer is the one that FastAPI gives by itself: status, headers, body."""
    ours, theirs = await answers(direct=True), await answers(direct=False)
    assert {status for status, _, _ in ours.values()} >= {200, 400, 404, 405}
    assert {one: told for one, told in ours.items() if told != theirs[one]} == {}


async def told_routes(proxy_path: str, caplog: pytest.LogCaptureFixture) -> str:
    caplog.set_level(logging.INFO, "ollama_openai_proxy.exchange")
    async with proxied() as proxy:
        caplog.clear()
        await proxy.ask("POST", proxy_path, chat())
    return str(caplog.records[-1].__dict__.get("route"))


@pytest.mark.parametrize(
    ("path", "route"),
    [("/api/show", "/api/show"), ("/api/blobs/x", "/api/blobs/{digest}"), ("/api/tags", "/api/tags"), ("/x", "None")],
)
async def test_route(path: str, route: str, caplog: pytest.LogCaptureFixture) -> None:
    """The line of an exchange names the route, whichever way led there, and none where there is none."""
    assert await told_routes(path, caplog) == route


class Late(Response):
    """An answer that fails when it has begun."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"first", "more_body": True})
        raise ModelNotFound("m")


class Early(Response):
    """An answer that fails before it begins."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        raise ModelNotFound("m")


async def rest(_scope: Scope, _receive: Receive, send: Send) -> None:
    """An application for all that no route takes, 299 to be known by."""
    await send({"type": "http.response.start", "status": 299, "headers": []})
    await send({"type": "http.response.body", "body": b""})


async def handler(http: Request) -> Response:
    """A handler that fails in the way that the query names."""
    query = http.url.query
    if query == "handler":
        raise ModelNotFound("m")
    return {"early": Early(), "late": Late()}.get(query, Response(status_code=204))


APP = Direct(rest, (Route("/a", ("POST", "GET"), handler), Route("/{any}", ("GET",), handler)), ollama.on_error)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/a", 204),
        ("POST", "/a", 204),
        ("HEAD", "/a", 299),
        ("GET", "/b", 299),
        ("GET", "/a/", 299),
        ("GET", "/{any}", 299),
    ],
)
async def test_who_answers(method: str, path: str, status: int) -> None:
    """A handler takes its own path and methods, to the letter; what has parameters is left to FastAPI."""
    assert (await call(recorded(APP), method, path))[0] == status


@pytest.mark.parametrize("query", ["handler", "early"])
async def test_refusal(query: str) -> None:
    """What a handler or its answer refuses before a status is told in Ollama's words."""
    async with serving(alive(recorded(APP))) as url, RawClient(url) as client:
        await client.ask("GET", f"/a?{query}")
        response = await client.response()
    assert (response.status, response.json) == (404, {"error": "model 'm' not found"})


async def test_refusal_in_mid_answer(caplog: pytest.LogCaptureFixture) -> None:
    """What has begun is broken off, so that it can't be taken for whole; the line says by what."""
    caplog.set_level(logging.INFO, "ollama_openai_proxy.exchange")
    async with serving(alive(recorded(APP))) as url, RawClient(url) as client:
        await client.ask("GET", "/a?late")
        assert (await client.read_to_end()).endswith(b"\r\n\r\n5\r\nfirst\r\n")
    (line,) = (record for record in caplog.records if record.name == "ollama_openai_proxy.exchange")
    assert line.__dict__["err_class"] == "ModelNotFound"


async def test_lifespan_passes() -> None:
    """What is no request reaches the application."""
    seen: list[str] = []

    async def app(scope: Scope, _receive: Receive, _send: Send) -> None:
        seen.append(scope["type"])

    await Direct(app, (), ollama.on_error)({"type": "lifespan"}, None, None)  # type: ignore[arg-type]  # none is called
    assert seen == ["lifespan"]
