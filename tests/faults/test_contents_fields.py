"""Fields of requests: what must reach nobody, and what means nothing (reliability B1 to B15)."""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from support.egress import Trap, trap
from support.proxy import HELLO, KEY, Proxy, chat, proxied
from support.replies import HI

pytestmark = pytest.mark.asyncio(loop_scope="module")

DIGEST = "sha256:" + "0" * 64


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def proxy() -> AsyncIterator[Proxy]:
    async with proxied() as running:
        running.upstream.script("m", HI)
        yield running


async def sent(proxy: Proxy, **fields: Any) -> dict[str, Any]:
    """Return what the backend is asked when a chat has these fields."""
    assert (await proxy.chat(**fields)).status == 200
    body: dict[str, Any] = proxy.upstream.posts[-1].json
    return body


@pytest.mark.parametrize("content_type", [None, "text/plain", "application/x-www-form-urlencoded", "application/json"])
async def test_b5_t20_content_type(proxy: Proxy, content_type: str | None) -> None:
    """B5, T20: JSON is JSON, whatever the header says of it."""
    headers = [f"Content-Type: {content_type}"] if content_type else []
    assert (await proxy.ask("POST", "/api/chat", chat(), *headers)).status == 200


async def test_b6_models(proxy: Proxy) -> None:
    """B6: no model and an unknown one are told apart, in Ollama's words; which models there are is not told."""
    response = await proxy.ask("POST", "/api/chat", {"messages": HELLO})
    assert (response.status, response.json) == (400, {"error": "model is required"})
    response = await proxy.chat("nope")
    assert (response.status, response.json) == (404, {"error": "model 'nope' not found"})


@pytest.mark.parametrize(
    ("method", "path", "status", "body"),
    [
        ("GET", "/nope", 404, b"404 page not found"),
        ("POST", "/api/tags", 405, b"405 method not allowed"),
        ("POST", "/api/nope", 404, b"404 page not found"),
    ],
)
async def test_b7_routes(proxy: Proxy, method: str, path: str, status: int, body: bytes) -> None:
    """B7: what is no route is Ollama's plain text, without a redirect."""
    response = await proxy.ask(method, path, b"{}" if method == "POST" else None)
    assert (response.status, response.body, response.header("location")) == (status, body, None)


@pytest.mark.parametrize("path", ["/api/chat/", "//api//chat", "/api/../v1/chat", "/api/%2e%2e/chat", "/API/CHAT"])
async def test_b7_t20_t22_no_redirect_from_the_host(proxy: Proxy, path: str) -> None:
    """B7, T20, T22: no spelling of a path leads to a place that is made of the Host header."""
    response = await proxy.ask("POST", path, chat(), "Host: localhost:1")
    location = response.header("location")
    assert response.status in (307, 404)
    assert (location is None) == (response.status == 404)
    assert location is None or (location[0], location[1]) == ("/", "a") or location.startswith("/v1")


BLOBS = {
    "traversal": "../../etc/passwd",
    "encoded traversal": "%2e%2e%2f%2e%2e%2fetc%2fpasswd",
    "encoded in part": "..%2f..%2fetc/passwd",
    "short": "sha256-" + "0" * 63,
    "long": "sha256-" + "0" * 65,
    "no hex": "sha256-" + "g" * 64,
    "NUL": "sha256-" + "0" * 63 + "%00",
    "a path after it": DIGEST + "/../../etc/passwd",
    "another separator": "sha256_" + "0" * 64,
}
opened: list[str] | None = None


def note(event: str, arguments: tuple[Any, ...]) -> None:
    if opened is not None and event in ("open", "os.listdir", "os.scandir"):
        opened.append(str(arguments[0]))


@pytest.mark.parametrize("method", ["HEAD", "POST"])
@pytest.mark.parametrize("digest", BLOBS.values(), ids=BLOBS.keys())
async def test_b8_digests(proxy: Proxy, method: str, digest: str) -> None:
    """B8: what is no digest is refused, or no route; no file is opened on the way."""
    global opened  # noqa: PLW0603  # an audit hook can't be taken away, only told to rest
    if not HOOKED:
        sys.addaudithook(note)
        HOOKED.append(True)
    opened = []
    try:
        response = await proxy.ask(method, f"/api/blobs/{digest}", b"x" if method == "POST" else None)
        seen = opened
    finally:
        opened = None
    # A path with dots leads to itself without them, as in Ollama's router: never to another host.
    assert response.status in (400, 404) or (response.header("location") or "//").startswith(("/etc/", "/api/"))
    assert b"root:" not in response.body
    assert [name for name in seen if "passwd" in name or "blob" in name or "sha256" in name] == []


HOOKED: list[bool] = []


