"""Requests that no route takes as they are (contract 1.1, 1.2)."""

from __future__ import annotations

import logging
import posixpath

import pytest
from fastapi import FastAPI, Response
from hypothesis import given
from hypothesis import strategies as st
from starlette.exceptions import HTTPException

from ollama_openai_proxy.serve.routing import Redirects, clean, on_http_error
from support.asgi import call
from support.proxy import proxied
from support.recording import recorded


@pytest.mark.parametrize(
    "path",
    [
        "/nowhere",
        "/api",
        "/api/chats",
        "/api/chat/x",
        "/API/tags",
        "/v1/images/generations",
        "/docs",
        "/redoc",
        "/openapi.json",
        "/%00",
        "/api/%2e%2e/api/tags",
        "/%2Fapi/tags",
        "/nowhere/",
        "/nowhere?x=1",
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
async def test_unknown_path(method: str, path: str) -> None:
    """1.2: an unknown path is 404 with this plain text: no newline, no JSON, no charset; FastAPI's pages are off."""
    async with proxied() as proxy:
        response = await proxy.ask(method, path)
        assert (response.status, response.body) == (404, b"404 page not found")
        assert response.all("content-type") == ["text/plain"]
        assert response.all("location") == []


# Contract 1.1: every route of the native API, and the methods it has, in Ollama's order.
ROUTES = {
    "/": "HEAD, GET",
    "/api/version": "HEAD, GET",
    "/api/status": "GET",
    "/api/tags": "HEAD, GET",
    "/api/ps": "GET",
    "/api/show": "POST",
    "/api/generate": "POST",
    "/api/chat": "POST",
    "/api/embed": "POST",
    "/api/embeddings": "POST",
    "/api/pull": "POST",
    "/api/push": "POST",
    "/api/create": "POST",
    "/api/copy": "POST",
    "/api/delete": "DELETE",
    "/api/blobs/sha256:0": "HEAD, POST",
    "/api/me": "POST",
    "/api/signout": "POST",
    "/api/user/keys/x": "DELETE",
    "/api/experimental/web_search": "POST",
    "/api/experimental/web_fetch": "POST",
    "/api/experimental/model-recommendations": "GET",
}
METHODS = ("HEAD", "GET", "POST", "DELETE", "PUT", "PATCH", "OPTIONS", "TRACE")


@pytest.mark.parametrize(("path", "allowed"), ROUTES.items())
async def test_methods(path: str, allowed: str) -> None:
    """1.1, 1.2: any other method is 405 in plain text with those that there are; a HEAD has no body."""
    async with proxied() as proxy:
        for method in METHODS:
            response = await proxy.ask(method, path)
            if method in allowed.split(", "):
                assert response.status != 405
                continue
            assert (response.status, response.all("allow")) == (405, [allowed])
            assert response.all("content-type") == ["text/plain"]
            assert response.body == (b"" if method == "HEAD" else b"405 method not allowed")


async def test_options_on_an_address() -> None:
    """1.6: OPTIONS without an origin, to an address, reaches the routes: 405 for what is known, 404 for the rest."""
    async with proxied() as proxy:
        assert (await proxy.ask("OPTIONS", "/api/chat")).status == 405
        assert (await proxy.ask("OPTIONS", "/nowhere")).status == 404
        assert (await proxy.ask("OPTIONS", "*")).status == 404


@pytest.mark.parametrize("path", ["/api/version?beta=true&x=%zz", "/api/version?", "/%61pi/version", "/api%2Fversion"])
async def test_spelling_of_a_path(path: str) -> None:
    """1.2: query strings are ignored on all routes, and paths are matched once they are decoded."""
    async with proxied() as proxy:
        assert (await proxy.ask("GET", path)).status == 200


REDIRECTS: dict[tuple[str, str], tuple[int, str]] = {
    ("GET", "/api/tags/"): (301, "/api/tags"),
    ("GET", "/api/tags/?a=b&c=%20d"): (301, "/api/tags?a=b&c=%20d"),
    ("HEAD", "/api/tags/"): (307, "/api/tags"),
    ("POST", "/api/chat/"): (307, "/api/chat"),
    ("GET", "/live/"): (301, "/live"),
    ("GET", "//"): (307, "/"),
    ("GET", "//api/tags"): (307, "/api/tags"),
    ("POST", "//api//chat"): (307, "/api/chat"),
    ("POST", "/api/./chat?x=1"): (307, "/api/chat?x=1"),
    ("GET", "/nowhere/../api/tags"): (307, "/api/tags"),
    ("GET", "/../../etc/passwd"): (307, "/etc/passwd"),
    ("GET", "/api/tags/."): (307, "/api/tags"),
    ("GET", "/api/tags//"): (307, "/api/tags/"),
    # Each of them names another host where browsers read it as it is.
    ("GET", "//evil.example/x"): (307, "/evil.example/x"),
    ("GET", "///evil.example"): (307, "/evil.example"),
    ("POST", "//evil.example/%2e%2e"): (307, "/evil.example/%2e%2e"),
    ("GET", "//\\evil.example"): (307, "/%5Cevil.example"),
    ("GET", "/./\\evil.example"): (307, "/%5Cevil.example"),
    ("GET", "//a\tb"): (307, "/a%09b"),
    ("GET", '//<a href="x">'): (307, "/%3Ca%20href=%22x%22%3E"),
}


@pytest.mark.parametrize(("asked", "answer"), REDIRECTS.items(), ids=str)
async def test_redirect(asked: tuple[str, str], answer: tuple[int, str]) -> None:
    """1.2: a slash at the end is 301 for GET and 307 else; paths are cleaned with 307. Never to another host."""
    status, headers = await elsewhere(*asked)
    assert (status, dict(headers).get("location")) == answer


async def elsewhere(method: str, path: str) -> tuple[int, list[tuple[str, str]]]:
    """Return status and headers of what stands in front of two routes."""
    app = FastAPI(openapi_url=None, redirect_slashes=False)
    app.add_exception_handler(HTTPException, on_http_error)
    for route, methods in (("/api/tags", ["HEAD", "GET"]), ("/api/chat", ["POST"]), ("/live", ["GET"])):
        app.add_api_route(route, nothing, methods=methods, response_model=None)
    app.add_api_route("/api/blobs/{digest}", nothing, methods=["HEAD"], response_model=None)
    app.add_api_route("/api/blobs/{digest}", nothing, methods=["POST"], response_model=None)
    plain, _, query = path.partition("?")
    return await call(recorded(Redirects(app, routes=app.routes)), method, plain, query=query)


async def nothing() -> Response:
    return Response()


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 404),  # no such route there
        ("GET", "/api/chat/", 404),  # Ollama looks among the routes of the method alone
        ("HEAD", "/api/chat/", 404),
        ("POST", "/api/blobs/sha256:0", 200),
        ("POST", "/api/blobs/sha256:0/", 307),
        ("POST", "/api/blobs/a/b", 404),
        ("POST", "/api/blobs", 404),
        ("POST", "/api/blobs/", 404),
        ("GET", "/api/blobs/sha256:0", 405),
    ],
)
async def test_parameters(method: str, path: str, status: int) -> None:
    """1.2: a parameter holds something, and no slash; a slash too many is one only where a route has the method."""
    answered, headers = await elsewhere(method, path)
    assert answered == status
    if status == 405:
        assert dict(headers)["allow"] == "HEAD, POST"


