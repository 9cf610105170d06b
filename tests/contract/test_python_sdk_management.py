"""The official Python SDK against the proxy: making, copying, deleting, pulling and pushing models."""

from collections.abc import Iterator
from typing import Any

import ollama
import pytest

from contract.wire import user

SYSTEM = "Answer in rhymes."


@pytest.fixture
def made(client: ollama.Client) -> Iterator[str]:
    """A model that was made of another, with all that the SDK can send."""
    name = "sdk-poet"
    answer = client.create(
        name,
        from_="demo",
        system=SYSTEM,
        template="{{ .Prompt }}",
        license=["MIT"],
        parameters={"temperature": 0.5, "stop": ["END"]},
        messages=[user("Sky?"), ollama.Message(role="assistant", content="High.")],
    )
    assert answer.status == "success"
    yield name
    client.delete(name)


def names(client: ollama.Client) -> set[str | None]:
    return {model.model for model in client.list().models}


def test_create(client: ollama.Client, made: str) -> None:
    """Contract 5.13: a model that was made is listed, shown and answers, with what it was made of before the chat."""
    assert f"{made}:latest" in names(client)
    shown = client.show(made)
    assert shown.license == "MIT"
    assert shown.parameters is not None
    assert 'stop                           "END"' in shown.parameters
    reply = client.chat(made, [user("one two")])
    assert reply.model == made
    assert (reply.message.content or "").startswith("You said: one two\n")
    assert reply.prompt_eval_count == len(f"{SYSTEM} Sky? High. one two".split())
    assert f"{made}:latest" in {model.model for model in client.ps().models}
    assert (client.generate(made, "one two").response or "").startswith("You said: one two\n")


def test_streamed_create(client: ollama.Client, made: str) -> None:
    """Contract 5.13: the statuses come one by one and end in success."""
    told = [part.status or "" for part in client.create("sdk-copy", from_=made, system="B", stream=True)]
    client.delete("sdk-copy")
    assert told[-2:] == ["writing manifest", "success"]
    assert any(status.startswith("using existing layer sha256:") for status in told)
    assert any(status.startswith("creating new layer sha256:") for status in told)


def test_copy_and_delete(client: ollama.Client, made: str) -> None:
    """Contract 5.14, 5.15: a copy is a success and so is its end; what a backend has is not deleted."""
    assert client.copy(made, "sdk-copy:v1").status == "success"
    assert "sdk-copy:v1" in names(client)
    assert client.delete("SDK-copy:V1").status == "success"
    assert "sdk-copy:v1" not in names(client)
    with pytest.raises(ollama.ResponseError, match='"demo" does not support delete') as refused:
        client.delete("demo")
    assert refused.value.status_code == 400
    with pytest.raises(ollama.ResponseError, match="model 'sdk-copy' not found") as missing:
        client.delete("sdk-copy")
    assert missing.value.status_code == 404
    with pytest.raises(ollama.ResponseError, match='model "sdk-none" not found'):
        client.copy("sdk-none", "x")


def test_pull(client: ollama.Client) -> None:
    """Contract 5.11: a pull of what is there ends in success; one of what nobody has fails as Ollama's does."""
    assert client.pull("demo").status == "success"
    parts = list(client.pull("demo", stream=True))
    assert [part.status for part in parts][-1] == "success"
    assert all(part.total == part.completed for part in parts)
    with pytest.raises(ollama.ResponseError, match=r"^pull model manifest: file does not exist") as whole:
        client.pull("sdk-none")
    assert whole.value.status_code == 500
    with pytest.raises(ollama.ResponseError, match=r"^pull model manifest: file does not exist"):
        list(client.pull("sdk-none", stream=True))


def test_push(client: ollama.Client) -> None:
    """Contract 5.12: nobody is signed in, so a push is refused."""
    with pytest.raises(ollama.ResponseError, match="unauthorized: access denied"):
        client.push("demo")
    with pytest.raises(ollama.ResponseError, match="unauthorized: access denied"):
        list(client.push("demo", stream=True))


@pytest.mark.parametrize(
    "options",
    [
        {"files": {"m.gguf": "sha256:x"}},
        {"from_": "demo", "quantize": "q4_0"},
        {"from_": "demo", "adapters": {"a": "b"}},
    ],
)
def test_what_needs_weights(client: ollama.Client, options: dict[str, Any]) -> None:
    """Contract 5.13: what needs weights is refused with words that say why."""
    with pytest.raises(ollama.ResponseError, match="this server keeps no weights") as refused:
        client.create("sdk-none", **options)
    assert refused.value.status_code == 400


def test_blob(client: ollama.Client, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Contract 5.16: a file that is to become a model is refused, and the client reads why."""
    file = tmp_path_factory.mktemp("blob") / "m.gguf"
    file.write_bytes(bytes(1_000_000))
    with pytest.raises(ollama.ResponseError, match="blobs are not supported") as refused:
        client.create_blob(file)
    assert refused.value.status_code == 400


async def test_async(async_client: ollama.AsyncClient) -> None:
    """Contract 5.13 to 5.15: the client for asyncio does the same."""
    assert (await async_client.create("sdk-async", from_="demo", system="A")).status == "success"
    assert (await async_client.copy("sdk-async", "sdk-async:2")).status == "success"
    assert [part.status async for part in await async_client.pull("sdk-async:2", stream=True)][-1] == "success"
    for name in ("sdk-async", "sdk-async:2"):
        assert (await async_client.delete(name)).status == "success"
