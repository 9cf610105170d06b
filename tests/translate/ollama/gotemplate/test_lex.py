"""Text and actions of Go's templates (https://pkg.go.dev/text/template#hdr-Text_and_spaces)."""

from __future__ import annotations

import pytest

from ollama_openai_proxy.errors import InvalidRequest
from ollama_openai_proxy.translate.ollama.gotemplate.lex import pieces


def cut(text: str) -> list[str | list[str]]:
    return [piece if isinstance(piece, str) else [token.text for token in piece] for piece in pieces(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", [""]),
        ("plain } }} {", ["plain } }} {"]),
        ("a{{.X}}b", ["a", [".X"], "b"]),
        ("{{23 -}} < {{- 45}}", ["", ["23"], "<", ["45"], ""]),
        ("a \n{{- .X -}}\t\r\n b", ["a", [".X"], "b"]),
        ("a {{-.5}}", None),
        ("a {{-3}} b", ["a ", ["-3"], " b"]),
        ("a {{/* c }} \n */}} b", ["a ", " b"]),
        ("a {{- /* c */ -}} b", ["a", "b"]),
        ('{{"}}" `{{` "a\\"b"}}', ["", ['"}}"', "`{{`", '"a\\"b"'], ""]),
        ("{{$x:=.A.B|len}}", ["", ["$x", ":=", ".A", ".B", "|", "len"], ""]),
        ("{{.A .B}}", ["", [".A", ".B"], ""]),
        ("{{if\n.A}}", ["", ["if", ".A"], ""]),
    ],
)
def test_pieces(text: str, expected: list[str | list[str]] | None) -> None:
    """The language's own examples, and its corners: a dash trims only with a space beside it."""
    if expected is None:
        with pytest.raises(InvalidRequest):
            cut(text)
    else:
        assert cut(text) == expected


def test_glue() -> None:
    """`.A.B` is a field of a field, `.A .B` are two arguments."""
    glued = [
        [token.glued for token in piece]
        for text in ("{{.A.B}}", "{{.A .B}}")
        for piece in pieces(text)
        if isinstance(piece, list)
    ]
    assert glued == [[True, True], [True, False]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{{", "unclosed action"),
        ("a {{ .X", "unclosed action"),
        ("{{ .X }", 'unexpected "}" in action'),
        ("{{ .X-}}", 'unexpected "-" in action'),
        ('{{ "a }}', 'unexpected "\\"" in action'),
        ('{{ "a\n" }}', 'unexpected "\\"" in action'),
        ("{{ `a }}", 'unexpected "`" in action'),
        ("{{ 'a' }}", 'unexpected "\'" in action'),
        ("{{ 3x }}", 'unexpected "3" in action'),
        ("{{ é }}", 'unexpected "é" in action'),
        ("{{/* a }}", "unclosed comment"),
        ("{{/* a */ }}", "unclosed comment"),
    ],
)
def test_errors(text: str, message: str) -> None:
    """What is no token is a 400 that says what was found."""
    with pytest.raises(InvalidRequest) as caught:
        cut(text)
    assert caught.value.message == f"template error: {message}"
