"""Aliases, and the models that clients see because of them (contract 5.13, 5.14)."""

from __future__ import annotations

from ollama_openai_proxy.translate.aliases import Alias, applied, with_aliases
from ollama_openai_proxy.translate.models import Directory, Model, Preset

BASE = Model(
    "llama3", created=1, owned_by="vllm", context_length=8192, family="llama", offers=("vision",), lacks=("tools",)
)


def test_an_alias_is_its_base_under_another_name() -> None:
    """Contract 5.14: a copy can do what its source can, and is as old as the copying."""
    model = applied(Alias("mine:latest", "llama3", 1700000000, parent="llama3:latest"), BASE)
    assert (model.id, model.name, model.upstream_id) == ("mine", "mine:latest", "llama3")
    assert (model.created, model.parent) == (1700000000, "llama3:latest")
    assert (model.context_length, model.family, model.owned_by) == (8192, "llama", "vllm")
    assert (model.capabilities, model.offers, model.lacks) == (None, ("vision",), ("tools",))


def test_tags_of_its_own_stay() -> None:
    """Contract 2.2: only `latest` is left out of an id."""
    assert applied(Alias("mine:8b", "llama3", 1), BASE).id == "mine:8b"
    assert applied(Alias("me/mine:8b", "llama3", 1), BASE).name == "me/mine:8b"


def test_what_its_maker_says_counts() -> None:
    """Contract 5.13: settings and what was said of the model go before what the backend says; the rest holds."""
    preset = Preset(system="Be brief.", parameters={"temperature": 0.1})
    alias = Alias("mine:latest", "llama3", 1, preset=preset, context_length=4096, capabilities=("completion",))
    model = applied(alias, BASE)
    assert (model.preset, model.context_length, model.capabilities) == (preset, 4096, ("completion",))
    assert model.family == "llama"


def test_an_alias_without_its_base() -> None:
    """The backend's list may be late, or have lost the model: the alias stays, and the backend says what it has."""
    model = applied(Alias("mine:latest", "gone", 1), None)
    assert (model.id, model.upstream_id, model.context_length) == ("mine", "gone", None)


def test_aliases_come_first_and_hide_their_name() -> None:
    """A name means one model: an alias that has the name of one of the backend's stands in its place."""
    models = [BASE, Model("qwen"), Model("Mistral")]
    aliases = [Alias("qwen:latest", "llama3", 1), Alias("mistral:latest", "qwen", 2)]
    seen = with_aliases(models, aliases)
    assert [(model.id, model.upstream_id) for model in seen] == [
        ("qwen", "llama3"),
        ("mistral", "qwen"),
        ("llama3", "llama3"),
    ]
    found = Directory(seen).find("QWEN")
    assert found is not None
    assert found.upstream_id == "llama3"


def test_an_alias_of_a_model_that_has_another_name_upstream() -> None:
    """`upstream` is what the backend calls it, whatever clients are shown."""
    shown = Model("friendly", upstream="org/model:free", context_length=2048)
    (model, own) = with_aliases([shown], [Alias("mine:latest", "org/model:free", 1)])
    assert (model.context_length, model.upstream_id, own) == (2048, "org/model:free", shown)


def test_no_aliases() -> None:
    """Then clients see what the backend has."""
    assert with_aliases([BASE], []) == [BASE]


def test_aliases_of_models_of_one_upstream_have_the_facts_of_their_own() -> None:
    """Section 5 of clients.md: an alias is what it was made from, through other aliases too, not its neighbour."""
    models = [Model(f"m{length}", upstream="gpt", context_length=length) for length in (1, 2, 3)]
    aliases = [
        Alias("a:latest", "gpt", 1, parent="b:latest"),
        Alias("b:latest", "gpt", 1, parent="m2:latest"),
        Alias("c:latest", "gpt", 1, parent="d:latest"),
        Alias("d:latest", "gpt", 1, parent="c:latest"),  # each was made anew, from the other
        Alias("e:latest", "gone", 1, parent="m1:latest"),
    ]
    found = {model.id: model.context_length for model in with_aliases(models, aliases)}
    assert (found["a"], found["b"], found["c"], found["d"], found["e"]) == (2, 2, 3, 3, None)


def test_what_its_maker_lists_is_whole() -> None:
    """Contract 5.13: capabilities that were given are all that there are, whatever the backend left open."""
    base = Model("llama3", capabilities=("completion",), unsaid=("insert",))
    assert applied(Alias("a:latest", "llama3", 1), base).unsaid == ("insert",)
    assert applied(Alias("a:latest", "llama3", 1, capabilities=("completion",)), base).unsaid == ()
