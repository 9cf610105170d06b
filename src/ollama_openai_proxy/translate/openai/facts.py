"""What is learnt of a model, from whichever body of a backend tells it, and how that becomes a Model."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

import msgspec

from ollama_openai_proxy.errors import UpstreamBroken
from ollama_openai_proxy.translate.models import Model
from ollama_openai_proxy.translate.openai.wire import INVALID
from ollama_openai_proxy.translate.text import mend

# Ollama's words for what a model can do, in its order (types/model/capability.go).
WORDS = ("completion", "tools", "insert", "vision", "embedding", "thinking", "audio", "image")
# Whoever tells all of these of a chat model tells the whole list: no backend that does leaves out the rest.
_ESSENTIAL = ("completion", "tools", "vision", "thinking")
_UNITS = {"K": 10**3, "M": 10**6, "B": 10**9, "T": 10**12}
_SIZE = re.compile(r"([0-9]{1,6}(?:\.[0-9]{1,6})?) ?([KMBT])", re.IGNORECASE | re.ASCII)

# Of an embedding model, and of one that answers with no text at all.
EMBEDS = dict.fromkeys(WORDS, False) | {"embedding": True}
NEITHER = dict.fromkeys(WORDS, False)
PAINTS = NEITHER | {"image": True}


class Facts(msgspec.Struct, frozen=True):
    """Facts of one model. None, or a word that is not in `can`: the backend did not say.

    `context_length` is the one that is served where the backend tells that, else the model's own.
    """

    context_length: int | None = None
    embedding_length: int | None = None
    parameter_count: int | None = None
    size: int | None = None
    quantization: str | None = None
    family: str | None = None
    format: str | None = None
    can: Mapping[str, bool] = {}


_PLAIN = tuple(name for name in Facts.__struct_fields__ if name != "can")


def learnt(model: Model, facts: Facts) -> Model:
    """Return the model with these facts, which override what was known."""
    told = {name: value for name in _PLAIN if (value := getattr(facts, name)) is not None}
    can = {**_known(model), **facts.can}
    has = tuple(word for word in WORDS if can.get(word))
    if _is_whole(model.id, can):
        unsaid = () if "insert" in can or not can["completion"] else ("insert",)  # those who tell of chats seldom do
        return msgspec.structs.replace(model, capabilities=has, unsaid=unsaid, offers=(), lacks=(), **told)
    lacks = tuple(word for word in WORDS if can.get(word) is False)
    return msgspec.structs.replace(model, capabilities=None, unsaid=(), offers=has, lacks=lacks, **told)


def _known(model: Model) -> dict[str, bool]:
    if model.capabilities is not None:
        return {word: word in model.capabilities for word in WORDS if word not in model.unsaid}
    return dict.fromkeys(model.lacks, False) | dict.fromkeys(model.offers, True)


def _is_whole(name: str, can: Mapping[str, bool]) -> bool:
    """Whether it is known what is missing too, so that a request for it can be refused.

    Servers that tell modalities call an embedding model's output text; its name is all that gives it away.
    """
    if can.get("completion") is False:
        return "embedding" in can
    return all(word in can for word in _ESSENTIAL) and ("embedding" in can or "embed" not in name.casefold())


def load(body: bytes) -> Any:
    """Return the JSON value, with nothing in it that can't be written again. Raises UpstreamBroken."""
    try:
        return mend(json.loads(body))
    except (ValueError, RecursionError):
        raise UpstreamBroken(INVALID) from None


def array(value: Any, *keys: str) -> list[Any]:
    """Return the list, or what an object has under the first of the keys. Raises UpstreamBroken if that is none.

    Null is a list without entries: servers in Go write it so.
    """
    if isinstance(value, dict):
        value = next(([] if value[key] is None else value[key] for key in keys if key in value), None)
    if not isinstance(value, list):
        raise UpstreamBroken("the upstream's list of models is no list")
    return value


def obj(value: Any, key: str) -> dict[str, Any]:
    """Return the object under the key, {} where there is none."""
    inner = value.get(key) if isinstance(value, dict) else None
    return inner if isinstance(inner, dict) else {}


def text(value: Any, *keys: str) -> str:
    """Return the first text under the keys, "" where there is none."""
    found = (value.get(key) for key in keys) if isinstance(value, dict) else ()
    return next((item for item in found if item and isinstance(item, str)), "")


def texts(value: Any, key: str) -> list[str] | None:
    """Return what is text in the list under the key; None where there is no list."""
    inner = value.get(key) if isinstance(value, dict) else None
    return [item for item in inner if isinstance(item, str)] if isinstance(inner, list) else None


def count(value: Any, *keys: str) -> int | None:
    """Return the first number under the keys that is whole, above zero and fits 64 bits."""
    return next(filter(None, (_whole(value.get(key)) for key in keys)), None) if isinstance(value, dict) else None


def _whole(value: Any) -> int | None:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 2**63 else None


def parameters(size: str) -> int | None:
    """Return the number of parameters that `7B` or `270M` tells, as exactly as that does."""
    match = _SIZE.fullmatch(size.strip())
    return round(float(match[1]) * _UNITS[match[2].upper()]) or None if match else None
