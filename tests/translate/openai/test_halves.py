"""Characters that were cut in two between chunks (rows B17, G17)."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ollama_openai_proxy.translate.openai.halves import Halves
from support.decoding import DONE, STOP, decode, delta, replay, sse, tell

HIGH, LOW = "\\ud83d", "\\ude00"


def chunk(text: str, finish: str = "null", name: str = "content", index: int = 0) -> str:
    return f'{{"choices":[{{"index":{index},"delta":{{"{name}":"{text}"}},"finish_reason":{finish}}}]}}'


@pytest.mark.parametrize(
    ("chunks", "text"),
    [
        pytest.param([chunk(f"a{HIGH}"), chunk(f"{LOW}b")], "a😀b", id="cut in two"),
        pytest.param([chunk(HIGH), chunk(LOW), chunk(HIGH), chunk(LOW)], "😀😀", id="two of them"),
        pytest.param([chunk(f"a{HIGH}"), chunk("b")], "a\ufffdb", id="no second half"),
        pytest.param([chunk(f"a{HIGH}"), chunk(HIGH), chunk(LOW)], "a\ufffd😀", id="another first half"),
        pytest.param([chunk(f"a{LOW}"), chunk("b")], "a\ufffdb", id="no first half"),
        pytest.param([chunk(f"a{HIGH}"), "{}", chunk("", name="role"), chunk(LOW)], "a😀", id="others between"),
        pytest.param([chunk(f"a{HIGH}"), chunk("no", index=1), chunk(LOW)], "a😀", id="another choice between"),
        pytest.param([chunk("a"), chunk(HIGH, '"stop"')], "a\ufffd", id="with the reason"),
        pytest.param([chunk(f"a{HIGH}"), chunk("", '"stop"')], "a\ufffd", id="the reason after it"),
        pytest.param(
            ['{"choices":[{"text":"a\\ud83d"}]}', '{"choices":[{"text":"\\ude00"}]}'], "a😀", id="plain completions"
        ),
    ],
)
def test_b17_halves_are_joined(chunks: list[str], text: str) -> None:
    """B17, G17: two halves are one character, and one half becomes U+FFFD; what is beside it is kept."""
    assert tell(decode(sse(*chunks, DONE))).text == text


def test_b17_halves_of_thinking_are_apart() -> None:
    """B17: text and thinking are joined each with its own."""
    chunks = [chunk(HIGH, name="reasoning"), chunk(f"a{HIGH}"), chunk(f"{LOW}h", name="reasoning"), chunk(LOW)]
    told = tell(decode(sse(*chunks, STOP, DONE)))
    assert (told.text, told.thinking) == ("a😀", "😀h")


@pytest.mark.parametrize("value", [None, [], "x", {}, {"choices": {}}, {"choices": [None, {"delta": "x", "text": 7}]}])
def test_g17_json_of_any_shape_is_left(value: Any) -> None:
    """G17: what is no chunk is for others to refuse."""
    halves, before = Halves(), repr(value)
    halves.join(value)
    assert repr(value) == before
    assert not halves.holds


@settings(max_examples=60, deadline=None)
@given(st.text(alphabet="aé日😀\U0001f469", min_size=1, max_size=12), st.data())
def test_b17_text_cut_between_any_units(text: str, data: st.DataObject) -> None:
    """B17: text that is cut between any two of its UTF-16 units arrives as it was."""
    units = text.encode("utf-16-le")
    at = sorted(data.draw(st.lists(st.integers(0, len(units) // 2), max_size=6)))
    pieces = [units[2 * start : 2 * end] for start, end in zip([0, *at], [*at, len(units)], strict=True)]
    written = [
        "".join(f"\\u{piece[place] | piece[place + 1] << 8:04x}" for place in range(0, len(piece), 2))
        for piece in pieces
    ]
    replayed = replay([sse(*map(chunk, written), delta(finish="stop"))])
    assert "".join(line["message"]["content"] for line in replayed.lines) == text
