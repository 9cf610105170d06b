"""How many values a JSON text holds."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ollama_openai_proxy.translate.ollama.measure import has_more

MIB = 1024 * 1024
HOSTILE = st.text(st.sampled_from('",[{\\a'), max_size=20)
VALUES = st.recursive(
    st.integers() | HOSTILE,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(HOSTILE, inner, max_size=5),
    max_leaves=30,
)


def marks(value: Any) -> int:
    """How many commas, brackets and braces stand outside the strings of the value's JSON."""
    if not isinstance(value, dict | list):
        return 0
    items = list(value.values()) if isinstance(value, dict) else value
    return 1 + max(0, len(items) - 1) + sum(map(marks, items))


@given(VALUES)
def test_b4_any_value(value: Any) -> None:
    """B4: what stands in strings does not count, whatever it is; all else does."""
    body = json.dumps(value).encode()
    count = marks(value)
    assert not has_more(body, count)
    assert count == 0 or has_more(body, count - 1)


@pytest.mark.parametrize("tail", [b"", b"\\", b'\\"', b"\\\\", b'\\\\\\"', b"," * 9])
@pytest.mark.parametrize("before", range(-4, 3))
def test_b4_strings_across_pieces(tail: bytes, before: int) -> None:
    """B4: a string, and an escape in it, may lie across what is looked at in one piece."""
    text = b"," * (MIB + before - 2) + tail + b"," * (MIB + 7)
    body = b'["' + text + b'\\",",5,6]'
    assert not has_more(body, 3)
    assert has_more(body, 2)


def test_b4_text_that_is_no_json() -> None:
    """B4: a string without end is one."""
    assert not has_more(b'"' + b"," * 100, 0)
    assert has_more(b"," * (3 * MIB), 3 * MIB - 1)
    assert not has_more(b'",' * MIB + b"\\" * (2 * MIB), MIB)
