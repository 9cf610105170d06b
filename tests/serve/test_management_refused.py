"""What is refused: pushes, blobs, and all changes where they are switched off (contract 2.6, 5.12, 5.16)."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from support.proxy import Proxy, proxied

DIGEST = "sha256:" + 64 * "a"


@pytest.fixture
async def proxy() -> AsyncIterator[Proxy]:
    async with proxied() as running:
        yield running
        assert running.upstream.posts == []


async def test_push(proxy: Proxy) -> None:
    """Contract 5.12: nobody is signed in, so a push is refused as it is to a stranger."""
    await proxy.ask("POST", "/api/copy", {"source": "m", "destination": "x"})
    for name in ("m", "x"):
        answer = await proxy.ask("POST", "/api/push", {"name": name})
        assert answer.lines == [{"status": "retrieving manifest"}, {"error": "unauthorized: access denied"}]
        assert answer.status == 200


async def test_push_of_a_missing_model(proxy: Proxy) -> None:
    """Contract 5.12: the error names where a manifest would be; 500 when it is not streamed."""
    error = {"error": "open manifests/registry.ollama.ai/me/No/7b: no such file or directory"}
    answer = await proxy.ask("POST", "/api/push", {"model": "me/No:7b"})
    assert answer.lines == [{"status": "retrieving manifest"}, {"status": "couldn't retrieve manifest"}, error]
    whole = await proxy.ask("POST", "/api/push", {"model": "me/No:7b", "stream": False})
    assert (whole.status, whole.json) == (500, error)


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b"", "missing request body"),
        ({"model": ""}, "model is required"),
        ({"model": "a b"}, "invalid model name"),
    ],
)
async def test_push_that_is_wrong(proxy: Proxy, body: object, error: str) -> None:
    """Contract 2.6: a push without a name is a 400."""
    answer = await proxy.ask("POST", "/api/push", body)
    assert (answer.status, answer.json) == (400, {"error": error})


async def test_blobs(proxy: Proxy) -> None:
    """Contract 5.16: there is no blob, and none is taken."""
    for digest in (DIGEST, DIGEST.replace(":", "-")):
        asked = await proxy.ask("HEAD", f"/api/blobs/{digest}")
        assert (asked.status, asked.body) == (404, b"")
        answer = await proxy.ask("POST", f"/api/blobs/{digest}", b"weights")
        assert (answer.status, answer.json) == (400, {"error": "blobs are not supported: this server keeps no weights"})
    assert (await proxy.ask("HEAD", "/api/blobs/x")).status == 400
    answer = await proxy.ask("POST", "/api/blobs/sha256:x", b"weights")
    assert (answer.status, answer.json) == (400, {"error": "invalid digest format"})


async def test_large_blob(proxy: Proxy) -> None:
    """Contract 5.16: a blob larger than any request may be is refused all the same, and its bytes are read for none."""
    size = 64 * 1024 * 1024  # twice MAX_BODY_SIZE
    head = f"POST /api/blobs/{DIGEST} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {size}\r\n\r\n"
    async with proxy.client() as client:
        await client.send(head.encode())
        for _ in range(64):
            await client.send(bytes(size // 64))
        answer = await client.response()
        assert (answer.status, answer.json["error"][:23]) == (400, "blobs are not supported")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/api/create"),
        ("POST", "/api/copy"),
        ("POST", "/api/push"),
        ("DELETE", "/api/delete"),
        ("POST", "/api/blobs/sha256:x"),
    ],
)
async def test_switched_off(method: str, path: str) -> None:
    """MANAGEMENT_ENABLED=false: what would change anything is a 403, whatever it says."""
    async with proxied(management_enabled=False) as proxy:
        for body in ({"model": "x", "from": "m"}, b"not json", b""):
            answer = await proxy.ask(method, path, body)
            assert (answer.status, answer.json) == (403, {"error": "model management is disabled"})
        assert len((await proxy.ask("GET", "/api/tags")).json["models"]) == 1
