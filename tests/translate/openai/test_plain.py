"""Plain completions, as backends have them."""

from __future__ import annotations

from typing import Any

import pytest

from ollama_openai_proxy.translate.openai.plain import Ask, ask
from ollama_openai_proxy.translate.openai.profile import Profile

BODY = {
    "model": "m",
    "prompt": "def f(",
    "suffix": "return x",
    "max_tokens": 9,
    "temperature": 0.5,
    "presence_penalty": 1,
    "stop": ["\n\n"],
    "seed": 1,
    "logprobs": 2,
    "response_format": {"type": "json_object"},
    "stream": True,
    "stream_options": {"include_usage": True},
}


def test_suffix() -> None:
    """https://platform.openai.com/docs/api-reference/completions: `suffix` beside the prompt."""
    assert ask(BODY, Profile("x")) == Ask("/completions", False, BODY)


def test_fim() -> None:
    """https://docs.mistral.ai/api/endpoint/fim: a route of its own, which refuses what it does not know."""
    assert ask(BODY, Profile("x", insert="fim")) == Ask(
        "/fim/completions",
        False,
        {
            "model": "m",
            "prompt": "def f(",
            "suffix": "return x",
            "max_tokens": 9,
            "temperature": 0.5,
            "stop": ["\n\n"],
            "seed": 1,
            "stream": True,
        },
    )


def test_infill() -> None:
    """llama.cpp's README, `POST /infill`: at the root, with names of its own."""
    assert ask(BODY, Profile("x", insert="infill")) == Ask(
        "/infill",
        True,
        {
            "model": "m",
            "input_prefix": "def f(",
            "input_suffix": "return x",
            "n_predict": 9,
            "temperature": 0.5,
            "presence_penalty": 1,
            "stop": ["\n\n"],
            "seed": 1,
            "n_probs": 2,
            "json_schema": {"type": "object"},
            "stream": True,
        },
    )


RAW = {"model": "m", "prompt": "p", "max_tokens": 9, "stream": True, "stream_options": {"include_usage": True}}


@pytest.mark.parametrize("insert", ["suffix", "fim", "infill", ""])
def test_raw(insert: Any) -> None:
    """Without a suffix, every backend's plain completions are the same."""
    assert ask(RAW, Profile("x", insert=insert)) == Ask("/completions", False, RAW)


SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}}


@pytest.mark.parametrize(
    ("wanted", "schema"),
    [
        ({"type": "json_schema", "json_schema": {"name": "schema", "schema": SCHEMA}}, SCHEMA),
        ({"type": "json_object"}, {"type": "object"}),
    ],
)
def test_schema_of_llama_cpp(wanted: dict[str, Any], schema: dict[str, Any]) -> None:
    """llama.cpp's README: `json_schema` constrains a plain completion; `response_format` is ignored there."""
    body = {**RAW, "response_format": wanted}
    assert ask(body, Profile("x", insert="infill")) == Ask("/completions", False, {**RAW, "json_schema": schema})
    assert ask(body, Profile("x")) == Ask("/completions", False, body)
