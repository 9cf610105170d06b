"""Log probabilities, in the shapes that backends have for them."""

from __future__ import annotations

from itertools import chain, repeat
from typing import Any


def entries(logprobs: Any) -> list[dict[str, Any]]:
    """Return the tokens' entries, each as in a chat's `logprobs.content`; none for what is of no known shape.

    Plain completions have lists side by side, and alternatives as mappings of tokens
    (https://platform.openai.com/docs/api-reference/completions/object); llama.cpp writes a chat's there too.
    """
    if not isinstance(logprobs, dict):
        return []
    content = logprobs.get("content")
    if isinstance(content, list):
        return [entry for entry in content if isinstance(entry, dict)]
    tokens, values, tops = (logprobs.get(key) for key in ("tokens", "token_logprobs", "top_logprobs"))
    if not isinstance(tokens, list) or not isinstance(values, list):
        return []
    alternatives = chain(tops if isinstance(tops, list) else (), repeat(None))  # some send an empty list for none
    sides = zip(tokens, values, alternatives, strict=False)
    return [_entry(token, value, top) for token, value, top in sides]


def _entry(token: Any, value: Any, top: Any) -> dict[str, Any]:
    entry: dict[str, Any] = {"token": token, "logprob": value}
    if isinstance(top, dict):
        entry["top_logprobs"] = [{"token": other, "logprob": logprob} for other, logprob in top.items()]
    return entry
