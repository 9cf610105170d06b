"""`GET /models`, as backends answer it: OpenAI's list, and what each adds to it.

vLLM adds `max_model_len`; llama.cpp `meta` and `architecture`; OpenRouter `context_length`, `architecture` and
`supported_parameters`.
"""

from __future__ import annotations

import json
from typing import Any

from ollama_openai_proxy.errors import UpstreamBroken
from ollama_openai_proxy.translate.models import Model
from ollama_openai_proxy.translate.openai.wire import INVALID
from ollama_openai_proxy.translate.text import mend


def decode(body: bytes) -> list[Model]:
    """Return the models, every id that is text. Raises UpstreamBroken when it is no list."""
    try:
        reply = mend(json.loads(body))
    except (ValueError, RecursionError):
        raise UpstreamBroken(INVALID) from None
    entries = reply.get("data", reply.get("models")) if isinstance(reply, dict) else reply
    if not isinstance(entries, list):
        raise UpstreamBroken("the upstream's list of models is no list")
    return [_model(entry) for entry in entries if _text(entry, "id")]


def _model(entry: dict[str, Any]) -> Model:
    meta = _object(entry, "meta")
    top = _object(entry, "top_provider")
    lengths = (
        _count(meta, "n_ctx"),
        _count(entry, "max_model_len"),
        _count(entry, "context_length"),
        _count(entry, "context_window"),
        _count(top, "context_length"),
        _count(entry, "max_context_length"),
        _count(meta, "n_ctx_train"),
    )
    return Model(
        id=_text(entry, "id"),
        created=_count(entry, "created"),
        owned_by=_text(entry, "owned_by"),
        context_length=next(filter(None, lengths), None),
        embedding_length=_count(meta, "n_embd"),
        parameter_count=_count(meta, "n_params"),
        size=_count(meta, "size"),
        quantization=_text(meta, "ftype") or None,
        family=_text(meta, "architecture") or None,
        vision=_sees(entry),
        capabilities=_capabilities(entry),
    )


def _capabilities(entry: dict[str, Any]) -> tuple[str, ...] | None:
    """Return what the backend says the model can do, in Ollama's words; None if it does not say."""
    parameters = entry.get("supported_parameters")
    outputs = _object(entry, "architecture").get("output_modalities")
    if not isinstance(parameters, list):
        return None
    found = {
        "completion": not isinstance(outputs, list) or "text" in outputs,
        "tools": "tools" in parameters,
        "vision": _sees(entry),
        "thinking": bool({"reasoning", "include_reasoning"} & set(map(str, parameters))),
        "embedding": isinstance(outputs, list) and "embeddings" in outputs,
    }
    return tuple(name for name, has in found.items() if has)


def _sees(entry: dict[str, Any]) -> bool:
    inputs = _object(entry, "architecture").get("input_modalities")
    return isinstance(inputs, list) and "image" in inputs


def _object(entry: Any, key: str) -> dict[str, Any]:
    value = entry.get(key)
    return value if isinstance(value, dict) else {}


def _text(entry: Any, key: str) -> str:
    value = entry.get(key) if isinstance(entry, dict) else None
    return value if isinstance(value, str) else ""


def _count(entry: dict[str, Any], key: str) -> int | None:
    value = entry.get(key)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 2**63 else None
