import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ollama_openai_proxy.errors import InvalidRequest
from ollama_openai_proxy.translate.models import (
    Directory,
    Model,
    check_source,
    is_valid_name,
    qualified,
    tagged,
    without_source,
)


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("llama3", "llama3:latest"),
        ("llama3:8b", "llama3:8b"),
        ("me/llama3", "me/llama3:latest"),
        ("localhost:5000/me/llama3", "localhost:5000/me/llama3:latest"),
        ("localhost:5000/me/llama3:q4", "localhost:5000/me/llama3:q4"),
        ("meta-llama/llama-3.1-70b-instruct:free", "meta-llama/llama-3.1-70b-instruct:free"),
    ],
)
def test_display_form_always_has_a_tag(name: str, shown: str) -> None:
    """Contract 2.2: the tag is always shown; a colon before the last slash is a port, not a tag."""
    assert tagged(name) == shown
    assert Model(id=name).name == shown


@pytest.mark.parametrize(
    ("name", "whole"),
    [
        ("llama3", "registry.ollama.ai/library/llama3:latest"),
        ("llama3:8b", "registry.ollama.ai/library/llama3:8b"),
        ("me/llama3", "registry.ollama.ai/me/llama3:latest"),
        ("hf.co/org/repo:Q4_K_M", "hf.co/org/repo:Q4_K_M"),
        ("accounts/fireworks/models/x", "accounts/fireworks/models/x:latest"),
    ],
)
def test_fully_qualified_form(name: str, whole: str) -> None:
    """Contract 2.1: the default host is registry.ollama.ai, the default namespace library."""
    assert qualified(name) == whole


@pytest.mark.parametrize(
    "name",
    [
        "llama3",
        "openai/gpt-4o",
        "meta-llama/llama-3.1-70b-instruct:free",
        "gpt-4o-2024-08-06",
        "hf.co/org/repo:Q4_K_M",
        "localhost:5000/me/llama3",
        "https://registry.ollama.ai/library/llama3:latest",
        "_model:_tag",
        " llama3 ",
        "a" * 80,
        "m:" + "t" * 80,
        "n" * 80 + "/m",
        "h" * 350 + "/n/m",
    ],
)
def test_names_within_the_grammar(name: str) -> None:
    """Contract 2.1: host, namespace, model and tag, each up to its length; space around is trimmed."""
    assert is_valid_name(name)


@pytest.mark.parametrize(
    "name",
    [
        "",
        " ",
        "@cf/meta/llama",
        "accounts/fireworks/models/x",
        "z.ai/glm-4",
        "has space",
        "a+b",
        "model:",
        ":tag",
        "/model",
        "namespace/",
        "-model",
        "m:-tag",
        "m:a:b",
        "modèle",
        "a" * 81,
        "m:" + "t" * 81,
        "n" * 81 + "/m",
        "h" * 351 + "/n/m",
        "m\nn",
    ],
)
def test_names_outside_the_grammar(name: str) -> None:
    """Contract 2.1: an @, a dot in a namespace, a fourth segment, an empty or overlong part make a name invalid."""
    assert not is_valid_name(name)


DIRECTORY = Directory(
    [
        Model(id="gpt-4o"),
        Model(id="Qwen3:8B"),
        Model(id="@cf/meta/llama"),
        Model(id="exact"),
        Model(id="EXACT"),
        Model(id="odd:local"),
        Model(id="name:latest"),
    ]
)


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("gpt-4o", "gpt-4o"),
        ("gpt-4o:latest", "gpt-4o"),
        ("GPT-4o:LATEST", "gpt-4o"),
        (" gpt-4o ", "gpt-4o"),
        ("qwen3:8b", "Qwen3:8B"),
        ("@cf/meta/llama", "@cf/meta/llama"),
        ("@CF/META/LLAMA:latest", "@cf/meta/llama"),
        ("gpt-4o:local", "gpt-4o"),
        ("QWEN3:8b:LOCAL", "Qwen3:8B"),
        ("odd:local", "odd:local"),
        ("name", "name:latest"),
        ("EXACT", "EXACT"),
        ("exact:latest", "exact"),
        ("Exact", "exact"),
    ],
)
def test_lookup(asked: str, found: str) -> None:
    """Contract 2.1, 2.3, 2.5: the id to the letter first; then tag, case and `:local` do not matter."""
    model = DIRECTORY.find(asked)
    assert model is not None
    assert model.id == found


