"""Names that clients give to what they make (contract 2.1 to 2.3, 2.5)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ollama_openai_proxy.translate.ollama.names import Name, parse, spelled

PART = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,8}", fullmatch=True)


@pytest.mark.parametrize(
    ("text", "display"),
    [
        ("llama3", "llama3:latest"),
        ("llama3:8b", "llama3:8b"),
        (" llama3 ", "llama3:latest"),
        ("library/llama3", "llama3:latest"),
        ("registry.ollama.ai/library/llama3:8b", "llama3:8b"),
        ("https://registry.ollama.ai/library/llama3:8b", "llama3:8b"),
        ("me/llama3", "me/llama3:latest"),
        ("registry.ollama.ai/me/llama3:x", "me/llama3:x"),
        ("hf.co/org/repo:Q4_K_M", "hf.co/org/repo:Q4_K_M"),
        ("localhost:5000/library/m", "localhost:5000/library/m:latest"),
        ("m:local", "m:latest"),
        ("m:8b:LOCAL", "m:8b"),
        ("m:cloud", "m:cloud"),
        ("m:8b-cloud", "m:8b-cloud"),
    ],
)
def test_display(text: str, display: str) -> None:
    """Contract 2.2, 2.5: the shortest form, always with the tag; `:local` is a marker, `:cloud` an ordinary tag."""
    parsed = parse(text)
    assert parsed
    assert parsed.display == display


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "a b",
        "@cf/meta/llama",
        "a/b/c/d",
        "/m",
        "m:",
        ":x",
        "a//m",
        "z.ai/glm",
        "m+",
        "-m",
        "m" * 81,
        "http://m",
    ],
)
def test_not_a_name(text: str) -> None:
    """Contract 2.1: what does not follow the grammar has no parts."""
    assert parse(text) is None


def test_path() -> None:
    """Contract 5.12: a manifest lies below its host, namespace, model and tag."""
    parsed = parse("m")
    assert parsed
    assert parsed.path == "manifests/registry.ollama.ai/library/m/latest"


@pytest.mark.parametrize(
    ("text", "known", "display"),
    [
        ("QWEN:new", ["Qwen:7b"], "Qwen:new"),
        ("qwen:7B", ["Qwen:7b"], "Qwen:7b"),
        ("qwen", ["Qwen:7b", "qwen:8b"], "qwen:latest"),
        ("ME/x:Y", ["me/z:y"], "me/x:y"),
        ("x", ["@cf/X"], "x:latest"),
        ("x", [], "x:latest"),
    ],
)
def test_spelling_that_is_known(text: str, known: list[str], display: str) -> None:
    """Contract 2.3: each part is replaced by a spelling that exists and differs by case alone."""
    parsed = parse(text)
    assert parsed
    assert spelled(parsed, known).display == display


@given(st.builds(Name, PART, PART, PART, PART).filter(lambda name: name.tag.casefold() != "local"))
def test_display_is_read_again(name: Name) -> None:
    """Contract 2.2: the display form means the same name."""
    assert parse(name.display) == name
