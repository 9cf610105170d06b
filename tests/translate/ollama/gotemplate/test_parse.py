"""The grammar of Go's templates (https://pkg.go.dev/text/template#hdr-Actions)."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ollama_openai_proxy.errors import InvalidRequest
from ollama_openai_proxy.translate.ollama.gotemplate.parse import (
    MAX_TEMPLATE,
    MAX_TOKENS,
    Action,
    Block,
    Call,
    Jump,
    Literal,
    Path,
    Pipe,
    Text,
    parse,
)


def action(text: str) -> Pipe:
    (node,) = parse(text)
    assert isinstance(node, Action)
    return node.pipe


DOT = Path("", ())


@pytest.mark.parametrize(
    ("text", "command"),
    [
        ("{{.}}", DOT),
        ("{{.A.B}}", Path("", ("A", "B"))),
        ("{{$}}", Path("$", ())),
        ("{{$.A}}", Path("$", ("A",))),
        ('{{"a\\n\\"\\u00e9"}}', Literal('a\n"é')),
        ("{{`a\\n`}}", Literal("a\\n")),
        ("{{-3}}", Literal(-3)),
        ("{{1.5}}", Literal(1.5)),
        ("{{true}}", Literal(True)),
        ("{{nil}}", Literal(None)),
        ("{{eq . 1}}", Call("eq", (DOT, Literal(1)))),
        ("{{not eq}}", Call("not", (Call("eq", ()),))),
        ("{{(len .)}}", Path(Pipe((), False, (Call("len", (DOT,)),)), ())),
        ("{{(index . 0).A}}", Path(Pipe((), False, (Call("index", (DOT, Literal(0))),)), ("A",))),
    ],
)
def test_commands(text: str, command: object) -> None:
    """Each kind of operand."""
    assert action(text).commands == (command,)


def test_pipeline() -> None:
    """What is before a bar is the last argument of what is after it."""
    assert action("{{. | eq 1 | not}}").commands == (DOT, Call("eq", (Literal(1),)), Call("not", ()))


def test_variables() -> None:
    """`:=` declares, `=` sets; `range` may have two."""
    nodes = parse("{{$a := 1}}{{$a = 2}}{{range $i, $b := .}}{{$b}}{{end}}")
    pipes = [node.pipe for node in nodes if isinstance(node, Action | Block)]
    assert [(pipe.names, pipe.declares) for pipe in pipes] == [
        (("$a",), True),
        (("$a",), False),
        (("$i", "$b"), True),
    ]


def test_blocks() -> None:
    """`if` with all its branches is blocks in one another."""
    (node,) = parse("{{if .A}}a{{else if .B}}b{{else}}c{{end}}")
    a, b = (Pipe((), False, (Path("", (name,)),)) for name in "AB")
    assert node == Block("if", a, (Text("a"),), (Block("if", b, (Text("b"),), (Text("c"),)),))


def test_loop() -> None:
    """`range` may have an `else`, and jumps in what it repeats."""
    (node,) = parse("{{range .}}{{if .}}{{break}}{{end}}{{continue}}{{else}}none{{end}}")
    assert isinstance(node, Block)
    assert (node.kind, node.body[-1], node.otherwise) == ("range", Jump("continue"), (Text("none"),))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{{}}", "missing value for command"),
        ("{{if}}x{{end}}", "missing value for command"),
        ("{{.A |}}", "missing value for command"),
        ("{{if .A}}x", "unexpected end of template"),
        ("{{if .A}}x{{else}}y", "unexpected end of template"),
        ("{{if .A}}x{{else}}y{{else}}z{{end}}", "unexpected {{else}}"),
        ("{{end}}", "unexpected {{end}}"),
        ("{{else}}", "unexpected {{else}}"),
        ("{{if .A}}x{{end .B}}", 'unexpected ".B" in command'),
        ("{{range .A}}x{{else range .B}}y{{end}}", 'unexpected "range" in command'),
        ("{{if .A}}x{{else with .B}}y{{end}}", 'unexpected "with" in command'),
        ("{{foo}}", 'function "foo" not defined'),
        ("{{len foo}}", 'function "foo" not defined'),
        ('{{printf "%s" .A}}', 'function "printf" not defined'),
        ('{{template "x"}}', "{{template}} is not supported"),
        ('{{define "x"}}{{end}}', "{{define}} is not supported"),
        ("{{break}}", "{{break}} outside {{range}}"),
        ("{{range .}}{{else}}{{continue}}{{end}}", "{{continue}} outside {{range}}"),
        ("{{range .}}{{break .}}{{end}}", 'unexpected "." in command'),
        ("{{.A .B}}", "can't give argument to non-function .A"),
        ("{{.A | .B}}", "non executable command in pipeline"),
        ("{{(.A}}", "unclosed left paren"),
        ("{{.A)}}", 'unexpected ")" in command'),
        ("{{= 1}}", 'unexpected "=" in operand'),
        ("{{$a}}", 'undefined variable "$a"'),
        ("{{$a = 1}}", 'undefined variable "$a"'),
        ("{{if .A}}{{$a := 1}}{{end}}{{$a}}", 'undefined variable "$a"'),
        ("{{if .A}}{{$a := 1}}{{else}}{{$a}}{{end}}", 'undefined variable "$a"'),
        ("{{$a, $b := .}}", 'undefined variable "$a"'),
        ('{{"\\x41"}}', 'invalid string "\\"\\\\x41\\""'),
        ("{{1234567890123456789}}", "number is too large: 1234567890123456789"),
        ("{{" + "(" * 40 + "}}", "nested too deeply"),
        ("{{if 1}}" * 40, "nested too deeply"),
        ("a" * (MAX_TEMPLATE + 1), f"more than {MAX_TEMPLATE} characters"),
        ("{{1}}" * (MAX_TOKENS // 5 + 1), "it has too many actions"),
        ("{{and " + "1 " * MAX_TOKENS + "}}", "it has too many actions"),
    ],
    ids=range(36),
)
def test_errors(text: str, message: str) -> None:
    """What is no template is a 400 that says why."""
    with pytest.raises(InvalidRequest) as caught:
        parse(text)
    assert (caught.value.status, caught.value.message) == (400, f"template error: {message}")


PARTS = [
    "{{",
    "}}",
    "{{- ",
    " -}}",
    "if ",
    "else ",
    "end",
    "range ",
    "$x",
    ":=",
    "=",
    "|",
    "(",
    ")",
    ".",
    ".A",
    '"',
    "`",
]


@given(st.lists(st.sampled_from([*PARTS, "len ", "break", "1", "-", ",", "/*", "*/", "text", "\n"]), max_size=30))
def test_anything_is_parsed_or_refused(parts: list[str]) -> None:
    """No text makes the parser fail in another way."""
    with suppress(InvalidRequest):
        parse("".join(parts))
