"""What Go's templates do (https://pkg.go.dev/text/template#hdr-Actions)."""

from __future__ import annotations

import pytest

from ollama_openai_proxy.errors import InvalidRequest
from ollama_openai_proxy.translate.ollama.gotemplate import run as module
from ollama_openai_proxy.translate.ollama.gotemplate.parse import parse
from ollama_openai_proxy.translate.ollama.gotemplate.run import MAX_OUTPUT, Budget

ROOT = {"A": "a", "E": "", "N": 3, "L": ["x", "y", "z"], "M": [{"R": "u", "C": "hi"}, {"R": "s", "C": "ho"}]}


def run(text: str, cut: str = "") -> str:
    return module.run(parse(text), ROOT, Budget(), cut=cut)


@pytest.mark.parametrize(
    ("text", "output"),
    [
        ("", ""),
        ("t {{.A}} {{.N}} {{.Missing}}|", "t a 3 |"),
        ("{{$.A}}{{$.M | len}}", "a2"),
        ("{{if .A}}1{{end}}{{if .E}}2{{end}}{{if .E}}3{{else}}4{{end}}", "14"),
        ("{{if .E}}1{{else if .A}}2{{else}}3{{end}}", "2"),
        ("{{with .A}}{{.}}{{end}}{{with .E}}{{.}}{{else}}{{.N}}{{end}}", "a3"),
        ("{{with $x := .A}}{{$x}}{{$.N}}{{end}}", "a3"),
        ("{{with .E}}1{{else with .A}}{{.}}{{end}}", "a"),
        ("{{range .L}}{{.}}{{end}}", "xyz"),
        ("{{range $v := .L}}{{$v}}{{.}}{{end}}", "xxyyzz"),
        ("{{range $i, $v := .L}}{{$i}}{{$v}}{{end}}", "0x1y2z"),
        ("{{$i := 7}}{{$v := 0}}{{range $i, $v = .L}}{{end}}{{$i}}{{$v}}", "2z"),
        ("{{range .Missing}}1{{else}}none{{end}}", "none"),
        ("{{range $i, $v := .Missing}}1{{else}}{{$i}}{{$v}}none{{end}}", "none"),
        ("{{$v := 1}}{{range $v = .L}}{{if .}}{{$v = 5}}{{$v}}{{end}}{{end}}{{$v}}", "5555"),
        ("{{range .L}}{{$x := .}}{{range $.M}}{{$x}}{{$x := .R}}{{$x}}{{end}}{{$x}}{{end}}", "xuxsxyuysyzuzsz"),
        ("{{range .L}}{{if eq . `y`}}{{continue}}{{end}}{{.}}{{end}}", "xz"),
        ("{{range .L}}{{if eq . `y`}}{{break}}{{end}}{{.}}{{else}}none{{end}}!", "x!"),
        ("{{range .M}}{{.R}}={{.C}};{{$.A}}{{end}}", "u=hi;as=ho;a"),
        ("{{range .M}}{{range $.L}}{{.}}{{break}}{{end}}{{.C}}{{end}}", "xhixho"),
        ("{{$x := 1}}{{if .A}}{{$x = 2}}{{$x := 3}}{{end}}{{$x}}", "2"),
        ("{{(index .M 1).C}} {{len (slice .L 1)}}", "ho 2"),
        ("{{if and .A .E}}1{{else}}0{{end}}{{or .E .A `b`}}{{and .A .N}}", "0a3"),
        ("{{or .E .A (index .L 9)}}{{and .E (index .L 9)}}", "a"),
        ("{{.A | or .E}}{{.E | or}}{{.E | and .A}}", "a"),
        ("{{`a` | eq .A}} {{not .A}} {{1.5}} {{nil}}", "true false 1.5 "),
        ("{{.Missing.Deeper}}", ""),
    ],
)
def test_output(text: str, output: str) -> None:
    """Actions, variables and their scopes, pipelines, functions that stop at the first argument which decides."""
    assert run(text) == output


@pytest.mark.parametrize(
    ("text", "output"),
    [
        ("a{{.A}}b{{.N}}c", "aab"),
        ("a{{if .N}}b{{end}}c", "a"),
        ("a{{$.N}}", "a"),
        ("a{{range .L}}{{.}}{{if $.N}}{{end}}{{end}}", "ax"),
        ("a{{.A}}", "aa"),
    ],
)
def test_cut(text: str, output: str) -> None:
    """The output ends where the field is first used, however deep."""
    assert run(text, cut="N") == output


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{{.A.B}}", "can't evaluate field B in string"),
        ("{{range .A}}{{end}}", "range can't iterate over string"),
        ("{{.L}}", "can't print list"),
        ("{{or}}", "wrong number of args for or: want at least 1 got 0"),
        ("{{if eq .A .N}}{{end}}", "incompatible types for comparison"),
    ],
)
def test_errors(text: str, message: str) -> None:
    """What can't be done with a value is a 400."""
    with pytest.raises(InvalidRequest) as caught:
        run(text)
    assert caught.value.message == f"template error: {message}"


def loops(count: int, body: str) -> str:
    return "{{range $.L}}" * count + body + "{{end}}" * count


def test_work_is_limited() -> None:
    """Loops within loops end in an error, and not in minutes."""
    with pytest.raises(InvalidRequest, match=r"^template error: it takes too long$"):
        run(loops(20, ""))


def test_work_on_long_texts_is_limited() -> None:
    """To compare or to count a long text is more work than a short one."""
    root = {"L": [0] * 100, "T": "x" * 1_000_000}
    with pytest.raises(InvalidRequest, match=r"^template error: it takes too long$"):
        module.run(parse("{{range .L}}{{len $.T}}{{end}}"), root, Budget())


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("{{range .L}}{{range $.L}}{{end}}{{end}}", id="loops with nothing in them"),
        pytest.param("{{range .L}}{{$.A" + ".B" * 1000 + "}}{{end}}", id="fields in one another"),
        pytest.param("{{range .L}}{{$x := json $.T}}{{end}}", id="json of a long text"),
        pytest.param("{{range .L}}{{$x := json $.M}}{{end}}", id="json of a mapping with a long text"),
        pytest.param("{{range .L}}{{$x := slice $.B 1}}{{end}}", id="parts of a long list"),
    ],
)
def test_work_that_does_not_show_is_limited(text: str) -> None:
    """Little in the template, and nothing in the output, may still be much work."""
    root = {"L": [0] * 300, "B": [0] * 100_000, "T": "x" * 100_000, "M": {"T": "x" * 100_000}}
    with pytest.raises(InvalidRequest, match=r"^template error: it takes too long$"):
        module.run(parse(text), root, Budget())


def test_output_is_limited() -> None:
    """A short template does not make gigabytes of a long prompt."""
    root = {"L": [0] * 10, "T": "x" * (MAX_OUTPUT // 9)}
    with pytest.raises(InvalidRequest, match=r"^template error: its output is too long$"):
        module.run(parse("{{range .L}}{{$.T}}{{end}}"), root, Budget())


def test_budget_is_shared() -> None:
    """Runs for one request have one limit together."""
    nodes = parse(loops(6, ""))
    module.run(nodes, ROOT, Budget())
    budget = Budget()

    def often() -> None:
        for _ in range(100):
            module.run(nodes, ROOT, budget)

    with pytest.raises(InvalidRequest, match="it takes too long"):
        often()
