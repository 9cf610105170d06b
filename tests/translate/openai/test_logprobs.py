"""Log probabilities of plain completions and of chats (https://platform.openai.com/docs/api-reference/completions/object)."""

from __future__ import annotations

from typing import Any

import pytest

from ollama_openai_proxy.translate.openai.logprobs import entries

CLASSIC = {
    "tokens": [" a", "b"],
    "token_logprobs": [-0.1, -0.2],
    "top_logprobs": [{" a": -0.1, " c": -3.0}, {"b": -0.2}],
    "text_offset": [0, 2],
}


def test_lists_side_by_side() -> None:
    """OpenAI's and vLLM's: one list of tokens, one of numbers, one of mappings."""
    assert entries(CLASSIC) == [
        {
            "token": " a",
            "logprob": -0.1,
            "top_logprobs": [{"token": " a", "logprob": -0.1}, {"token": " c", "logprob": -3.0}],
        },
        {"token": "b", "logprob": -0.2, "top_logprobs": [{"token": "b", "logprob": -0.2}]},
    ]


@pytest.mark.parametrize("top", [None, [], "x", [None, None]])
def test_no_alternatives(top: Any) -> None:
    """`top_logprobs` is null, or has too few entries, where none were asked for: the tokens are all there."""
    found = entries({**CLASSIC, "top_logprobs": top})
    assert all("top_logprobs" not in entry for entry in found)
    assert [entry["token"] for entry in found] == [" a", "b"]


def test_content() -> None:
    """A chat's shape, which llama.cpp has for plain completions, too; what is no entry is left out."""
    entry = {"token": "a", "logprob": -0.1, "bytes": [97]}
    assert entries({"content": [entry, None, "x"]}) == [entry]


@pytest.mark.parametrize(
    "logprobs",
    [[], "x", 1, {}, {"content": None}, {"content": {}}, {"tokens": ["a"]}, {"tokens": "a", "token_logprobs": [1]}],
    ids=repr,
)
def test_nothing(logprobs: Any) -> None:
    """What is of no known shape tells nothing."""
    assert entries(logprobs) == []


@pytest.mark.parametrize("top", [None, 5, "Hi", [], [{"token": "Hi", "logprob": -0.5}]])
def test_alternatives_of_no_known_shape(top: object) -> None:
    """Alternatives that are no mapping are left out: the token and its probability stay."""
    assert entries({"tokens": ["Hi"], "token_logprobs": [-0.5], "top_logprobs": [top]}) == [
        {"token": "Hi", "logprob": -0.5}
    ]
