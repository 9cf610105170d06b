"""What a backend says it spent.

`usage` is OpenAI's; `timings` is llama.cpp's, which also measures
(https://github.com/ggml-org/llama.cpp/tree/master/tools/server).
"""

from __future__ import annotations

from typing import Any

from ollama_openai_proxy.translate.events import Usage


def merge(known: Usage, usage: Any, timings: Any) -> Usage:
    """Return what is known, updated by whatever is valid in a chunk's `usage` and `timings`."""
    usage = usage if isinstance(usage, dict) else {}
    timings = timings if isinstance(timings, dict) else {}
    # Timings may come with every chunk, and then they grow.
    prompt = _most(known.prompt_tokens, _prompt(timings))
    completion = _most(known.completion_tokens, _count(timings.get("predicted_n")))
    return Usage(
        prompt_tokens=_first(_count(usage.get("prompt_tokens")), prompt),
        completion_tokens=_first(_count(usage.get("completion_tokens")), completion),
        prompt_ns=_first(_nanoseconds(timings.get("prompt_ms")), known.prompt_ns),
        completion_ns=_first(_nanoseconds(timings.get("predicted_ms")), known.completion_ns),
    )


def is_plain(usage: Any) -> bool:
    """Whether it says what it should: how many tokens, in whole numbers."""
    if not isinstance(usage, dict):
        return False
    counts = (usage.get("prompt_tokens"), usage.get("completion_tokens"))
    return all(type(count) is int and count >= 0 for count in counts)


def _prompt(timings: dict[str, Any]) -> int | None:
    """Return llama.cpp's count of prompt tokens, those from its cache included, as Ollama counts."""
    fresh, cached = _count(timings.get("prompt_n")), _count(timings.get("cache_n"))
    return None if fresh is None else fresh + (cached or 0)


def _first(*values: int | None) -> int | None:
    return next((value for value in values if value is not None), None)


def _most(*values: int | None) -> int | None:
    return max((value for value in values if value is not None), default=None)


def _number(value: Any) -> float | None:
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return value if 0 <= value < 1e12 else None  # in nanoseconds it has to fit 64 bits


def _count(value: Any) -> int | None:
    number = _number(value)
    return None if number is None else int(number)


def _nanoseconds(milliseconds: Any) -> int | None:
    number = _number(milliseconds)
    return None if number is None else int(number * 1e6)
