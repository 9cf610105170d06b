"""A request in the words of one backend."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from ollama_openai_proxy.translate.openai.profile import Profile
from ollama_openai_proxy.translate.openai.thinking import asked

# What is said where a backend refuses JSON mode, or never ends in it, unless a message has the word.
JSON_HINT = "Answer in JSON."
_JSON_OBJECT = {"type": "json_object"}
_ANY_OBJECT = {"type": "json_schema", "json_schema": {"name": "schema", "schema": {"type": "object"}}}


def encode(
    body: Mapping[str, Any],
    profile: Profile,
    *,
    extensions: Mapping[str, Any] | None = None,
    think: bool | str | None = None,
) -> bytes:
    """Return the JSON to send.

    `body` is a completion's, with `max_tokens`, and past `thinking` in the messages. `extensions` are parameters beyond
    OpenAI's, by Ollama's names; those that the backend does not take are left out.
    """
    model = str(body.get("model", ""))
    refused = profile.refused(model)
    seed, truncate = profile.seed, None
    if refused or "seed" in body:
        shaped = {(seed if name == "seed" else name): value for name, value in body.items() if name not in refused}
    else:
        shaped = dict(body)
    if extensions:
        truncate = extensions.get("truncate")
        for name, value in extensions.items():
            if spelled := profile.extensions.get(name):
                shaped[spelled] = value
    if not profile.stream_options:
        shaped.pop("stream_options", None)
    if "messages" in shaped:
        _shape_chat(shaped, profile)
        if truncate is not None:
            shaped.update(profile.truncate.get(bool(truncate), {}))
        if think is not None:
            shaped.update(asked(think, profile.dialect(model)))
    return msgspec.json.encode(shaped)


def _shape_chat(shaped: dict[str, Any], profile: Profile) -> None:
    """Say in the backend's words what only chats have: plain completions know the old names only."""
    if "max_tokens" in shaped:
        shaped[profile.max_tokens] = shaped.pop("max_tokens")
    if shaped.get("logprobs") and profile.top_logprobs:
        shaped["top_logprobs"] = max(shaped.get("top_logprobs", 0), profile.top_logprobs)
    keeps, messages = profile.names, shaped["messages"]
    for message in messages:
        if "thinking" in message or (not keeps and "name" in message):
            shaped["messages"] = messages = [_message(message, profile) for message in messages]
            break
    if "response_format" in shaped and shaped["response_format"] == _JSON_OBJECT:
        if profile.json_object == "schema":
            shaped["response_format"] = _ANY_OBJECT
        elif profile.json_object == "word" and not any(map(_mentions_json, messages)):
            at = _after_system(messages)
            shaped["messages"] = [*messages[:at], {"role": "system", "content": JSON_HINT}, *messages[at:]]


def _message(message: Mapping[str, Any], profile: Profile) -> Mapping[str, Any]:
    """Return the message with past thinking where the backend takes it, and without what it refuses."""
    shaped = dict(message)
    thinking = shaped.pop("thinking", "")
    if thinking and profile.thoughts:
        shaped[profile.thoughts] = thinking
    if not profile.names:
        shaped.pop("name", None)
    return shaped


def _mentions_json(message: Mapping[str, Any]) -> bool:
    said = message.get("content")
    texts = [said] if isinstance(said, str) else [part.get("text", "") for part in said or ()]
    return any("json" in text.lower() for text in texts)


def _after_system(messages: Iterable[Mapping[str, Any]]) -> int:
    """Return how many system prompts the conversation begins with."""
    count = 0
    for message in messages:
        if message["role"] != "system":
            break
        count += 1
    return count
