"""`/api/generate`: in effect a chat of one turn, but for raw prompts (contract 5.7, 11.4)."""

from __future__ import annotations

from ollama_openai_proxy.errors import InvalidRequest
from ollama_openai_proxy.translate.models import Model, qualified
from ollama_openai_proxy.translate.ollama.messages import user_message
from ollama_openai_proxy.translate.ollama.request import Completion, completion
from ollama_openai_proxy.translate.ollama.wire import GenerateRequest


def generate(request: GenerateRequest, model: Model) -> Completion:
    """Translate a generation. Raises InvalidRequest."""
    if request.raw and (request.template or request.system or request.context):
        raise InvalidRequest("raw mode does not support template, system, or context")
    if request.suffix:
        raise InvalidRequest(f"{qualified(request.model or '')} does not support insert")
    if request.raw:
        raw = completion(request, model, {"model": model.upstream_id, "prompt": request.prompt or ""})
        raw.raw = True
        if request.logprobs:  # a number, there: how many alternatives
            raw.body["logprobs"] = max(raw.body.pop("top_logprobs", 0), 1)
        return raw
    messages = [{"role": "system", "content": request.system}] if request.system else []
    messages.append(user_message(request.prompt or "", request.images))
    return completion(request, model, {"model": model.upstream_id, "messages": messages})
