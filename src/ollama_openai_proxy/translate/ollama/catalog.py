"""Models as `/api/tags` and `/api/ps` list them, and what `/api/show` shares with these (contract 5.4, 5.5, rule R12).

What nobody told is not made up. Texts that clients insist on are `unknown` then, as Ollama's integration tests take no
empty ones (contract 12.1); docs/models.md has what is synthetic.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any

import msgspec

from ollama_openai_proxy.translate.models import Model
from ollama_openai_proxy.translate.ollama.times import FOREVER, timestamp
from ollama_openai_proxy.translate.text import escape_separators

UNKNOWN = "unknown"

# What a backend that says nothing is taken to offer; a name is all there is to tell the rest by.
_CHAT = ("completion", "tools")
_EMBEDDING = ("embedding",)
_YEAR_10000 = 253402300800


def tags(models: Iterable[Model], first_seen: int, default_context: int) -> bytes:
    """Return the body of `/api/tags`, newest first.

    `first_seen`: seconds since 1970, for models whose date the backend does not tell. `default_context`: tokens, for
    those of which nobody tells the context length.
    """
    newest_first = sorted(models, key=lambda model: -modified(model, first_seen))
    return to_json({"models": [_tag(model, first_seen, default_context) for model in newest_first]})


def running(models: Iterable[tuple[Model, float]], now: int, default_context: int) -> bytes:
    """Return the body of `/api/ps`, the longest kept first.

    Each model comes with the seconds that it is still kept; `now` is in nanoseconds since 1970.
    """
    longest_first = sorted(models, key=lambda entry: -entry[1])
    return to_json({"models": [_process(model, seconds, now, default_context) for model, seconds in longest_first]})


def capabilities(model: Model) -> tuple[str, ...]:
    """Return what the model can do, as far as anybody can tell."""
    if model.capabilities is not None:
        return model.capabilities
    if "embed" in model.id.casefold():
        return _EMBEDDING
    return tuple(word for word in dict.fromkeys((*_CHAT, *model.offers)) if word not in model.lacks)


def digest(model: Model) -> str:
    """Return 64 hex digits: other for each model, the same until what is known of it changes."""
    return hashlib.sha256(_description(model)).hexdigest()


def size(model: Model) -> int:
    """Return bytes: of the model, where somebody told them, and else of all that this proxy has of it.

    For a model that runs elsewhere Ollama, too, counts what it holds itself: a description.
    """
    return model.size or len(_description(model))


def modified(model: Model, first_seen: int) -> int:
    """Return the model's date in seconds since 1970, where the backend told one that can be written."""
    created = model.created or 0
    return created if 0 < created < _YEAR_10000 else first_seen


def details(model: Model, parent: str = "") -> dict[str, Any]:
    """Return the six keys that `details` always has."""
    return {
        "parent_model": parent,
        "format": model.format or ("gguf" if model.owned_by == "llamacpp" else UNKNOWN),
        "family": model.family or UNKNOWN,
        "families": [model.family] if model.family else [],
        "parameter_size": _human(model.parameter_count) if model.parameter_count else UNKNOWN,
        "quantization_level": model.quantization or UNKNOWN,
    }


def to_json(value: Any) -> bytes:
    return escape_separators(msgspec.json.encode(value))


def _description(model: Model) -> bytes:
    return msgspec.json.encode(msgspec.structs.replace(model, created=None))


def _tag(model: Model, first_seen: int, default_context: int) -> dict[str, Any]:
    described = details(model) | {"context_length": model.context_length or default_context}
    if model.embedding_length:
        described["embedding_length"] = model.embedding_length
    return {
        "name": model.name,
        "model": model.name,
        "modified_at": timestamp(modified(model, first_seen) * 10**9),
        "size": size(model),
        "digest": digest(model),
        "details": described,
        "capabilities": capabilities(model),
    }


def _process(model: Model, seconds: float, now: int, default_context: int) -> dict[str, Any]:
    return {
        "name": model.name,
        "model": model.name,
        "size": size(model),
        "digest": digest(model),
        "details": details(model),
        "expires_at": timestamp(now + int(min(seconds, FOREVER) * 10**9)),
        "size_vram": size(model),  # equal to size: not on this machine's CPU
        "context_length": model.context_length or default_context,
    }


def _human(count: int) -> str:
    """Return a number of parameters as Ollama prints it."""
    for unit, digits, letter in ((10**9, 1, "B"), (10**6, 2, "M")):
        if count >= unit:
            return f"{count / unit:.{digits if count % unit else 0}f}{letter}"
    return f"{count / 10**3:.0f}K" if count >= 10**3 else str(count)
