"""Thinking, as each backend says it (rows H22, H23)."""

from __future__ import annotations

from typing import Any

import pytest

from support.decoding import STOP, Told, delta, told


@pytest.mark.parametrize(
    ("fields", "thinking"),
    [
        pytest.param({"reasoning_content": "hm"}, "hm", id="H22 DeepSeek, older vLLM"),
        pytest.param({"reasoning": "hm"}, "hm", id="H22 newer vLLM, OpenRouter"),
        pytest.param({"thinking": "hm"}, "hm", id="H22 Ollama"),
        pytest.param({"reasoning_content": "hm", "reasoning": "hm"}, "hm", id="H22 both with the same text"),
        pytest.param({"reasoning_content": "", "reasoning": "hm"}, "hm", id="H22 the first is empty"),
        pytest.param({"reasoning": {"text": "no"}, "thinking": "hm"}, "hm", id="H22 the first is no text"),
        pytest.param(
            {"reasoning": "hm", "reasoning_details": [{"type": "reasoning.text", "text": "hm"}]},
            "hm",
            id="H22 OpenRouter, both",
        ),
        pytest.param(
            {"reasoning_details": [{"type": "reasoning.text", "text": "h"}, {"type": "reasoning.text", "text": "m"}]},
            "hm",
            id="H22 details",
        ),
        pytest.param({"reasoning_details": [{"type": "reasoning.summary", "summary": "hm"}]}, "hm", id="H22 summary"),
        pytest.param({"reasoning_details": [{"type": "reasoning.encrypted", "data": "x"}]}, "", id="H22 encrypted"),
        pytest.param({"reasoning_details": {"text": "no"}}, "", id="H22 details are no list"),
        pytest.param({"reasoning_details": [None, 7, {"text": 7}]}, "", id="H22 details without text"),
    ],
)
def test_thinking_is_read_once_under_any_of_its_names(fields: dict[str, Any], thinking: str) -> None:
    """H22: neither dropped nor doubled (vLLM renamed it, OpenRouter sends it twice)."""
    assert told(delta("Hi", **fields), STOP) == Told(text="Hi", thinking=thinking, reason="stop")


def test_tags_split_over_deltas_enclose_thinking() -> None:
    """H22: the tags of models whose server does not know them."""
    pieces = ["<th", "ink>h", "m</", "think>\n\n", "Hi"]
    assert told(*map(delta, pieces), STOP) == Told(text="Hi", thinking="hm", reason="stop")


@pytest.mark.parametrize("space", [" ", "\n", "\u3000"], ids=ascii)
def test_tags_behind_white_space_enclose_thinking(space: str) -> None:
    """H22: templates leave a line feed before the tag, in a delta of its own or with it."""
    for pieces in ([space, "<think>hm</think>Hi"], [f"{space}<think>", "hm</think>Hi"]):
        assert told(*map(delta, pieces), STOP) == Told(text="Hi", thinking="hm", reason="stop")


def test_tags_that_never_close_are_thinking_to_the_end() -> None:
    """H22: what is held of half a tag comes with the end, before it."""
    assert told(delta("<think>hm"), delta("</thi"), STOP) == Told(thinking="hm</thi", reason="stop")


def test_thinking_alone_is_an_answer() -> None:
    """H23: an empty text is not an empty response."""
    assert told(delta("", reasoning_content="hm"), STOP) == Told(thinking="hm", reason="stop")
