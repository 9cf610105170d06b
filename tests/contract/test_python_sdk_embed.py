"""The official Python SDK's embeddings, with every option that it can send (contract 5.9, 5.10)."""

import math
from typing import Any

import ollama
import pytest

EVERY_OPTION: dict[str, Any] = {
    "numa": True,
    "num_ctx": 1024,
    "num_batch": 2,
    "num_gpu": 1,
    "main_gpu": 0,
    "low_vram": False,
    "f16_kv": True,
    "logits_all": False,
    "vocab_only": False,
    "use_mmap": True,
    "use_mlock": False,
    "embedding_only": True,
    "num_thread": 2,
    "num_keep": 1,
    "seed": 42,
    "num_predict": 1,
    "top_k": 1,
    "top_p": 0.5,
    "tfs_z": 0.5,
    "typical_p": 0.5,
    "repeat_last_n": 1,
    "temperature": 0.5,
    "repeat_penalty": 1.1,
    "presence_penalty": 0.5,
    "frequency_penalty": 0.5,
    "mirostat": 1,
    "mirostat_tau": 0.5,
    "mirostat_eta": 0.5,
    "penalize_newline": True,
    "stop": ["a"],
}


@pytest.mark.parametrize("options", [EVERY_OPTION, ollama.Options(**EVERY_OPTION), ollama.Options(num_ctx=9), None])
def test_options(client: ollama.Client, options: Any) -> None:
    """Options of a generation change no vector; old ones, and those that the SDK sends as null, are ignored."""
    plain = client.embed("demo-embed", "a boat")
    assert client.embed("demo-embed", "a boat", options=options).embeddings == plain.embeddings
    legacy = client.embeddings("demo-embed", "a boat", options=options)
    assert legacy.embedding == client.embeddings("demo-embed", "a boat").embedding


@pytest.mark.parametrize("truncate", [True, False, None])
def test_truncate(client: ollama.Client, truncate: bool | None) -> None:
    """A text that fits is the same vector, whatever is to be done with one that does not."""
    reply = client.embed("demo-embed", "a boat", truncate=truncate)
    assert reply.embeddings == client.embed("demo-embed", "a boat").embeddings


@pytest.mark.parametrize("keep_alive", [0, 2.5, -1, "10m", "-1s", None])
def test_keep_alive(client: ollama.Client, keep_alive: float | str | None) -> None:
    """Every form of `keep_alive` is taken by both calls (contract 3.1)."""
    assert len(client.embed("demo-embed", "a boat", keep_alive=keep_alive).embeddings) == 1
    assert client.embeddings("demo-embed", "a boat", keep_alive=keep_alive).embedding
    names = [model.model for model in client.ps().models]
    assert ("demo-embed:latest" in names) == (keep_alive != 0)


def test_batch(client: ollama.Client) -> None:
    """A large batch gives one vector for each text, in their order, and counts all their words."""
    texts = [f"text number {number}" for number in range(300)]
    reply = client.embed("demo-embed", texts)
    assert len(reply.embeddings) == 300
    assert reply.prompt_eval_count == 900
    assert reply.embeddings[217] == client.embed("demo-embed", texts[217]).embeddings[0]
    assert all(math.isclose(math.hypot(*vector), 1, abs_tol=1e-4) for vector in reply.embeddings)


def test_model_is_echoed(client: ollama.Client) -> None:
    """The name comes back as it was sent (contract 2.4)."""
    assert client.embed("Demo-EMBED:latest", "a").model == "Demo-EMBED:latest"


@pytest.mark.parametrize(
    ("fields", "status", "message"),
    [
        ({"input": 5}, 400, "invalid input type"),
        ({"input": ["a", None]}, 400, "invalid input type"),
        ({"input": "a", "dimensions": "8"}, 400, "EmbedRequest.dimensions of type int"),
        ({"input": "a", "truncate": "no"}, 400, "EmbedRequest.truncate of type bool"),
        ({"input": "a", "options": {"seed": "x"}}, 500, 'option "seed" must be of type integer'),
    ],
)
def test_refused(client: ollama.Client, fields: dict[str, Any], status: int, message: str) -> None:
    """What can't be embedded raises the SDK's error, with Ollama's status and words (contract 1.7, 4, 5.9)."""
    with pytest.raises(ollama.ResponseError) as caught:
        client._request(ollama.EmbedResponse, "POST", "/api/embed", json={"model": "demo-embed", **fields})
    assert caught.value.status_code == status
    assert message in caught.value.error
