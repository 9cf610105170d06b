"""What a backend says it spent.

`usage` is OpenAI's; `timings` is llama.cpp's, which also measures
(https://github.com/ggml-org/llama.cpp/tree/master/tools/server).
"""

from __future__ import annotations

from typing import Any

from ollama_openai_proxy.translate.events import Usage

_MOST = 10**12  # milliseconds: in nanoseconds they have to fit 64 bits


def merge(known: Usage, usage: Any, timings: Any) -> Usage:
    """Return what is known, updated by whatever is valid in a chunk's `usage` and `timings`."""
    if timings and isinstance(timings, dict):  # they may come with every chunk, and then they grow
        known = Usage(
            _most(known.prompt_tokens, _prompt(timings)),
            _most(known.completion_tokens, _count(timings.get("predicted_n"))),
            _or(_nanoseconds(timings.get("prompt_ms")), known.prompt_ns),
            _or(_nanoseconds(timings.get("predicted_ms")), known.completion_ns),
        )
    if usage and isinstance(usage, dict):
        prompt, completion = usage.get("prompt_tokens"), usage.get("completion_tokens")
        if not (type(prompt) is type(completion) is int and 0 <= prompt < _MOST and 0 <= completion < _MOST):
            prompt, completion = _count(prompt), _count(completion)
        if prompt is None:
            prompt = known.prompt_tokens
        if completion is None:
            completion = known.completion_tokens
        known = Usage(prompt, completion, known.prompt_ns, known.completion_ns)
    return known


def is_plain(usage: Any) -> bool:
    """Whether it says what it should: how many tokens, in whole numbers."""
    if not isinstance(usage, dict):
        return False
    prompt, completion = usage.get("prompt_tokens"), usage.get("completion_tokens")
    return type(prompt) is int and type(completion) is int and prompt >= 0 and completion >= 0


def _prompt(timings: dict[str, Any]) -> int | None:
    """Return llama.cpp's count of prompt tokens, those from its cache included, as Ollama counts."""
    fresh, cached = _count(timings.get("prompt_n")), _count(timings.get("cache_n"))
    return None if fresh is None else fresh + (cached or 0)


def _or(value: int | None, known: int | None) -> int | None:
    return known if value is None else value


def _most(known: int | None, value: int | None) -> int | None:
    return value if known is None or (value is not None and value > known) else known


def _number(value: Any) -> float | None:
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return value if 0 <= value < _MOST else None


def _count(value: Any) -> int | None:
    if type(value) is int and 0 <= value < _MOST:
        return value
    number = _number(value)
    return None if number is None else int(number)


def _nanoseconds(milliseconds: Any) -> int | None:
    number = _number(milliseconds)
    return None if number is None else int(number * 1e6)
