"""The official Ollama SDK, the proxy and a real llama.cpp server with a real, small model.

The model is too small to be right, so what is tested is what does not depend on its wits: with temperature 0 and a
seed it says the same every time.
"""

import json
import math
import re
from collections.abc import Generator
from typing import Any

import httpx
import ollama
import pytest

from support.processes import eventually

pytest.importorskip("xllamacpp", reason="no real backend here: scripts/test-real installs it", exc_type=ImportError)

pytestmark = pytest.mark.timeout(180)  # the model's speed is the machine's

MODEL = "smollm2:135m"
GREEDY = {"temperature": 0, "seed": 1, "num_predict": 48}
HELLO = [{"role": "user", "content": "Say hello."}]
FACTS = {
    "type": "object",
    "required": ["country", "height"],
    "properties": {"country": {"enum": ["Japan", "Kenya"]}, "height": {"type": "integer"}},
}
GET_WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Current weather of a city",
        "parameters": {"type": "object", "required": ["city"], "properties": {"city": {"type": "string"}}},
    },
}
ASK_WEATHER = "Call get_weather for Paris."


def said_by_backend(backend: str, prompt: str) -> str:
    """What the backend says without the proxy."""
    body = {"messages": [{"role": "user", "content": prompt}], "temperature": 0, "seed": 1, "max_tokens": 48}
    reply = httpx.post(f"{backend}/v1/chat/completions", json=body, timeout=60, trust_env=False)
    text: str = reply.json()["choices"][0]["message"]["content"]
    return text


def ask(client: ollama.Client, prompt: str, *, stream: bool, **more: Any) -> list[ollama.ChatResponse]:
    """The reply in its parts; whole, it is the only one."""
    messages = [{"role": "user", "content": prompt}]
    options = {**GREEDY, **more.pop("options", {})}
    if stream:
        return list(client.chat(MODEL, messages, stream=True, options=options, **more))
    return [client.chat(MODEL, messages, options=options, **more)]


def content(parts: list[ollama.ChatResponse]) -> str:
    return "".join(part.message.content or "" for part in parts)


def metric(backend: str, name: str) -> float:
    lines = httpx.get(f"{backend}/metrics", timeout=60, trust_env=False).text
    match = re.search(rf"^llamacpp:{name} (\S+)$", lines, re.MULTILINE)
    assert match
    return float(match[1])


def test_list_names_the_model(client: ollama.Client) -> None:
    """The one model that the backend serves is listed under its own name, with a digest as long as Ollama's."""
    (model,) = client.list().models
    assert model.model == MODEL
    assert model.digest is not None
    assert re.fullmatch(r"[0-9a-f]{64}", model.digest)


def test_show_describes_the_model(client: ollama.Client) -> None:
    """A model that the backend serves can complete."""
    shown = client.show(MODEL)
    assert "completion" in (shown.capabilities or [])
    assert shown.details is not None


def test_ps_lists_a_model_that_was_used(client: ollama.Client) -> None:
    """A model is among the running ones after a chat with it."""
    client.chat(MODEL, HELLO, options=GREEDY)
    assert [model.model for model in client.ps().models] == [MODEL]


def test_chat_is_what_the_backend_said(client: ollama.Client, backend: str) -> None:
    """A whole reply has the backend's text, counts and measured durations."""
    reply = client.chat(MODEL, HELLO, options=GREEDY)
    assert reply.message.role == "assistant"
    assert reply.message.content == said_by_backend(backend, "Say hello.")
    assert reply.done
    assert reply.prompt_eval_count == 12  # 10 of the chat template, and the two words
    assert 0 < (reply.eval_count or 0) <= 48
    assert (reply.total_duration or 0) >= (reply.eval_duration or 0) > 0


def test_streamed_chat_is_the_same_text_in_parts(client: ollama.Client, backend: str) -> None:
    """The parts of a streamed reply join to the backend's text; the last one, and only that, is done."""
    parts = list(client.chat(MODEL, HELLO, stream=True, options=GREEDY))
    assert "".join(part.message.content or "" for part in parts) == said_by_backend(backend, "Say hello.")
    assert len(parts) > 2
    assert [part.done for part in parts] == [False] * (len(parts) - 1) + [True]
    assert parts[-1].prompt_eval_count == 12
    assert (parts[-1].eval_count or 0) > 0


def test_generate_is_a_chat_of_one_turn(client: ollama.Client, backend: str) -> None:
    """A prompt gives what the same text gives as a user's message."""
    reply = client.generate(MODEL, "Say hello.", options=GREEDY)
    assert reply.response == said_by_backend(backend, "Say hello.")
    assert reply.done


def test_streamed_generate_is_the_same_text_in_parts(client: ollama.Client, backend: str) -> None:
    """The parts of a streamed generation join to the backend's text."""
    parts = list(client.generate(MODEL, "Say hello.", stream=True, options=GREEDY))
    assert "".join(part.response or "" for part in parts) == said_by_backend(backend, "Say hello.")
    assert [part.done for part in parts] == [False] * (len(parts) - 1) + [True]


@pytest.mark.parametrize("stream", [False, True])
def test_structured_output_fits_the_schema(client: ollama.Client, stream: bool) -> None:
    """With a JSON schema as format the reply is JSON that fits it."""
    question = "Where is Mount Fuji, and how high is it?"
    text = content(ask(client, question, stream=stream, format=FACTS, options={"num_predict": 200}))
    facts = json.loads(text)
    assert facts.keys() == {"country", "height"}
    assert facts["country"] in ("Japan", "Kenya")
    assert isinstance(facts["height"], int)


