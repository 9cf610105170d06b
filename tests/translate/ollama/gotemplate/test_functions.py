"""The functions of Go's templates (https://pkg.go.dev/text/template#hdr-Functions)."""

from __future__ import annotations

from typing import Any

import pytest

from ollama_openai_proxy.errors import InvalidRequest
from ollama_openai_proxy.translate.ollama.gotemplate.functions import FUNCTIONS, printed, truth


@pytest.mark.parametrize(
    ("name", "arguments", "value"),
    [
        ("not", ["a"], False),
        ("not", [""], True),
        ("eq", [1, 1], True),
        ("eq", ["a", "b"], False),
        ("eq", ["a", "b", "c", "a"], True),
        ("eq", [None, "a"], False),
        ("ne", ["a", "b"], True),
        ("lt", [1, 2], True),
        ("lt", ["b", "a"], False),
        ("le", [2, 2], True),
        ("le", [3, 2], False),
        ("gt", [3, 2], True),
        ("gt", [2, 2], False),
        ("ge", [2, 2], True),
        ("ge", [1.0, 2.0], False),
        ("len", ["é"], 2),
        ("len", [[1, 2]], 2),
        ("len", [{"a": 1}], 1),
        ("index", [[1, 2], 1], 2),
        ("index", [[[1], [2, 3]], 1, 0], 2),
        ("index", [{"a": 1}, "a"], 1),
        ("index", [{"a": 1}, "b"], None),
        ("index", [[1]], [1]),
        ("slice", [[1, 2, 3], 1], [2, 3]),
        ("slice", [[1, 2, 3], 1, 2], [2]),
        ("slice", [[1, 2, 3]], [1, 2, 3]),
        ("slice", [[1], 1], []),
        ("slice", ["héllo", 0, 3], "hé"),
        ("json", [[{"a": "é"}]], '[{"a":"é"}]'),
        ("json", ["<a> & \u2028"], '"\\u003ca\\u003e \\u0026 \\u2028"'),
    ],
)
def test_values(name: str, arguments: list[Any], value: object) -> None:
    """What each function gives."""
    assert FUNCTIONS[name](arguments) == value


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("not", [], "wrong number of args for not: want 1 got 0"),
        ("eq", [1], "missing argument for comparison"),
        ("eq", [1, "a"], "incompatible types for comparison"),
        ("eq", [True, 1], "incompatible types for comparison"),
        ("eq", [[], []], "non-comparable type"),
        ("ne", [1, 2, 3], "wrong number of args for ne: want 2 got 3"),
        ("lt", [1, "a"], "incompatible types for comparison"),
        ("lt", [True, False], "incompatible types for comparison"),
        ("gt", [None, None], "incompatible types for comparison"),
        ("le", [{}, {}], "non-comparable type"),
        ("len", [3], "len of type int"),
        ("len", [None], "len of type nil"),
        ("index", [], "wrong number of args for index: want at least 1 got 0"),
        ("index", [[1], 1], "index out of range: 1"),
        ("index", [[1], -1], "index out of range: -1"),
        ("index", [[1], "a"], "can't index slice/array with type string"),
        ("index", [[1], True], "can't index slice/array with type bool"),
        ("index", ["a", 0], "can't index item of type string"),
        ("slice", [3], "can't slice item of type int"),
        ("slice", [[1], 2], "index out of range: 2"),
        ("slice", [[1, 2], 2, 1], "invalid slice index: 2 > 1"),
        ("slice", [[1], 0, 1, 1], "wrong number of args for slice: want 1 got 4"),
        ("json", [], "wrong number of args for json: want 1 got 0"),
    ],
)
def test_errors(name: str, arguments: list[Any], message: str) -> None:
    """Arguments that a function does not take are a 400."""
    with pytest.raises(InvalidRequest) as caught:
        FUNCTIONS[name](arguments)
    assert caught.value.message == f"template error: {message}"


@pytest.mark.parametrize(
    ("value", "text"),
    [("a", "a"), (None, ""), (True, "true"), (False, "false"), (3, "3"), (1.5, "1.5"), (2.0, "2")],
)
def test_printed(value: object, text: str) -> None:
    """Values as an action prints them; what is not there prints nothing."""
    assert printed(value) == text


@pytest.mark.parametrize("value", [[], {}])
def test_not_printed(value: object) -> None:
    """Lists and mappings are to be gone through, not printed as Go's internals."""
    with pytest.raises(InvalidRequest, match="can't print"):
        printed(value)


@pytest.mark.parametrize("value", [None, "", 0, 0.0, False, [], {}])
def test_truth(value: object) -> None:
    """The empty values of a pipeline: false, 0, nil, and what has length zero."""
    assert not truth(value)
    assert truth([value])