def credentials(trap: Trap) -> dict[str, Any]:
    """Fields by which other proxies were told where to go, and with what."""
    url = dict.fromkeys(
        ("api_base", "base_url", "api_url", "url", "endpoint", "host", "proxy", "remote_host"), trap.url
    )
    keys = dict.fromkeys(("api_key", "apikey", "key", "token", "authorization"), "their-key")
    return {
        **url,
        **keys,
        "extra_headers": {"Authorization": "Bearer their-key", "X-Their": "1"},
        "extra_body": {"api_base": trap.url},
        "headers": {"X-Their": "1"},
        "user_config": {"model_list": [{"litellm_params": {"api_base": trap.url}}]},
        "custom_llm_provider": "openai",
        "deployment_id": "x",
        "aws_bedrock_runtime_endpoint": trap.url,
        "vertex_credentials": "their-key",
        "callbacks": [trap.url],
    }


@pytest.mark.parametrize("path", ["/api/chat", "/api/generate", "/api/embed", "/api/embeddings", "/api/show"])
async def test_b10_the_clients_own_backend(proxy: Proxy, path: str) -> None:
    """B10: where to go and with which key is never taken from a request, at its top, in options or in a message."""
    asked = len(proxy.upstream.requests)
    async with trap() as caught:
        theirs = credentials(caught)
        body = {"model": "m", "prompt": "x", "input": "x", "options": theirs, **theirs}
        body["messages"] = [{"role": "user", "content": "x", **theirs}]
        response = await proxy.ask("POST", path, body, "X-Api-Base: " + caught.url, "Authorization: Bearer their-key")
        assert response.status < 500 or path in ("/api/embed", "/api/embeddings")  # the backend is scripted to chat
        for request in proxy.upstream.requests[asked:]:
            assert request.headers["authorization"] == f"Bearer {KEY}"
            whole = f"{request.headers} {request.body.decode()}"
            assert [
                word for word in ("their", caught.address, *theirs) if f'"{word}' in whole or word == "their" in whole
            ] == []


@pytest.mark.parametrize("path", ["/api/pull", "/api/push", "/api/create", "/api/copy", "/api/delete"])
async def test_b9_nobody_is_called(path: str) -> None:
    """B9: no registry, no host and no file of a request is ever called or opened to manage models."""
    async with proxied() as proxy, trap() as caught:
        for name in (f"{caught.address}/library/x", f"http://{caught.address}/x", f"{caught.address}/x/y:z"):
            body = {"model": name, "name": name, "from": name, "source": name, "destination": name, "insecure": True}
            body |= {"remote_host": caught.url, "stream": False, "files": {"a": DIGEST}}
            response = await proxy.ask("DELETE" if path == "/api/delete" else "POST", path, body)
            assert response.status >= 400
            assert "error" in response.json
        assert proxy.upstream.posts == []


def urls(caught: Trap) -> list[str]:
    return [
        caught.url,
        f"http://user:pw@{caught.address}/x.png",
        f"http:\\\\{caught.address}\\x.png",
        f"http://2130706433:{caught.port}/x.png",
        f"http://[::ffff:127.0.0.1]:{caught.port}/x.png",
        "https://169.254.169.254/latest/meta-data",
        "file:///etc/passwd",
        "gopher://127.0.0.1:70/x",
        f"data:image/png;base64,{caught.url}",
        "data:image/png;base64,iVBORw0KGgo=",
        "data:video/jpeg;base64," + "AAAA," * 10_000,
    ]


async def test_b11_b12_images_are_base64_alone(proxy: Proxy) -> None:
    """B11, B12: no URL, of whatever kind, stands for an image: it is refused, not fetched, not sent on."""
    asked = len(proxy.upstream.posts)
    async with trap() as caught:
        for url in urls(caught):
            response = await proxy.chat(messages=[{"role": "user", "content": "x", "images": [url]}])
            assert response.status == 400
            assert response.json["error"].startswith("illegal base64 data at input byte ")
            part = {"type": "image_url", "image_url": {"url": url}}
            response = await proxy.chat(messages=[{"role": "user", "content": [part]}])
            assert (response.status, "cannot unmarshal array" in response.json["error"]) == (400, True)
    assert len(proxy.upstream.posts) == asked


PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


@pytest.mark.parametrize(("count", "status"), [(256, 200), (257, 400), (500, 400)])
async def test_b12_many_images(proxy: Proxy, count: int, status: int) -> None:
    """B12: images are counted, over all messages."""
    messages = [{"role": "user", "content": "x", "images": [PNG] * (count - 1)}, {"role": "user", "images": [PNG]}]
    response = await proxy.chat(messages=messages)
    assert response.status == status
    assert status == 200 or response.json == {"error": "too many images: at most 256 are taken"}
    generated = await proxy.ask("POST", "/api/generate", {"model": "m", "prompt": "x", "images": [PNG] * count})
    assert generated.status == status


