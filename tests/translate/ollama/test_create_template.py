"""The template of an alias: checked, kept and inherited (contract 5.13)."""

from __future__ import annotations

import json

import pytest

from ollama_openai_proxy.errors import InvalidRequest
from ollama_openai_proxy.translate.models import NO_PRESET, Model, Preset
from ollama_openai_proxy.translate.ollama import create
from ollama_openai_proxy.translate.ollama.management import CreateRequest, decode


def kept(template: str, base: Preset = NO_PRESET) -> str:
    """Return the template of an alias for which this one was given; its base has another."""
    request = decode(json.dumps({"from": "gpt", "template": template}).encode(), CreateRequest)
    return create.made(request, "new:latest", Model(id="gpt", preset=base), None, 0).preset.template


@pytest.mark.parametrize(
    ("template", "words"),
    [
        ("{{ .Prompt", "unclosed action"),
        ("{{ if .Prompt }}x", "unexpected end of template"),
        ("x{{ end }}", "unexpected {{end}}"),
        ("{{ }}", "missing value for command"),
        ("{{ foo .Prompt }}", 'function "foo" not defined'),
        ('{{ "more than 65536 characters" 1 }}', 'can\'t give argument to non-function "more than 65536 characters"'),
    ],
)
def test_bad_template(template: str, words: str) -> None:
    """Contract 5.13: a template that does not parse is a 400 that begins with `template error: `."""
    with pytest.raises(InvalidRequest) as raised:
        kept(template)
    assert (raised.value.status, raised.value.message) == (400, f"template error: {words}")


@pytest.mark.parametrize(
    "template",
    [
        "{{ define `a` }}x{{ end }}{{ template `a` . }}",
        "{{ block `a` . }}x{{ end }}",
        "{{ currentDate }} {{ yesterdayDate }}",
        "{{ range .Tools }}{{ toTypeScriptType .Function }}{{ end }}",
        "{{ .Prompt | printf `%s` | html }}",
        "x" * 100_000,
        "(".join(["{{ "] + [""] * 39) + "1" + ")" * 39 + " }}",
    ],
)
def test_template_that_is_kept(template: str) -> None:
    """Contract 5.13: what Ollama takes for a template and the proxy can't run is none the less kept, and shown."""
    assert kept(template) == template


def test_template_of_the_base() -> None:
    """Contract 5.13: what a base has is inherited as it is: nobody gave it in this request."""
    base = Preset(template="{{ .Prompt")
    assert kept("", base) == "{{ .Prompt"
