import pytest

from ollama_openai_proxy.translate.models import Directory, Model, is_valid_name, qualified, tagged


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