OPTIONS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "unknown": ({"no_such": 1, "api_base": "x"}, {}),
    "how a model is loaded": ({"num_ctx": -1, "num_gpu": 10**12}, {}),
    "an endless answer": ({"num_predict": -1}, {}),
    "an answer longer than any": ({"num_predict": 10**12}, {}),
    "an answer": ({"num_predict": 7}, {"max_tokens": 7}),
    "numbers": ({"temperature": 0, "seed": 5, "top_p": 0.5}, {"temperature": 0, "seed": 5, "top_p": 0.5}),
    "a random seed": ({"seed": -1}, {}),
}


@pytest.mark.parametrize(("given", "expected"), OPTIONS.values(), ids=OPTIONS.keys())
async def test_b13_options_that_are_taken(proxy: Proxy, given: dict[str, Any], expected: dict[str, Any]) -> None:
    """B13: an option goes on where a backend knows it and the number means something; else it is left out."""
    plain = await sent(proxy)
    assert await sent(proxy, options=given) == {**plain, **expected}


@pytest.mark.parametrize(
    ("given", "kind"),
    [
        ({"temperature": "hot"}, "float32"),
        ({"temperature": 1e300}, "float32"),
        ({"num_predict": 1e19}, "integer"),
        ({"seed": 2**63}, "integer"),
        ({"num_ctx": "x"}, "integer"),
    ],
)
async def test_b13_options_that_are_refused(proxy: Proxy, given: dict[str, Any], kind: str) -> None:
    """B13, contract 4: a value of another type, or that its type can't hold, is refused as Ollama does."""
    response = await proxy.chat(options=given)
    assert response.json == {"error": f'option "{next(iter(given))}" must be of type {kind}'}
    assert response.status == 500


async def test_b14_stream(proxy: Proxy) -> None:
    """B14: no `stream`, or null, streams; what is no boolean is refused, and never taken for one."""
    for fields in ({}, {"stream": None}, {"stream": True}):
        assert (await proxy.chat(**fields)).header("content-type") == "application/x-ndjson"
    for value, found in (("true", "string"), (0, "number"), ([], "array")):
        response = await proxy.chat(stream=value)
        message = f"json: cannot unmarshal {found} into Go struct field ChatRequest.stream of type bool"
        assert (response.status, response.json) == (400, {"error": message})


async def test_b15_the_same_twice(proxy: Proxy) -> None:
    """B15: OpenAI's names for what Ollama's options say are unknown fields here: the options count."""
    both = {"max_tokens": 5, "temperature": 1.5, "max_completion_tokens": 6, "stop": "x"}
    plain = await sent(proxy)
    assert await sent(proxy, **both) == plain
    body = await sent(proxy, **both, options={"num_predict": 9, "temperature": 0.25})
    assert body == {**plain, "max_tokens": 9, "temperature": 0.25}


CANARY = "canary-of-what-is-never-echoed"
ECHOES: list[bytes] = [
    json.dumps({"model": "m", "messages": CANARY}).encode(),
    json.dumps({"model": "m", "messages": [{"role": "user", "content": [CANARY]}]}).encode(),
    json.dumps({"model": 5, "messages": [{"role": "user", "content": CANARY}]}).encode(),
    json.dumps({"model": "m", "messages": HELLO, "tools": [CANARY]}).encode(),
    json.dumps({"model": "m", "messages": HELLO, "options": {"seed": CANARY}}).encode(),
    json.dumps({"model": "m", "messages": HELLO, "stream": CANARY}).encode(),
    f'{{"model":"m","messages":[{{"content":"{CANARY}'.encode(),
    f'{{"model":"m","x":NaN,"messages":"{CANARY}"}}'.encode(),
    f'{{"model":"m","messages":"\\ud800{CANARY}"}}'.encode(),
    CANARY.encode(),
]


@pytest.mark.parametrize("data", ECHOES, ids=range(len(ECHOES)))
async def test_b2_t20_no_echo(proxy: Proxy, data: bytes) -> None:
    """B2, T20: no error is a 422, has the framework's shape, or repeats what was sent."""
    response = await proxy.ask("POST", "/api/chat", data)
    assert response.status in (400, 500)
    assert list(response.json) == ["error"]
    assert CANARY not in f"{response.headers} {response.body.decode()}"


@pytest.mark.parametrize("path", ["/docs", "/redoc", "/openapi.json", "/docs/oauth2-redirect"])
async def test_t20_pages_of_the_framework_are_closed(proxy: Proxy, path: str) -> None:
    """T20: nobody is shown the API's pages unless that was asked for."""
    assert (await proxy.ask("GET", path)).status == 404