@pytest.mark.parametrize("stream", [False, True])
def test_tool_call_comes_whole(client: ollama.Client, stream: bool) -> None:
    """The call that llama.cpp found in the text arrives once, with its arguments as an object."""
    parts = ask(client, ASK_WEATHER, stream=stream, tools=[GET_WEATHER])
    (call,) = [call for part in parts for call in part.message.tool_calls or []]
    assert call.function.name == "get_weather"
    assert call.function.arguments == {"city": "Paris"}


def test_tool_result_goes_back(client: ollama.Client) -> None:
    """A history with a call and its result, without the ids that the SDK drops, is answered with text."""
    question = {"role": "user", "content": ASK_WEATHER}
    (asked,) = ask(client, ASK_WEATHER, stream=False, tools=[GET_WEATHER])
    result = {"role": "tool", "tool_name": "get_weather", "content": "Paris: 11 degrees, rain"}
    (before,) = ask(client, ASK_WEATHER, stream=False)
    after = client.chat(MODEL, [question, asked.message, result], options=GREEDY)
    assert after.message.content
    assert (after.prompt_eval_count or 0) > (before.prompt_eval_count or 0)


@pytest.mark.parametrize("stream", [False, True])
def test_thinking_is_apart_from_the_answer(thinking_client: ollama.Client, stream: bool) -> None:
    """What the model thinks comes as thinking, what it answers as content, and no tag in either."""
    parts = ask(thinking_client, "What is 2+2?", stream=stream, think=True)
    thinking = "".join(part.message.thinking or "" for part in parts)
    assert "2" in thinking
    assert "4" in content(parts)
    assert "think>" not in thinking + content(parts)


def test_thinking_can_be_turned_off(thinking_client: ollama.Client) -> None:
    """With think false the model answers at once."""
    (reply,) = ask(thinking_client, "What is 2+2?", stream=False, think=False)
    assert not reply.message.thinking
    assert reply.message.content


def test_embed_gives_unit_vectors_in_order(client: ollama.Client) -> None:
    """A batch gives each text's own vector, in the order of the texts, each of length 1."""
    texts = ["a small boat", "the price of tea", "x"]
    batch = client.embed(MODEL, texts)
    assert [len(vector) for vector in batch.embeddings] == [576] * 3
    assert [math.hypot(*vector) for vector in batch.embeddings] == pytest.approx([1.0] * 3, abs=1e-5)
    assert (batch.prompt_eval_count or 0) >= 3
    for text, vector in zip(texts, batch.embeddings, strict=True):
        (alone,) = client.embed(MODEL, text).embeddings
        assert list(vector) == pytest.approx(list(alone), abs=1e-3)


def test_legacy_embeddings_gives_one_vector(client: ollama.Client) -> None:
    """The older endpoint gives the vector of one prompt, in the direction of the newer one's."""
    old = client.embeddings(MODEL, "a small boat").embedding
    (new,) = client.embed(MODEL, "a small boat").embeddings
    assert len(old) == 576
    cosine = sum(x * y for x, y in zip(old, new, strict=True)) / math.hypot(*old)
    assert cosine == pytest.approx(1.0, abs=1e-3)


def test_seed_and_temperature_make_it_repeatable(client: ollama.Client) -> None:
    """The same seed gives the same text again, also at a temperature where another seed gives another text."""
    warm: dict[str, Any] = {"temperature": 1.5, "num_predict": 24}
    first, again, other = (
        client.chat(MODEL, HELLO, options={**warm, "seed": seed}).message.content for seed in (7, 7, 8)
    )
    assert first == again
    assert first != other


def test_num_predict_limits_the_tokens(client: ollama.Client) -> None:
    """The reply has exactly as many tokens as asked for, and says that the limit ended it."""
    reply = client.chat(MODEL, HELLO, options={**GREEDY, "num_predict": 7})
    assert reply.eval_count == 7
    assert reply.done_reason == "length"


def test_stop_ends_the_text_before_it(client: ollama.Client) -> None:
    """The reply ends before the stop text, for that reason."""
    whole = client.chat(MODEL, HELLO, options=GREEDY).message.content or ""
    stop = whole.split()[3]
    reply = client.chat(MODEL, HELLO, options={**GREEDY, "stop": [stop]})
    assert reply.message.content == whole.partition(stop)[0]
    assert reply.done_reason == "stop"


def test_unknown_model_is_not_found(client: ollama.Client) -> None:
    """A model that the backend does not list is refused as Ollama does, though llama.cpp would answer for any name."""
    with pytest.raises(ollama.ResponseError) as raised:
        client.chat("nope", HELLO)
    assert raised.value.status_code == 404
    assert raised.value.error == "model 'nope' not found"


@pytest.mark.parametrize("stream", [False, True])
def test_prompt_too_long_is_refused(client: ollama.Client, stream: bool) -> None:
    """A prompt beyond the context is an error with a status, in a stream too, and says that it is the context."""
    with pytest.raises(ollama.ResponseError) as raised:
        ask(client, "word " * 3000, stream=stream)
    assert raised.value.status_code == 400
    assert "exceeds the available context size" in raised.value.error


def test_leaving_midway_frees_the_backend(client: ollama.Client, backend: str) -> None:
    """When the client leaves a stream the backend stops, long before the 2,000 tokens that were asked for."""
    endless = {"type": "array", "items": {"type": "boolean"}, "minItems": 2000}
    before = metric(backend, "n_decode_total")
    parts = client.chat(MODEL, HELLO, stream=True, format=endless, options={"temperature": 0})
    assert isinstance(parts, Generator)  # typed as an iterator, which could not be closed
    next(parts)
    assert metric(backend, "requests_processing") == 1
    parts.close()
    eventually(lambda: metric(backend, "requests_processing") == 0, within=20)
    assert metric(backend, "n_decode_total") - before < 1000
