"""Ollama's requests, translated to the body of a chat completion (contract 5.7, 5.8, 11.1)."""

from __future__ import annotations

import math
import re
from typing import Any

import msgspec
from msgspec import Raw

from ollama_openai_proxy.errors import InvalidRequest, ModelNotFound
from ollama_openai_proxy.translate.models import NO_PRESET, Model, Preset
from ollama_openai_proxy.translate.ollama import options
from ollama_openai_proxy.translate.ollama.calls import check_arguments
from ollama_openai_proxy.translate.ollama.golang import parse_duration, quote
from ollama_openai_proxy.translate.ollama.messages import conversation
from ollama_openai_proxy.translate.ollama.wire import (
    UNSET,
    ChatRequest,
    EmbedRequest,
    GenerateRequest,
    Message,
    decode,
)

Think = bool | str | None
LEVELS = ("high", "medium", "low", "max")
_LONGEST = 2**63 / 1e9  # seconds: what Go's clock can't count is for ever
_LEVELS_TEXT = '"high", "medium", "low", "max", true, or false'
# Whose past thoughts Ollama takes out of the text, by name where nobody tells the family (contract 5.8).
_FORGETS = re.compile(r"(?<![a-z0-9])(qwen-?3(?![\w.])|deepseek-r1)", re.IGNORECASE)


class Completion(msgspec.Struct):
    """A request in the upstream's words, but for what profiles spell differently.

    `body` is that of a chat completion (of a plain completion when `raw`), `extensions` are
    parameters that OpenAI does not have, under Ollama's names, and `think` is Ollama's `think`, None
    for a model that is known not to think.
    """

    body: dict[str, Any]
    extensions: dict[str, Any]
    think: Think
    raw: bool = False  # a plain completion: a prompt in place of messages


def keep_alive(value: Any) -> float | None:
    """Return the seconds that a request asks for: None is the default, infinity is for ever.

    Raises InvalidRequest (contract 3.1).
    """
    if value is None:
        return None
    if isinstance(value, str):
        value = parse_duration(value)
    elif isinstance(value, bool) or not isinstance(value, int | float):
        kind = {bool: "bool", list: "[]interface {}", dict: "map[string]interface {}"}[type(value)]
        raise InvalidRequest(f"Unsupported type: '{kind}'")
    return float(value) if 0 <= value <= _LONGEST else math.inf


def think(value: Any) -> Think:
    """Return what was asked for. Raises InvalidRequest (contract 3.2)."""
    if value is None or isinstance(value, bool) or value in LEVELS:
        return value  # type: ignore[no-any-return]  # narrowed by the line above
    if isinstance(value, str):
        raise InvalidRequest(f"invalid think value: {quote(value[:100])} (must be {_LEVELS_TEXT})")
    raise InvalidRequest(f"think must be a boolean or string ({_LEVELS_TEXT})")


def check(request: ChatRequest | GenerateRequest) -> None:
    """Check what Ollama checks before it looks for the model. Raises InvalidRequest."""
    if isinstance(request, ChatRequest):
        check_arguments(request.messages)
    think(request.think)
    keep_alive(request.keep_alive)
    if not 0 <= (request.top_logprobs or 0) <= 20:
        raise InvalidRequest("top_logprobs must be between 0 and 20")


def chat(request: ChatRequest, model: Model) -> Completion:
    """Translate a chat, what the model's alias puts before it included. Raises InvalidRequest."""
    messages = request.messages or []
    if model.preset is not NO_PRESET:
        messages = _with_preset(messages, model.preset)
    said = conversation(messages, strip_thoughts=_forgets(model))
    body: dict[str, Any] = {"model": model.upstream_id, "messages": said}
    if request.tools:
        body["tools"] = request.tools
    return completion(request, model, body)


def inputs_of(request: EmbedRequest) -> list[str]:
    """Return the texts to embed; none means that only the model is to be loaded."""
    value = request.input
    if value is None or value == "":
        return []
    inputs = [value] if isinstance(value, str) else value
    if not isinstance(inputs, list) or not all(isinstance(text, str) for text in inputs):
        raise InvalidRequest("invalid input type")
    return inputs


def check_options(given: dict[str, Any] | None) -> None:
    """Check options that the request has no use for. Raises InvalidRequest."""
    options.translate(given)


def required(model: str | None) -> str:
    """Return the model's name, on the routes where a missing one is a bad request."""
    if not (model or "").strip():
        raise InvalidRequest("model is required")
    return model or ""


def looked_up(model: str | None) -> str:
    """Return the model's name, on the routes where a missing one is a model nobody has."""
    if not (model or "").strip():
        raise ModelNotFound("")
    return model or ""


def completion(request: ChatRequest | GenerateRequest, model: Model, body: dict[str, Any]) -> Completion:
    """Add to the body what chats and generations have in common. Raises InvalidRequest."""
    given = request.options
    if model.preset.parameters:
        own = {key: value for key, value in (given or {}).items() if value is not None}
        given = {**model.preset.parameters, **own}
    standard, extensions = options.translate(given)
    body.update(standard)
    if request.format is not UNSET and (response_format := _response_format(request.format)):
        body["response_format"] = response_format
    if request.logprobs:
        body["logprobs"] = True
        if request.top_logprobs:
            body["top_logprobs"] = request.top_logprobs
    if request.stream is not False:
        body["stream"] = True
        body["stream_options"] = {"include_usage": True}
    if request.truncate is not None:
        extensions["truncate"] = request.truncate
    return Completion(body, extensions, _sent_think(think(request.think), model))


def _with_preset(messages: list[Message], preset: Preset) -> list[Message]:
    """Put the alias's own messages first, and its system prompt before them, unless the request begins with one."""
    begins_with_system = bool(messages) and (messages[0].role or "").lower() == "system"
    if preset.messages:
        stored = decode(msgspec.json.encode({"messages": preset.messages}), ChatRequest).messages or []
        messages = [*stored, *messages]
    if preset.system and not begins_with_system:
        messages = [Message(role="system", content=preset.system), *messages]
    return messages


def _forgets(model: Model) -> bool:
    return model.family == "qwen3" or _FORGETS.search(model.upstream_id) is not None


def _sent_think(asked: Think, model: Model) -> Think:
    """Return what the backend is asked: false is no news to a model that can't think (contract 3.2)."""
    if asked is False and model.capabilities is not None and "thinking" not in model.capabilities:
        return None
    return "high" if asked == "max" and "gpt-oss" in model.upstream_id.lower() else asked


def _response_format(value: Raw) -> dict[str, Any] | None:
    """Translate `format` (contract 3.3): off, any JSON object, or a schema, passed on as it is."""
    raw = bytes(value).strip()
    if raw in (b"", b"null", b'""'):
        return None
    if raw == b'"json"':
        return {"type": "json_object"}
    if raw.startswith(b"{"):
        return {"type": "json_schema", "json_schema": {"name": "schema", "schema": Raw(raw)}}
    text = quote(raw[:200].decode("utf-8", "replace"))
    raise InvalidRequest(f'invalid format: {text}; expected "json" or a valid JSON Schema object', status=500)
