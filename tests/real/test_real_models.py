"""What a real llama.cpp server tells of its model, and models made of it; plain completions, and conversations carried
by `context`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import ollama
import pytest

pytest.importorskip("xllamacpp", reason="no real backend here: scripts/test-real installs it", exc_type=ImportError)

pytestmark = pytest.mark.timeout(180)  # the model's speed is the machine's

MODEL = "smollm2:135m"
GREEDY = {"temperature": 0, "seed": 1, "num_predict": 8}


@pytest.fixture
def poet(client: ollama.Client) -> Iterator[str]:
    """An alias with a system prompt and a parameter."""
    client.create("poet", from_=MODEL, system="You only ever say one word.", parameters={"num_predict": 3})
    yield "poet"
    client.delete("poet")


def test_facts_of_the_model(client: ollama.Client, backend: str) -> None:
    """Rules R12, R13: one context length everywhere, which is that of the backend's slots; sizes as it tells them."""
    slot = httpx.get(f"{backend}/props", timeout=60, trust_env=False).json()["default_generation_settings"]["n_ctx"]
    client.chat(MODEL, [{"role": "user", "content": "Hi"}], options=GREEDY)
    shown = client.show(MODEL)
    info = shown.modelinfo or {}
    (listed,) = client.list().models
    (running,) = client.ps().models

    assert [value for key, value in info.items() if key.endswith(".context_length")] == [slot]
    assert running.context_length == slot
    assert info["general.parameter_count"] > 134_000_000
    assert listed.details
    assert (listed.details.format, listed.details.parameter_size) == ("gguf", "134.52M")
    assert listed.size
    assert listed.size > 50_000_000
    assert {"completion", "tools"} <= set(shown.capabilities or [])


def test_alias(client: ollama.Client, poet: str) -> None:
    """Contract 5.13: what was made of a model is listed, shown and asked: its system prompt and parameters hold."""
    plain = client.generate(MODEL, "Say hello.", options=GREEDY)
    made = client.generate(poet, "Say hello.", options={"temperature": 0, "seed": 1})

    assert {model.model for model in client.list().models} == {"poet:latest", MODEL}
    assert (client.show(poet).parameters or "").split() == ["num_predict", "3"]
    assert (made.eval_count, made.done_reason) == (3, "length")
    assert (made.prompt_eval_count or 0) > (plain.prompt_eval_count or 0)


def test_context_continues_the_conversation(client: ollama.Client) -> None:
    """Contract 5.7: what `context` carries is read again: as many tokens as a chat of the same turns has."""
    first = client.generate(MODEL, "My cat is called Mia.", options=GREEDY)
    carried = client.generate(MODEL, "And my dog?", context=first.context, options=GREEDY)
    turns: list[dict[str, Any]] = [
        {"role": "user", "content": "My cat is called Mia."},
        {"role": "assistant", "content": first.response},
        {"role": "user", "content": "And my dog?"},
    ]
    chat = client.chat(MODEL, turns, options=GREEDY)

    assert carried.prompt_eval_count == chat.prompt_eval_count
    assert carried.response == chat.message.content


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_raw_log_probabilities(client: ollama.Client, stream: bool) -> None:
    """Contract 3.8: of a raw prompt, too, each token has its probability and as many others as were asked for."""
    asked: dict[str, Any] = {"raw": True, "logprobs": True, "top_logprobs": 2, "options": GREEDY}
    if stream:
        parts = list(client.generate(MODEL, "One, two,", stream=True, **asked))
    else:
        parts = [client.generate(MODEL, "One, two,", **asked)]
    entries = [entry for part in parts for entry in part.logprobs or []]

    assert "".join(entry.token for entry in entries) == "".join(part.response or "" for part in parts)
    assert all(entry.logprob <= 0 and len(entry.top_logprobs or []) == 2 for entry in entries)


def test_template_is_rendered(client: ollama.Client) -> None:
    """Contract 5.7: a template of the request's own is what the model reads, as if it were sent raw."""
    rendered = client.generate(MODEL, "two", template="One, {{ .Prompt }},", options=GREEDY)
    raw = client.generate(MODEL, "One, two,", raw=True, options=GREEDY)

    assert (rendered.response, rendered.prompt_eval_count) == (raw.response, raw.prompt_eval_count)


def test_no_insert(client: ollama.Client) -> None:
    """Contract 5.7: the model has no tokens to fill in with, and Ollama's words say so."""
    with pytest.raises(ollama.ResponseError, match="does not support insert") as caught:
        client.generate(MODEL, "def f(", suffix="return 1")
    assert caught.value.status_code == 400


def test_pull_of_what_is_there_and_what_is_not(client: ollama.Client) -> None:
    """Contract 5.11: a pull says whether the backend has the model."""
    assert [part.status for part in client.pull(MODEL, stream=True)][-1] == "success"
    with pytest.raises(ollama.ResponseError, match="pull model manifest: file does not exist"):
        client.pull("nope")
