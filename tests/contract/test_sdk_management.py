"""The official Python SDK for asyncio: every method that manages models, streamed and not, and its errors.

The plain SDK's are in test_python_sdk_management.py; this one reads streams and errors by other code.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import ollama
import pytest

from contract.wire import user

Client = ollama.AsyncClient
NAME = "async-made"


async def said(reply: Any, stream: bool) -> list[Any]:
    """The parts of an answer."""
    return [part async for part in reply] if stream else [reply]


@pytest.fixture
async def made(async_client: Client) -> AsyncIterator[str]:
    """A model made of `demo` with every option of `create` that needs no weights."""
    turns = [{"role": "user", "content": "Sky?"}, {"role": "assistant", "content": "Blue."}]
    more: dict[str, Any] = {"template": "{{ .Prompt }}", "license": ["MIT", "BSD"], "system": "Be brief."}
    answer = await async_client.create(
        NAME, from_="demo", parameters={"num_predict": 3, "stop": ["END"]}, messages=turns, **more
    )
    assert answer.status == "success"
    yield NAME
    await async_client.delete(NAME)


async def test_create(async_client: Client, made: str) -> None:
    """A model that was made is listed and shown with all that it was made of, and it counts when it answers."""
    assert f"{made}:latest" in [model.model for model in (await async_client.list()).models]
    shown = await async_client.show(made)
    assert (shown.license, shown.template) == ("MIT\nBSD", "{{ .Prompt }}")
    assert sorted((shown.parameters or "").split("\n")) == [f"{'num_predict':30} 3", f'{"stop":30} "END"']
    reply = await async_client.chat(made, [user("one two three")])
    assert (reply.model, reply.message.content, reply.done_reason) == (made, "You said: one", "length")
    assert reply.prompt_eval_count == len(["Be", "brief.", "Sky?", "Blue.", "one", "two", "three"])
    assert f"{made}:latest" in [model.model for model in (await async_client.ps()).models]


@pytest.mark.parametrize("stream", [True, False])
async def test_pull(async_client: Client, stream: Any) -> None:
    """A pull of what is there ends in `success`; of what is nowhere it raises in Ollama's words."""
    for insecure in (True, False):
        parts = await said(await async_client.pull("demo", insecure=insecure, stream=stream), stream)
        assert parts[-1].status == "success"
        for part in parts:
            assert (part.completed or 0) <= (part.total or 0)
    with pytest.raises(ollama.ResponseError, match="pull model manifest: file does not exist") as raised:
        await said(await async_client.pull("nope", stream=stream), stream)
    assert raised.value.status_code == (-1 if stream else 500)


@pytest.mark.parametrize("stream", [True, False])
async def test_push(async_client: Client, stream: Any) -> None:
    """There is nothing to push to: an error with words, and never `success`."""
    for model in ("demo", "nope"):
        parts: list[Any] = []
        with pytest.raises(ollama.ResponseError) as raised:
            parts += await said(await async_client.push(model, insecure=True, stream=stream), stream)
        assert raised.value.error
        assert not any(part.status == "success" for part in parts)


@pytest.mark.parametrize("stream", [True, False])
async def test_create_streamed(async_client: Client, stream: Any) -> None:
    """The statuses of a creation end in `success`; one from a model that is nowhere raises."""
    parts = await said(await async_client.create("async-b", from_="demo", stream=stream), stream)
    await async_client.delete("async-b")
    assert parts[-1].status == "success"
    with pytest.raises(ollama.ResponseError) as raised:
        await said(await async_client.create("async-c", from_="nope", stream=stream), stream)
    assert raised.value.error == "pull model manifest: file does not exist"
    assert "async-c:latest" not in [model.model for model in (await async_client.list()).models]


@pytest.mark.parametrize(
    "weights",
    [
        {"quantize": "q4_K_M", "from_": "demo"},
        {"files": {"a.gguf": "sha256:" + "0" * 64}},
        {"adapters": {"a.gguf": "sha256:" + "0" * 64}, "from_": "demo"},
    ],
    ids=["quantize", "files", "adapters"],
)
async def test_create_of_weights(async_client: Client, weights: dict[str, Any]) -> None:
    """What needs weights is refused with 400 and words: no model is made."""
    with pytest.raises(ollama.ResponseError) as raised:
        await async_client.create("async-d", **weights)
    assert raised.value.status_code == 400
    assert raised.value.error
    assert "async-d:latest" not in [model.model for model in (await async_client.list()).models]


async def test_create_blob(async_client: Client, tmp_path: Path) -> None:
    """Nothing is kept of a file: the upload is refused with words, and a look for it says that it is not there."""
    path = tmp_path / "weights.gguf"
    path.write_bytes(b"GGUF")
    with pytest.raises(ollama.ResponseError) as raised:
        await async_client.create_blob(path)
    assert 400 <= raised.value.status_code < 600
    assert raised.value.error
    digest = hashlib.sha256(b"GGUF").hexdigest()
    looked = await async_client._client.head(f"/api/blobs/sha256:{digest}")  # the SDK has no method for it
    assert (looked.status_code, looked.content) == (404, b"")


async def test_copy_and_delete(async_client: Client, made: str) -> None:
    """A copy and a deletion are successes only for status 200; of what is not there they raise."""
    assert (await async_client.copy(made, "async-e")).status == "success"
    assert (await async_client.delete("async-e")).status == "success"
    with pytest.raises(ollama.ResponseError, match="model 'async-e' not found") as raised:
        await async_client.delete("async-e")
    assert raised.value.status_code == 404
    with pytest.raises(ollama.ResponseError, match='model "async-e" not found'):
        await async_client.copy("async-e", "async-f")


async def test_delete_of_a_backend_model(async_client: Client) -> None:
    """What the backend has is not the proxy's to delete: an error, and it is still there."""
    with pytest.raises(ollama.ResponseError) as raised:
        await async_client.delete("acme/demo:free")
    assert 400 <= raised.value.status_code < 500
    assert "acme/demo:free" in [model.model for model in (await async_client.list()).models]


async def test_show_and_ps(async_client: Client) -> None:
    """What is shown and what runs fits the SDK's types, and `show` of what is not there is 404 with its tag."""
    for model in (await async_client.list()).models:
        shown = await async_client.show(model.model or "")
        assert shown.modelinfo
        assert shown.capabilities
        assert shown.details
    await async_client.chat("demo", [user("Hi")], keep_alive=-1)
    running = {model.model: model for model in (await async_client.ps()).models}
    assert running["demo:latest"].expires_at
    assert running["demo:latest"].context_length == 8192
    await async_client.generate("demo", keep_alive=0)
    with pytest.raises(ollama.ResponseError, match="model 'nope:latest' not found") as raised:
        await async_client.show("nope")
    assert raised.value.status_code == 404