@pytest.mark.parametrize("asked", ["", "gpt", "gpt-4o:mini", "qwen3", ":local", "gpt-4o:latest:latest"])
def test_lookup_of_what_nobody_has(asked: str) -> None:
    """Another tag is another model, and a part of a name is none."""
    assert DIRECTORY.find(asked) is None


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("library/a", "a"),
        ("Library/A:Latest", "a"),
        ("registry.ollama.ai/library/a", "a"),
        ("https://Registry.Ollama.ai/library/a:latest:local", "a"),
        ("registry.ollama.ai/me/b:8b", "me/b:8b"),
        ("http://hf.co/me/c", "hf.co/me/c"),
        ("library/d", "library/d"),
        ("d", "d"),
        ("mylibrary/a", None),
        ("library/library/a", None),
        ("registry.ollama.ai/a", None),
        ("x/registry.ollama.ai/library/a", None),
        ("http://a", None),
        ("http://library/a", None),
        ("hf.co/library/a", None),
        ("library/", None),
    ],
)
def test_lookup_with_defaults(asked: str, found: str | None) -> None:
    """Contract 2.1: host and namespace may be written where they are the defaults; an id to the letter goes first."""
    directory = Directory(map(Model, ("a", "me/b:8b", "hf.co/me/c", "d", "library/d")))
    model = directory.find(asked)
    assert (model and model.id) == found


def test_models_are_listed_once() -> None:
    """A backend's list may hold an id twice, or an empty one; a list of Ollama's never does."""
    models = Directory([Model(id="a", size=1), Model(id=""), Model(id="b"), Model(id="a", size=2)]).models
    assert [model.id for model in models] == ["a", "b"]


def test_no_models() -> None:
    """Before the first list of the backend there are no models."""
    assert Directory().models == ()
    assert Directory().find("gpt-4o") is None


def test_case_tells_two_models_apart() -> None:
    """Contract 2.3: the spelling that is listed is the model that answers; case is folded only where it must be."""
    directory = Directory([Model("GPT-4"), Model("gpt-4")])
    found = {name: model and model.id for name in ("GPT-4:latest", "gpt-4:latest") for model in [directory.find(name)]}
    assert found == {"GPT-4:latest": "GPT-4", "gpt-4:latest": "gpt-4"}


@pytest.mark.parametrize(("ids", "shown"), [(("x", "x:latest"), "x:latest"), (("x:latest", "x"), "x:latest")])
def test_two_models_of_one_name(ids: tuple[str, str], shown: str) -> None:
    """Contract 2.2: a name is shown once, for the model that it means to the letter; the other has its id."""
    directory = Directory(map(Model, ids))
    assert [model.id for model in directory.models] == [shown]
    for name in ids:
        found = directory.find(name)
        assert found is not None
        assert found.id == name


def test_order_of_lookup() -> None:
    """Contract 2.1, 2.5: the id as it is, then without `:local`, then with a tag, then in any case."""
    ids = ["a:local", "a", "b", "B:latest", "c"]
    directory = Directory(map(Model, ids))
    found = {name: model.id for name in ("a:local", "b:local", "b", "B", "C:local") if (model := directory.find(name))}
    assert found == {"a:local": "a:local", "b:local": "b", "b": "b", "B": "B:latest", "C:local": "c"}


@pytest.mark.parametrize(
    ("name", "bare"),
    [
        ("m:local", "m"),
        (" m:8b:LOCAL ", "m:8b"),
        ("m:cloud", "m:cloud"),
        ("m:8b-cloud", "m:8b-cloud"),
        ("local", "local"),
    ],
)
def test_local_is_a_marker(name: str, bare: str) -> None:
    """Contract 2.5: `:local` is no part of a name; `:cloud` stays, since a backend may call a model that."""
    assert without_source(name) == bare


@pytest.mark.parametrize(
    "name", ["m:cloud:local", "m:local:cloud", "m:8b-cloud:local", " M:Cloud:LOCAL", "m:local-cloud"]
)
def test_either_local_or_cloud(name: str) -> None:
    """Contract 2.5: both at once is an error in Ollama's words."""
    with pytest.raises(InvalidRequest) as caught:
        check_source(name)
    assert (caught.value.message, caught.value.status) == (f'use either :local or :cloud, not both: "{name}"', 400)


@pytest.mark.parametrize("name", ["m", "m:local", "m:cloud", "m-cloud:local", "org:8/m-cloud:local", "my-cloud", ""])
def test_one_marker_is_fine(name: str) -> None:
    """Contract 2.5: `-cloud` without a tag is part of the model's own name."""
    check_source(name)


@given(st.text(max_size=20) | st.from_regex(r"[a-c:/-]{0,3}(:local|:cloud|-cloud){0,3}", fullmatch=True))
def test_any_name_is_found_refused_or_unknown(name: str) -> None:
    """Names are what clients send: nothing but InvalidRequest comes of them."""
    assert DIRECTORY.find(name) is None or DIRECTORY.find(name) in DIRECTORY.models
    with contextlib.suppress(InvalidRequest):
        check_source(name)