async def test_redirects_come_first() -> None:
    """1.4: redirects pass neither CORS nor the host check, and tell nothing but a path of this server."""
    async with proxied() as proxy:
        for method, status in (("GET", 301), ("HEAD", 307)):
            asks = ("Host: evil.example", "Origin: https://evil.example")
            response = await proxy.ask(method, "/api/tags/", None, *asks)
            assert (response.status, response.all("location"), response.body) == (status, ["/api/tags"], b"")
            assert response.all("access-control-allow-origin") == response.all("vary") == []
        allowed = await proxy.ask("GET", "/api/tags/", None, "Origin: http://localhost:3000")
        assert allowed.all("access-control-allow-origin") == allowed.all("vary") == []


async def test_redirect_keeps_the_connection() -> None:
    """A client that follows a redirect may do so on the same connection, its body having been sent."""
    async with proxied() as proxy, proxy.client() as client:
        await client.ask("POST", "/api//show", {"model": "m"})
        response = await client.response()
        assert (response.status, response.all("location")) == (307, ["/api/show"])
        await client.ask("POST", "/api/show", {"model": "m"})
        assert (await client.response()).status == 200


@given(st.lists(st.sampled_from([b"/", b".", b"..", b"a", b"%2e", b"\\", b"a.b", b"\xc3"]), max_size=12).map(b"".join))
def test_clean(tail: bytes) -> None:
    """A clean path begins with one slash, has neither doubled slashes nor dot segments, and stays as it is."""
    cleaned = clean(b"/" + tail)
    assert cleaned.startswith(b"/")
    assert b"//" not in cleaned
    assert not {b".", b".."} & set(cleaned.split(b"/"))
    assert clean(cleaned) == cleaned
    assert posixpath.normpath(b"/" + tail).strip(b"/") == cleaned.strip(b"/")


async def test_log_of_what_no_route_takes(caplog: pytest.LogCaptureFixture) -> None:
    """A long path is cut in the log, and what it was is said in a word of the closed list."""
    caplog.set_level(logging.INFO, "ollama_openai_proxy.exchange")
    async with proxied() as proxy:
        caplog.clear()
        await proxy.ask("GET", "/" + "x" * 1000)
        await proxy.ask("GET", "/api/chat")
    facts = [record.__dict__ for record in caplog.records]
    assert [(fact["status"], fact["outcome"]) for fact in facts] == [(404, "not_found"), (405, "bad_request")]
    assert len(facts[0]["path"]) == 128
