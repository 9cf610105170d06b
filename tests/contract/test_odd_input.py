"""Requests that look wrong and are not: what Ollama takes, the proxy takes (contract 1.7, 2)."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from support.proxy import Proxy, proxied
from support.replies import HI

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def proxy() -> AsyncIterator[Proxy]:
    async with proxied() as running:
        running.upstream.script("m", HI)
        yield running


MESSAGES = b'"messages":[{"role":"user","content":"hi"}]'
BODIES: dict[str, bytes] = {
    "capitals": b'{"MODEL":"m","Messages":[{"ROLE":"user","Content":"hi"}]}',
    "a role in capitals": b'{"model":"m","messages":[{"role":"USER","content":"hi"}]}',
    "a key twice": b'{"model":"x","model":"m",' + MESSAGES + b"}",
    "a key twice, in another case": b'{"model":"x","Model":"m",' + MESSAGES + b"}",
    "unknown fields": b'{"x":{"y":[1e999]},"tool_choice":"auto","model":"m",' + MESSAGES + b"}",
    "nulls": b'{"model":"m","stream":null,"options":null,"tools":null,"format":null,"think":null,' + MESSAGES + b"}",
    "nulls within": b'{"model":"m","options":{"seed":null},"tools":[null],' + MESSAGES + b"}",
    "bytes that follow": b'{"model":"m",' + MESSAGES + b"} junk",
    "another value that follows": b'{"model":"m",' + MESSAGES + b'}{"model":"x"}',
    "space around": b' \r\n\t{"model":"m",' + MESSAGES + b"}\n\n",
    "options that nobody knows": b'{"model":"m","options":{"mirostat":"x","numa":5,"f16_kv":[]},' + MESSAGES + b"}",
    "a fraction for an integer": b'{"model":"m","options":{"num_ctx":8192.5,"num_thread":4.0},' + MESSAGES + b"}",
    "empty lists": b'{"model":"m","tools":[],' + MESSAGES + b"}",
    "an empty format": b'{"model":"m","format":"",' + MESSAGES + b"}",
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES.keys())
async def test_b2_b3_b13_b14_body(proxy: Proxy, body: bytes) -> None:
    """Contract 1.7, 4: keys in any case, the later of two, nulls, unknown fields, bytes that follow; all mean this."""
    asked = len(proxy.upstream.posts)
    response = await proxy.ask("POST", "/api/chat", body)
    assert response.status == 200
    (post,) = proxy.upstream.posts[asked:]
    assert post.json["model"] == "m"
    assert [(message["role"], message["content"]) for message in post.json["messages"]] == [("user", "hi")]
    assert {"tools", "response_format", "seed"}.isdisjoint(post.json)


@pytest.mark.parametrize("path", ["/api/chat", "/api/show", "/api/embeddings"])
async def test_null_is_an_empty_object(proxy: Proxy, path: str) -> None:
    """Contract 1.7: the body `null` acts like `{}`."""
    null, empty = await proxy.ask("POST", path, b"null"), await proxy.ask("POST", path, b"{}")
    assert (null.status, null.body) == (empty.status, empty.body) == (400, b'{"error":"model is required"}')


@pytest.mark.parametrize(
    "value", [300, 42.5, -1, -1.0, 1e300, "5m", "1h30m", "1.5h", "100ms", "5m0s", "-1s", "-5m", "0", None]
)
async def test_b14_keep_alive(proxy: Proxy, value: object) -> None:
    """Contract 3.1: numbers of seconds, and durations; below zero is for ever, as is what no clock counts."""
    assert (await proxy.chat(messages=[], keep_alive=value)).status == 200


NAMES = ["m", "M", "m:latest", "M:LATEST", " m\t", "m:local", "M:Local", "m:latest:local"]


@pytest.mark.parametrize("name", NAMES)
async def test_name(proxy: Proxy, name: str) -> None:
    """Contract 2.3 to 2.5: case, tag, space around and `:local` lead to the same model; the answer echoes the name."""
    asked = len(proxy.upstream.posts)
    response = await proxy.chat(name)
    assert {line["model"] for line in response.lines} == {name}
    assert [post.json["model"] for post in proxy.upstream.posts[asked:]] == ["m"]


@pytest.mark.parametrize("name", ["m:cloud", "m:1b-cloud", "m-cloud", "nope:local"])
async def test_source_of_nobodys_model(proxy: Proxy, name: str) -> None:
    """Contract 2.5: nothing is asked of ollama.com: a name with `:cloud` is one like any other, and nobody's here."""
    asked = len(proxy.upstream.requests)
    response = await proxy.chat(name)
    assert (response.status, response.json) == (404, {"error": f"model '{name}' not found"})
    assert len([post for post in proxy.upstream.requests[asked:] if post.method == "POST"]) == 0


@pytest.mark.parametrize("name", ["m:local:cloud", "m:cloud:local", "m:1b-cloud:local"])
@pytest.mark.parametrize("path", ["/api/chat", "/api/generate", "/api/show", "/api/embed", "/api/embeddings"])
async def test_two_sources(proxy: Proxy, path: str, name: str) -> None:
    """Contract 2.5: a name can't say both."""
    response = await proxy.ask("POST", path, {"model": name, "prompt": "x", "input": "x"})
    expected = {"error": f"use either :local or :cloud, not both: {json.dumps(name)}"}
    assert (response.status, response.json) == (400, expected)
