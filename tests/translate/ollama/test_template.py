"""Templates of models, as requests give them (contract 5.7)."""

from __future__ import annotations

import pytest

from ollama_openai_proxy.errors import InvalidRequest
from ollama_openai_proxy.translate.ollama.context import Turn
from ollama_openai_proxy.translate.ollama.template import fill, render

# Of one turn, and of a whole conversation; the forms are those of ChatML (https://huggingface.co/docs/transformers).
ONE = (
    "{{ if .System }}<|im_start|>system\n{{ .System }}<|im_end|>\n{{ end }}"
    "{{ if .Prompt }}<|im_start|>user\n{{ .Prompt }}<|im_end|>\n{{ end }}"
    "<|im_start|>assistant\n{{ .Response }}<|im_end|>\n"
)
ALL = (
    "{{- range $i, $_ := .Messages }}\n"
    "{{- $last := eq (len (slice $.Messages $i)) 1 }}\n"
    "{{- if or (eq .Role `system`) (eq .Role `user`) (eq .Role `assistant`) }}<|im_start|>{{ .Role }}\n"
    "{{ .Content }}<|im_end|>\n{{ end }}\n"
    "{{- if and $last (ne .Role `assistant`) }}<|im_start|>assistant\n{{ end }}\n"
    "{{- end }}"
)
SYSTEM, USER, ASSISTANT, AGAIN = (
    Turn("system", "Be brief."),
    Turn("user", "Hi"),
    Turn("assistant", "Ho"),
    Turn("user", "And?"),
)


def chatml(*turns: Turn) -> str:
    return "".join(f"<|im_start|>{turn.role}\n{turn.text}<|im_end|>\n" for turn in turns) + "<|im_start|>assistant\n"


@pytest.mark.parametrize("template", [ONE, ALL], ids=["one turn", "all messages"])
@pytest.mark.parametrize(
    "turns",
    [
        pytest.param((USER,), id="a prompt"),
        pytest.param((SYSTEM, USER), id="a system prompt"),
        pytest.param((SYSTEM, USER, ASSISTANT, AGAIN), id="a conversation"),
        pytest.param((USER, ASSISTANT, AGAIN, ASSISTANT, USER), id="a longer one"),
    ],
)
def test_conversation(template: str, turns: tuple[Turn, ...]) -> None:
    """Both kinds of template make the same prompt, which ends where the answer begins."""
    assert render(template, turns) == chatml(*turns)


def test_same_side_twice() -> None:
    """What one side says in a row is one turn."""
    turns = (USER, AGAIN)
    assert render(ONE, turns) == render(ALL, turns) == chatml(Turn("user", "Hi\n\nAnd?"))


def test_system_prompt_in_between() -> None:
    """A later system prompt stands where it was said."""
    turns = (SYSTEM, USER, ASSISTANT, Turn("system", "Be long."), AGAIN)
    assert render(ONE, turns) == chatml(*turns)


def test_answer_first() -> None:
    """A conversation may begin with the model's own words."""
    assert render("<{{ .Prompt }}|{{ .Response }}>", (ASSISTANT, USER)) == "<|Ho><Hi|"


def test_template_without_a_response() -> None:
    """Without `.Response`, all of it is the prompt."""
    assert render("[{{ .Prompt }}]", (USER,)) == "[Hi]"


@pytest.mark.parametrize(
    "template",
    [
        "{{ len .Messages }}",
        "{{ len (slice .Messages 0) }}",
        "{{ if .System }}{{ else }}{{ $.Messages | len }}{{ end }}",
        "{{ (index .Messages 0).Role | len | eq 4 | not | len | or 1 }}",
    ],
)
def test_use_of_messages(template: str) -> None:
    """A template that uses `.Messages` anywhere is given all of them at once."""
    if "index" in template:
        with pytest.raises(InvalidRequest):  # and evaluated: a boolean has no length
            render(template, (USER,))
    else:
        assert render(template, (USER, ASSISTANT, AGAIN)) == "3"


def test_system_beside_messages() -> None:
    """`.System` is there in templates that go through the messages, too."""
    assert (
        render("{{ .System }}|{{ range .Messages }}{{ .Role }},{{ end }}", (SYSTEM, USER)) == "Be brief.|system,user,"
    )


THINKING = "{{ if .IsThinkSet }}{{ .Think }}{{ else }}-{{ end }}{{ .ThinkLevel }}"


@pytest.mark.parametrize(("think", "text"), [(None, "-"), (False, "false"), (True, "true"), ("low", "truelow")])
def test_thinking(think: bool | str | None, text: str) -> None:
    """Contract 3.2: templates ask whether the model is to think, how much, and whether that was said at all."""
    assert render(THINKING, (USER,), think) == text
    assert render(THINKING + "{{ range .Messages }}{{ .Role }}{{ end }}", (USER,), think) == f"{text}user"
    assert render(THINKING + "{{ .Response }}", (USER, ASSISTANT, USER), think) == f"{text}Ho{text}"
    assert fill(THINKING + "{{ .Suffix }}", "a", "b", think) == f"{text}b"


@pytest.mark.parametrize("member", [".ToolCalls", ".Images", ".Thinking", ".ToolName", "$.Tools"])
def test_what_is_never_there(member: str) -> None:
    """Ollama gives templates empty lists and texts for what a message has not, of which they may ask the length."""
    template = "{{ range .Messages }}{{ len " + member + " }}{{ if " + member + " }}x{{ end }}{{ end }}"
    assert render(template, (USER, ASSISTANT, USER)) == "000"
    assert render("{{ len .Tools }}{{ .Prompt }}", (USER,)) == "0Hi"


def test_fill() -> None:
    """A suffix, before the prompt or after it."""
    assert fill("<P>{{ .Prompt }}<S>{{ .Suffix }}<M>", "a", "b") == "<P>a<S>b<M>"
    assert fill("{{ if .Suffix }}[{{ .Suffix }}]{{ .Prompt }}{{ else }}x{{ end }}", "a", "b") == "[b]a"


def test_text_is_no_template() -> None:
    """What a user says is put in as it is."""
    assert render("{{ .Prompt }}", (Turn("user", "{{ .System }}"),)) == "{{ .System }}"


@pytest.mark.parametrize("template", ["{{", "{{ foo }}", "{{ end }}"])
def test_errors(template: str) -> None:
    """What is no template is a 400."""
    with pytest.raises(InvalidRequest, match=r"^template error: ") as caught:
        render(template, (USER,))
    assert caught.value.status == 400
    with pytest.raises(InvalidRequest, match=r"^template error: "):
        fill(template, "a", "b")
