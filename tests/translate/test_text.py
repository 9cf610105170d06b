"""JSON text that every reader of lines, and UTF-8, can take."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ollama_openai_proxy.translate.text import escape_separators, mend


@pytest.mark.parametrize(
    ("raw", "escaped"),
    [
        pytest.param("a\u2028b", b'"a\\u2028b"', id="U+2028"),
        pytest.param("a\u2029b", b'"a\\u2029b"', id="U+2029"),
        pytest.param("a\u0085b", b'"a\\u0085b"', id="U+0085"),
        pytest.param("\u2028\u2029\u0085\u2028", b'"\\u2028\\u2029\\u0085\\u2028"', id="all at once"),
    ],
)
def test_t14_what_some_readers_take_for_line_ends_is_escaped(raw: str, escaped: bytes) -> None:
    """T14: the official Python client splits lines on U+0085, U+2028 and U+2029 and then fails to parse the halves."""
    json_text = json.dumps(raw, ensure_ascii=False).encode()
    assert escape_separators(json_text) == escaped
    assert json.loads(escape_separators(json_text)) == raw


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("plain", id="ASCII"),
        pytest.param("it\u2019s \u201cfine\u201d \u2026", id="shares its first two bytes with U+2028"),
        pytest.param("\u00a9\u00b5\u0084\u0086", id="shares its first byte with U+0085"),
        pytest.param("\u0145", id="shares its last byte with U+0085"),
        pytest.param("\U0001f600 日本", id="other planes"),
    ],
)
def test_other_characters_stay_as_they_are(text: str) -> None:
    """Non-ASCII is written raw (contract 1.8), however close its bytes are to the escaped ones."""
    json_text = json.dumps(text, ensure_ascii=False).encode()
    assert escape_separators(json_text) == json_text


@settings(max_examples=60, deadline=None)
@given(st.text(alphabet=st.sampled_from('a"\\\u0085\u2028\u2029\u2027\u202a\u0084é\U0001f600')))
def test_escaping_never_changes_what_the_json_says(text: str) -> None:
    """The escaped text parses to the same value, and is one line for any reader."""
    escaped = escape_separators(json.dumps(text, ensure_ascii=False).encode())
    assert json.loads(escaped) == text
    assert len(escaped.decode().splitlines()) == 1


@pytest.mark.parametrize(
    ("value", "mended"),
    [
        pytest.param("a\ud83db", "a\ufffdb", id="high half alone"),
        pytest.param("a\udc00b", "a\ufffdb", id="low half alone"),
        pytest.param("\ud83d\ude00", "\U0001f600", id="both halves are a character"),
        pytest.param({"k\ud800": ["\udfff", {"x": "ok"}]}, {"k\ufffd": ["\ufffd", {"x": "ok"}]}, id="anywhere"),
        pytest.param([1, 1.5, True, None], [1, 1.5, True, None], id="what is no text"),
    ],
)
def test_halves_of_surrogate_pairs_become_the_replacement_character(value: Any, mended: Any) -> None:
    """JSON can spell half a pair, UTF-8 can't: what can't be written is replaced, and a whole pair joined."""
    assert mend(value) == mended
    json.dumps(mend(value), ensure_ascii=False).encode()
