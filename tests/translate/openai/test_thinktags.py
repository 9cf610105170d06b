"""Thinking between tags in the text (row H22), as Ollama's own parser splits it (contract 11.2)."""

from __future__ import annotations

import pytest

from ollama_openai_proxy.translate.events import Event, TextDelta, ThinkingDelta
from ollama_openai_proxy.translate.openai.thinktags import ThinkTags


def fold(*pieces: str) -> tuple[str, str]:
    """Return the thinking and the text of these pieces."""
    tags = ThinkTags()
    events: list[Event] = [event for piece in pieces for event in tags.feed(piece)]
    events += tags.close()
    thinking = "".join(event.text for event in events if isinstance(event, ThinkingDelta))
    return thinking, "".join(event.text for event in events if isinstance(event, TextDelta))


ANSWERS = [
    pytest.param("<think>hm</think>Hi", "hm", "Hi", id="tags"),
    pytest.param("<think>\nhm\n</think>\n\nHi", "hm\n", "Hi", id="white space around the tags is not the answer's"),
    pytest.param(" \n<think>hm</think>Hi", "hm", "Hi", id="white space before the tag"),
    pytest.param("Hi", "", "Hi", id="no tag"),
    pytest.param("  Hi", "", "  Hi", id="white space of an answer without tags stays"),
    pytest.param("", "", "", id="nothing"),
    pytest.param(" \n", "", " \n", id="only white space"),
    pytest.param("<think></think>Hi", "", "Hi", id="empty thinking"),
    pytest.param("<think>  </think>Hi", "", "Hi", id="blank thinking"),
    pytest.param("<think>hm", "hm", "", id="H22 never closed"),
    pytest.param("<think>hm</thin", "hm</thin", "", id="H22 half a closing tag is thinking"),
    pytest.param("<think>hm</think>", "hm", "", id="H22 nothing but thinking"),
    pytest.param("<think>hm</think> \n", "hm", "", id="white space after it is no answer"),
    pytest.param("<thin", "", "<thin", id="half an opening tag is text"),
    pytest.param("<thinker>Hi", "", "<thinker>Hi", id="another tag"),
    pytest.param("<think>a<think>b</think>c</think>d", "a<think>b", "c</think>d", id="H22 nested"),
    pytest.param("<think>a</th</think>b", "a</th", "b", id="a false end"),
    pytest.param("<think>a<</think>b", "a<", "b", id="a false beginning of the end"),
    pytest.param("Use `<think>x</think>`", "", "Use `<think>x</think>`", id="H22 in code further down"),
    pytest.param("```\n<think>\n```", "", "```\n<think>\n```", id="H22 in a code block"),
    pytest.param("<think>a</think>b<think>c</think>", "a", "b<think>c</think>", id="only the first"),
    pytest.param("hm</think>Hi", "", "hm</think>Hi", id="without a beginning it is text"),
]


@pytest.mark.parametrize(("text", "thinking", "answer"), ANSWERS)
def test_tags_at_the_start_enclose_thinking_however_the_text_is_cut(text: str, thinking: str, answer: str) -> None:
    """H22: tags split over deltas are tags, and only those that open the answer count."""
    assert fold(text) == (thinking, answer)
    assert fold(*text) == (thinking, answer)
    for at in range(1, len(text)):
        assert fold(text[:at], text[at:]) == (thinking, answer), at


def test_thinking_leaves_as_it_comes() -> None:
    """Only what may be half a tag is held back: thinking streams."""
    tags = ThinkTags()
    assert list(tags.feed("<think>one")) == [ThinkingDelta("one")]
    assert list(tags.feed(" two<")) == [ThinkingDelta(" two")]
    assert list(tags.feed("/thin")) == []
    assert list(tags.feed("g")) == [ThinkingDelta("</thing")]
    assert list(tags.feed("</think>")) == []
    assert list(tags.feed(" Hi")) == [TextDelta("Hi")]


def test_an_answer_without_tags_is_not_held_back() -> None:
    """The first character that can't open a tag settles it; from then on the text passes untouched."""
    tags = ThinkTags()
    assert list(tags.feed("<")) == []
    undecided = tags.passive
    assert list(tags.feed("b>")) == [TextDelta("<b>")]
    assert (undecided, tags.passive) == (False, True)
    assert list(tags.feed("<think>")) == [TextDelta("<think>")]


def test_text_after_thinking_passes_untouched() -> None:
    """The white space that follows the answer's first character is the answer's."""
    tags = ThinkTags()
    list(tags.feed("<think>a</think>b"))
    assert tags.passive
    assert list(tags.feed(" \n</think>")) == [TextDelta(" \n</think>")]


def test_closing_leaves_nothing_to_find() -> None:
    """After the end nothing is held any more, and a second end adds nothing."""
    tags = ThinkTags()
    list(tags.feed("<th"))
    assert list(tags.close()) == [TextDelta("<th")]
    assert list(tags.close()) == []
    assert tags.passive
