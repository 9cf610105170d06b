"""How what is told of a model becomes a Model, and how values of any kind are read."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ollama_openai_proxy.errors import UpstreamBroken
from ollama_openai_proxy.translate.models import Model
from ollama_openai_proxy.translate.openai.facts import (
    EMBEDS,
    NEITHER,
    WORDS,
    Facts,
    array,
    count,
    learnt,
    load,
    parameters,
    text,
)

CHAT = {"completion": True, "tools": False, "vision": False, "thinking": True}


def test_what_is_told_overrides_what_was_known() -> None:
    """A later source is closer to the truth; what it does not tell stays."""
    model = learnt(Model("m", context_length=8192, family="llama"), Facts(context_length=2048, size=5, format="gguf"))
    assert model == Model("m", context_length=2048, family="llama", size=5, format="gguf")


@pytest.mark.parametrize(
    ("can", "capabilities"),
    [
        (CHAT, ("completion", "thinking")),
        (CHAT | {"insert": True, "audio": True}, ("completion", "insert", "thinking", "audio")),
        (EMBEDS, ("embedding",)),
        (NEITHER, ()),
        ({"completion": False, "embedding": True}, ("embedding",)),
    ],
)
def test_whole_lists(can: dict[str, bool], capabilities: tuple[str, ...]) -> None:
    """Contract 3.2, 3.7: a list is whole, and what is not in it refused, once it is known what is missing too."""
    model = learnt(Model("m"), Facts(can=can))
    assert (model.capabilities, model.offers, model.lacks) == (capabilities, (), ())


@pytest.mark.parametrize("missing", ["completion", "tools", "vision", "thinking"])
def test_parts_of_a_list_refuse_nothing(missing: str) -> None:
    """Nothing is refused because a backend did not speak of it: what it said is kept apart."""
    can = {word: has for word, has in CHAT.items() if word != missing}
    model = learnt(Model("m"), Facts(can=can))
    assert model.capabilities is None
    assert set(model.offers) == {word for word, has in can.items() if has}
    assert set(model.lacks) == {word for word, has in can.items() if not has}


def test_parts_of_several_sources_make_a_whole() -> None:
    """llama.cpp tells modalities in its list, and tools and thinking at /props."""
    model = learnt(Model("m"), Facts(can={"completion": True, "vision": False}))
    model = learnt(model, Facts(can={"tools": True, "thinking": False}))
    assert model.capabilities == ("completion", "tools")
    assert learnt(model, Facts(can={"vision": True})).capabilities == ("completion", "tools", "vision")


def test_embedding_models_of_servers_that_do_not_tell_them_apart() -> None:
    """llama.cpp calls the output of every model text: one that embeds by its name is not said to lack embedding."""
    assert learnt(Model("nomic-embed-text"), Facts(can=CHAT)).capabilities is None
    assert learnt(Model("nomic-embed-text"), Facts(can=EMBEDS)).capabilities == ("embedding",)


@given(st.lists(st.dictionaries(st.sampled_from(WORDS), st.booleans())))
def test_a_word_is_never_both_there_and_missing(told: list[dict[str, bool]]) -> None:
    """Whatever is told in whatever order, the last word on each ability counts."""
    model = Model("m")
    for can in told:
        model = learnt(model, Facts(can=can))
    last = {word: has for can in told for word, has in can.items()}
    assert not set(model.offers) & set(model.lacks)
    has = model.offers if model.capabilities is None else model.capabilities
    assert set(has) == {word for word, there in last.items() if there}


@pytest.mark.parametrize(
    ("size", "number"),
    [
        ("7B", 7_000_000_000),
        ("3.2B", 3_200_000_000),
        ("270M", 270_000_000),
        ("1.5t", 1_500_000_000_000),
        (" 22 K ", 22_000),
        ("0B", None),
        ("", None),
        ("8x7B", None),
        ("B", None),
        ("7", None),
        ("1234567B", None),
        ("-7B", None),
    ],
)
def test_sizes_in_words(size: str, number: int | None) -> None:
    """Contract 5.4: "3.2B" says a number of parameters, as exactly as it does."""
    assert parameters(size) == number


@pytest.mark.parametrize(("value", "keys"), [({"a": {}}, ("a",)), ({}, ("a",)), (None, ("a",)), ("x", ()), (1, ("a",))])
def test_what_is_no_list(value: Any, keys: tuple[str, ...]) -> None:
    """H28: what should be a list and is not is the backend's fault, and said so."""
    with pytest.raises(UpstreamBroken):
        array(value, *keys)


def test_values_of_other_kinds_are_not_told() -> None:
    """A vendor may use a name for something else."""
    assert text({"a": 1, "b": "", "c": "x"}, "a", "b", "c") == "x"
    assert text(None, "a") == ""
    assert count({"a": "1", "b": 2.0}, "a", "b") == 2
    assert count([], "a") is None


def test_json_that_can_not_be_written_again() -> None:
    """Halves of surrogate pairs are mended; what is no JSON is the backend's fault."""
    assert load(b'"m\\ud800"') == "m\ufffd"
    with pytest.raises(UpstreamBroken):
        load(b"<html>")


def test_insert_is_not_missing_because_nobody_spoke_of_it() -> None:
    """llama.cpp tells tools, modalities and thinking, and not whether a model can fill in: that is not refused."""
    model = learnt(Model("m"), Facts(can=CHAT))
    assert (model.capabilities, model.unsaid) == (("completion", "thinking"), ("insert",))
    assert learnt(model, Facts(can={"insert": False})).unsaid == ()
    assert learnt(model, Facts(can={"insert": True})).capabilities == ("completion", "insert", "thinking")
    assert learnt(model, Facts(context_length=1)).unsaid == ("insert",)
    assert learnt(model, Facts(can=EMBEDS)).unsaid == ()
