"""`/api/generate`: in effect a chat of one turn more than its `context`, but for plain prompts (contract 5.7, 11.4).

Plain are a raw prompt, a text to fill in, and what the request's own template makes of a conversation. A template
that belongs to the model is not used: a backend that takes chats has its own.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec

from ollama_openai_proxy.errors import InvalidRequest
from ollama_openai_proxy.translate.models import Model, qualified
from ollama_openai_proxy.translate.ollama import context, template
from ollama_openai_proxy.translate.ollama.context import Conversation, Turn
from ollama_openai_proxy.translate.ollama.golang import quote
from ollama_openai_proxy.translate.ollama.messages import conversation, user_message
from ollama_openai_proxy.translate.ollama.request import Completion, completion
from ollama_openai_proxy.translate.ollama.wire import ChatRequest, GenerateRequest, decode


class Generation(NamedTuple):
    """What the backend is asked, and the conversation that the answer's `context` carries on; None: it has none."""

    completion: Completion
    conversation: Conversation | None


def check_images(model: Model) -> None:
    """Raise InvalidRequest for a model that makes images and no text."""
    if model.capabilities and "image" in model.capabilities and "completion" not in model.capabilities:
        raise InvalidRequest("image generation models are not currently supported")


def check_raw(request: GenerateRequest) -> None:
    """Raise InvalidRequest for what a raw prompt excludes."""
    if request.raw and (request.template or request.system or request.context):
        raise InvalidRequest("raw mode does not support template, system, or context")


def check_route(request: GenerateRequest, *, inserts: bool) -> None:
    """Raise InvalidRequest for a suffix where the backend has no route (`inserts`) that fills in.

    The request's own template makes a prompt of the suffix, and needs none.
    """
    if request.suffix and not request.template and not inserts:
        raise InvalidRequest(no_insert(request.model or ""))


def no_insert(name: str) -> str:
    return f"{qualified(name)} does not support insert"


def no_completions(name: str) -> str:
    """Return what is told of a plain prompt to a backend that takes chats only."""
    return f"{quote(name)} does not support raw prompts or templates: its backend has no plain completions"


def generate(request: GenerateRequest, model: Model) -> Generation:
    """Translate a generation. Raises InvalidRequest."""
    check_raw(request)
    translated = completion(request, model, {"model": model.upstream_id})
    carried = _carried(request)
    prompt = Turn("user", request.prompt or "")
    if request.raw or request.suffix or request.template:
        _make_plain(translated, request, [*_spoken(_messages(carried, model)), prompt])
    else:
        translated.body["messages"] = [*_messages(carried, model), user_message(prompt.text, request.images)]
    return Generation(translated, None if request.raw else Conversation([*carried, prompt]))


def _carried(request: GenerateRequest) -> list[Turn]:
    """Return the conversation so far: the request's system prompt replaces the one that was carried."""
    turns = context.decode(request.context)
    if not request.system:
        return turns
    return [Turn("system", request.system), *(turn for turn in turns if turn.role != "system")]


def _make_plain(translated: Completion, request: GenerateRequest, turns: list[Turn]) -> None:
    """Make it a plain completion. `turns` are the conversation, with the prompt at its end."""
    if any(request.images or ()):
        raise InvalidRequest("images are not supported with raw, suffix or template")
    body, prompt = translated.body, request.prompt or ""
    if request.template and request.suffix:
        prompt = template.fill(request.template, prompt, request.suffix, request.think)
    elif request.template:
        prompt = template.render(request.template, turns, request.think)
    elif request.suffix:
        body["suffix"] = request.suffix
    body["prompt"] = prompt
    if request.logprobs:  # a number, there: how many alternatives
        body["logprobs"] = max(body.pop("top_logprobs", 0), 1)
    translated.raw = True


def _messages(carried: list[Turn], model: Model) -> list[dict[str, Any]]:
    """Return the messages before the prompt: a system prompt, the preset's messages, the conversation so far.

    Ollama's `context` has the preset's in it, so that they are not put before it again. Ours has not: they
    come anew with each request, and the conversation that the model sees is the same.
    """
    system = [turn for turn in carried if turn.role == "system"]
    if not system and model.preset.system:
        system = [Turn("system", model.preset.system)]
    said = [turn for turn in carried if turn.role != "system"]
    stored: list[dict[str, Any]] = []
    if model.preset.messages:
        messages = decode(msgspec.json.encode({"messages": model.preset.messages}), ChatRequest).messages
        stored = conversation(messages or [])
    return [*_written(system), *stored, *_written(said)]


def _written(turns: list[Turn]) -> list[dict[str, Any]]:
    return [{"role": turn.role, "content": turn.text} for turn in turns]


def _spoken(messages: list[dict[str, Any]]) -> list[Turn]:
    """Return what of the messages is text, which is all that a template can be given here."""
    roles = ("system", "user", "assistant")
    spoken = [message for message in messages if message["role"] in roles and isinstance(message["content"], str)]
    return [Turn(message["role"], message["content"]) for message in spoken]
