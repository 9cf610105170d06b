"""`/model/info` of a LiteLLM proxy: what its registry has of the models behind the names it serves.

https://docs.litellm.ai/docs/proxy/model_management. Several deployments may share a name, and any of them may answer: a
context is that of the smallest, an ability holds where all have it. `null` is: not in the registry.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from ollama_openai_proxy.translate.openai.abilities import of_kind
from ollama_openai_proxy.translate.openai.facts import Facts, array, count, load, obj, text

_FLAGS = {
    "tools": "supports_function_calling",
    "vision": "supports_vision",
    "thinking": "supports_reasoning",
    "audio": "supports_audio_input",
}


def litellm(body: bytes) -> Mapping[str, Facts]:
    """Return facts by id. Raises UpstreamBroken when it is no such body."""
    told: dict[str, Facts] = {}
    for deployment in array(load(body), "data"):
        name, facts = text(deployment, "model_name"), _facts(obj(deployment, "model_info"))
        told[name] = _shared(told[name], facts) if name in told else facts
    return told


def _facts(info: dict[str, Any]) -> Facts:
    mode = text(info, "mode")
    can = {word: info[flag] for word, flag in _FLAGS.items() if isinstance(info.get(flag), bool)}
    embeds = mode == "embedding"
    # `max_tokens` is the longest answer where there is one, and the context of what makes no text.
    return Facts(
        context_length=count(info, "max_input_tokens", *(["max_tokens"] if embeds else [])),
        embedding_length=count(info, "output_vector_size"),
        can=can | of_kind(mode),
    )


def _shared(one: Facts, other: Facts) -> Facts:
    words = one.can.keys() & other.can.keys()
    lengths = filter(None, (one.context_length, other.context_length))
    return msgspec.structs.replace(
        one,
        context_length=min(lengths, default=None),
        embedding_length=one.embedding_length if one.embedding_length == other.embedding_length else None,
        can={word: one.can[word] and other.can[word] for word in words},
    )
