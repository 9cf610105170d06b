"""`options`: Ollama's parameters of a generation, and what becomes of each (contract 4)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from ollama_openai_proxy.errors import InvalidRequest


class Option(NamedTuple):
    """A row of the table.

    `upstream` is the parameter of a chat completion; None where a backend has nothing like it, so
    that the option is checked and then ignored. An `extension` is no parameter of OpenAI's:
    profiles say who takes it, and under which name. `convert` returns None for a value that means
    "not set".
    """

    key: str
    type: str
    upstream: str | None = None
    extension: bool = False
    convert: Callable[[Any], Any] = lambda value: value


def _not_negative(value: int) -> int | None:
    return value if value >= 0 else None


def _not_empty(stop: list[str]) -> list[str] | None:
    """Return the sequences that can stop anything: Ollama's runner passes over empty ones, and vLLM refuses them."""
    return [text for text in stop if text] or None


def _tokens(value: int) -> int | None:
    """Return a limit of tokens; what no model reaches is none, and some backends fail on numbers beyond an int32."""
    return value if 0 < value < 2**31 else None


OPTIONS = (
    Option("temperature", "float32", "temperature"),
    Option("top_p", "float32", "top_p"),
    Option("presence_penalty", "float32", "presence_penalty"),
    Option("frequency_penalty", "float32", "frequency_penalty"),
    Option("seed", "integer", "seed", convert=_not_negative),  # negative: random
    Option("stop", "array", "stop", convert=_not_empty),
    Option("num_predict", "integer", "max_tokens", convert=_tokens),  # negative: no limit
    Option("top_k", "integer", "top_k", extension=True),
    Option("min_p", "float32", "min_p", extension=True),
    Option("typical_p", "float32", "typical_p", extension=True),
    Option("repeat_penalty", "float32", "repeat_penalty", extension=True),
    Option("repeat_last_n", "integer", "repeat_last_n", extension=True),
    Option("num_keep", "integer", "num_keep", extension=True),
    # How a model is loaded is the backend's affair.
    Option("num_ctx", "integer"),
    Option("num_batch", "integer"),
    Option("num_gpu", "integer"),
    Option("main_gpu", "integer"),
    Option("use_mmap", "boolean"),
    Option("num_thread", "integer"),
    Option("draft_num_predict", "integer"),
)

_FLOAT32_MAX = 3.4028234663852886e38
_TABLE = {option.key: option for option in OPTIONS}


def translate(options: dict[str, Any] | None) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the standard parameters and the extensions that `options` ask for.

    Unknown keys and nulls are ignored, as Ollama does. Raises InvalidRequest, with Ollama's status
    500, for a value of the wrong type.
    """
    standard: dict[str, Any] = {}
    extensions: dict[str, Any] = {}
    if not options:
        return standard, extensions
    for key, value in options.items():
        option = _TABLE.get(key)
        if option is None or value is None:
            continue
        converted = option.convert(_check(option, value))
        if option.upstream and converted is not None:
            (extensions if option.extension else standard)[option.upstream] = converted
    return standard, extensions


def _check(option: Option, value: Any) -> Any:
    """Return the value as Ollama coerces it: numbers to numbers, nothing else.

    Numbers that the type can't hold are refused: what Go makes of them depends on the processor.
    """
    is_number = type(value) is int or type(value) is float
    if option.type == "integer" and is_number and -(2**63) <= value < 2**63:
        return int(value)
    if option.type == "float32" and is_number and abs(value) <= _FLOAT32_MAX:
        return value
    if option.type == "boolean" and isinstance(value, bool):
        return value
    if option.type == "array":
        return _strings(value)
    raise InvalidRequest(f'option "{option.key}" must be of type {option.type}', status=500)


def _strings(value: Any) -> list[str]:
    if isinstance(value, str):  # Ollama's published schema allows what its server refuses
        return [value]
    if not isinstance(value, list):
        raise InvalidRequest('option "stop" must be of type array', status=500)
    if not all(isinstance(item, str) for item in value):
        raise InvalidRequest('option "stop" must be of an array of strings', status=500)
    return value
