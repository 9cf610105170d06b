"""The values between decoders and encoders."""

from __future__ import annotations

import pytest

from ollama_openai_proxy.translate.events import Event, Finish, Logprobs, TextDelta, ThinkingDelta, ToolCallDelta, Usage

ALL: list[Event] = [TextDelta("a"), ThinkingDelta("a"), ToolCallDelta(0), Logprobs([]), Usage(), Finish("stop")]


@pytest.mark.parametrize("event", ALL, ids=lambda event: type(event).__name__)
def test_events_never_change(event: Event) -> None:
    """An event may be held by several parties, so nobody can change it."""
    field = event.__struct_fields__[0]
    with pytest.raises(AttributeError, match="immutable"):
        setattr(event, field, None)


def test_events_with_the_same_content_are_equal_and_of_different_kinds_are_not() -> None:
    """Usage that nothing is known of equals an empty one: that is how it is left out. Text is never thinking."""
    assert Usage() == Usage(prompt_tokens=None, completion_tokens=None, prompt_ns=None, completion_ns=None)
    assert Usage() != Usage(prompt_tokens=0)
    assert ALL.index(ThinkingDelta("a")) == 1


def test_a_fragment_of_a_tool_call_adds_nothing_unless_it_says_so() -> None:
    """Each of id, name and arguments is the concatenation of its pieces, so their default is the empty text."""
    assert ToolCallDelta(3) == ToolCallDelta(3, "", "", "")
