"""What an operator tells of models (docs/models.md)."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ollama_openai_proxy.translate.models import NO_PRESET, Directory, Model, Preset
from ollama_openai_proxy.translate.modelsfile import MAX_FILE, NO_MODELS_FILE, ModelsFile, parse

GPT = Model(id="gpt-4o", created=5, owned_by="openai")
LLAMA = Model(id="meta/llama3.1:free", context_length=4096, family="llama")


def applied(text: str, *models: Model) -> dict[str, Model]:
    return {model.id: model for model in parse(text).apply(models)}


def entry(fields: str, match: str = "m") -> str:
    return f'[[model]]\nmatch = "{match}"\n{fields}\n'


def test_nothing() -> None:
    """Without a file, or with an empty one, the backend's models are what they are."""
    assert NO_MODELS_FILE.apply([GPT, LLAMA]) == parse("").apply([GPT, LLAMA]) == [GPT, LLAMA]


def test_facts_fill_what_is_unknown() -> None:
    """The backend's word counts, and the file tells what is missing."""
    facts = """
    context_length = 128000
    embedding_length = 3072
    parameter_count = 8030261248
    size = 5
    quantization = "Q8_0"
    family = "qwen2"
    format = "safetensors"
    capabilities = ["completion", "vision"]
    """
    found = applied(entry(facts, "*"), GPT, LLAMA)
    assert found["gpt-4o"] == Model(
        id="gpt-4o",
        created=5,
        owned_by="openai",
        context_length=128000,
        embedding_length=3072,
        parameter_count=8030261248,
        size=5,
        quantization="Q8_0",
        family="qwen2",
        format="safetensors",
        capabilities=("completion", "vision"),
    )
    assert (found[LLAMA.id].context_length, found[LLAMA.id].family, found[LLAMA.id].size) == (4096, "llama", 5)


def test_override() -> None:
    """`override` lets what the entry says win over the backend's word, and leaves the rest alone."""
    found = applied(entry("override = true\ncontext_length = 9", "*llama*"), LLAMA, GPT)
    assert (found[LLAMA.id].context_length, found[LLAMA.id].family) == (9, "llama")
    assert found["gpt-4o"] == GPT


def test_first_entry_wins() -> None:
    """Of several entries that match, the first that says a thing is the one that counts, with or without override."""
    text = entry("context_length = 1", "gpt-4o") + entry("context_length = 2\nsize = 3", "gpt*")
    assert (applied(text, GPT)["gpt-4o"].context_length, applied(text, GPT)["gpt-4o"].size) == (1, 3)
    text = entry("context_length = 1", "*") + entry("context_length = 2\noverride = true", "*")
    assert applied(text, LLAMA)[LLAMA.id].context_length == 4096


@pytest.mark.parametrize(
    ("match", "name", "matches"),
    [
        ("gpt-4o", "gpt-4o", True),
        ("GPT-4O", "gpt-4o", True),
        ("gpt-4o:latest", "gpt-4o", True),
        ("llama3", "llama3:8b", True),
        ("llama3:8B", "Llama3:8b", True),
        ("llama3:70b", "llama3:8b", False),
        ("llama3:8b", "llama3", False),
        ("gpt-4", "gpt-4o", False),
        ("gpt-4?", "gpt-4o", True),
        ("gpt-*", "GPT-4o", True),
        ("*/llama*", "meta/llama3.1:free", True),
        ("*:free", "meta/llama3.1:free", True),
        ("*3.1", "meta/llama3.1:free", True),
        ("*:latest", "gpt-4o", True),
        ("gpt-[0-9]o", "gpt-4o", True),
        ("gpt-[!0-9]o", "gpt-4o", False),
        ("llama*", "meta/llama3.1", False),
        ("a.c", "abc", False),
        ("@cf/meta/llama", "@cf/meta/llama", True),
        ("org/model[1]", "org/Model[1]", True),
        ("org/model[1]", "org/model1:free", True),
        ("org/model[[]1]", "org/model[1]", True),
        ("[a-c]*z[", "bz[", True),
        ("[*]x*", "ax", False),
    ],
)
def test_match(match: str, name: str, matches: bool) -> None:
    """Names match as in a shell, in any case, against the whole id: as it is, with its tag, without."""
    assert (applied(entry("size = 7", match), Model(id=name))[name].size == 7) == matches


def test_alias() -> None:
    """Aliases are further names of the model, in front, with all that is known of it; it stays what it was."""
    models = parse(entry('alias = ["fast", "team/fast:1"]\ncontext_length = 9', "gpt-4o")).apply([LLAMA, GPT])
    assert [model.id for model in models] == ["fast", "team/fast:1", LLAMA.id, "gpt-4o"]
    fast, *_, base = models
    assert (fast.upstream_id, fast.parent, fast.context_length) == ("gpt-4o", "gpt-4o:latest", 9)
    assert (fast.created, fast.owned_by, base.upstream, base.context_length) == (5, "openai", "", 9)
    assert applied(entry('alias = "one"', "gpt-4o"), GPT)["one"].upstream_id == "gpt-4o"


def test_alias_of_one_of_several() -> None:
    """An alias belongs to the model that `match` finds when a client asks for it, not to all that it matches."""
    models = [Model(id="m:8b"), Model(id="m"), Model(id="m:70b")]
    assert applied(entry('alias = "a"'), *models)["a"].upstream_id == "m"


def test_alias_of_nobody() -> None:
    """While the backend has no such model there is no alias for it, either."""
    assert applied(entry('alias = "a"', "nope"), GPT) == {"gpt-4o": GPT}


def test_alias_of_a_model_that_the_file_makes() -> None:
    """An alias is for the model that clients get under the name, that of another entry too, and has all that it has."""
    coder = entry('upstream = "gpt-4o-2024"\nsystem = "Code."', "gpt-4o")
    for text in (coder + entry('alias = "c"', "GPT-4o:latest"), entry('alias = "c"', "gpt-4o") + coder):
        found = applied(text + entry('alias = "d"\nsize = 4', "c"), GPT)
        assert set(found) == {"gpt-4o", "c", "d"}
        for name, parent in (("c", "gpt-4o:latest"), ("d", "c:latest")):
            assert (found[name].upstream_id, found[name].parent) == ("gpt-4o-2024", parent)
            assert found[name].preset.system == "Code."
        assert found["d"].size == 4


def test_capabilities_of_the_file_are_whole() -> None:
    """docs/models.md: what is not in the list is refused, whatever the backend left open."""
    told = Model(id="m", capabilities=("completion",), unsaid=("insert",))
    assert applied(entry('capabilities = ["completion"]\noverride = true'), told)["m"].unsaid == ()
    assert applied(entry('capabilities = ["tools"]'), told)["m"] == told


def test_alias_hides() -> None:
    """A name that the file gives hides a model of the backend that has it, in whatever case."""
    found = applied(entry('alias = "GPT-4o:latest"', LLAMA.id), GPT, LLAMA)
    assert set(found) == {"GPT-4o", LLAMA.id}
    assert found["GPT-4o"].upstream_id == LLAMA.id


def test_upstream() -> None:
    """A model with `upstream` is offered whether or not the backend lists it; what it says of that one is known."""
    text = entry('upstream = "gpt-4o"\nsystem = "Code."\nalias = "c"', "coder") + entry('upstream = "hid/den"', "x")
    found = applied(text, GPT)
    assert set(found) == {"coder", "c", "x", "gpt-4o"}
    assert (found["coder"].upstream_id, found["coder"].parent, found["coder"].owned_by) == ("gpt-4o", "", "openai")
    assert (found["c"].upstream_id, found["c"].parent, found["c"].preset.system) == ("gpt-4o", "coder:latest", "Code.")
    assert (found["x"].upstream_id, found["gpt-4o"].preset) == ("hid/den", NO_PRESET)
    assert set(applied(text)) == {"coder", "c", "x"}


def test_upstream_of_a_listed_model() -> None:
    """A model that the backend lists can be asked for under another name; it keeps its facts if that one has none."""
    found = applied(entry('upstream = "gpt-4o-2024"', "gpt-4o"), GPT)
    assert [(model.upstream_id, model.created) for model in found.values()] == [("gpt-4o-2024", 5)]


def test_entries_for_the_upstream_count_after_those_for_the_name() -> None:
    """What is said of the backend's model holds for the names made of it, unless their own entry says otherwise."""
    text = (
        entry('system = "General."\ncontext_length = 9\n[model.options]\nseed = 1\ntop_k = 1', "gpt-4o")
        + entry('upstream = "gpt-4o"\nsystem = "Code."\n[model.options]\nseed = 2', "coder")
        + entry('license = "MIT"', "gpt*")
    )
    coder = applied(text, GPT)["coder"]
    assert coder.context_length == 9
    assert coder.preset == Preset(system="Code.", license=("MIT",), parameters={"seed": 2, "top_k": 1})


def test_preset() -> None:
    """What stands before each request: system prompt, template, licences, options by Ollama's names."""
    fields = """
    system = "Be brief."
    template = "{{ .Prompt }}"
    license = ["MIT", "BSD"]
    [model.options]
    temperature = 0.5
    stop = ["a", "b"]
    num_ctx = 8192
    """
    assert applied(entry(fields), Model(id="m"))["m"].preset == Preset(
        system="Be brief.",
        template="{{ .Prompt }}",
        license=("MIT", "BSD"),
        parameters={"temperature": 0.5, "stop": ["a", "b"], "num_ctx": 8192},
    )


@pytest.mark.parametrize(
    ("size", "count"),
    [("8B", 8_000_000_000), ("1.5b", 1_500_000_000), ("22.7M", 22_700_000), ("2T", 2 * 10**12), ("5K", 5000), ("7", 7)],
)
def test_parameter_size(size: str, count: int) -> None:
    """A number of parameters can be written as people do."""
    assert applied(entry(f'parameter_size = "{size}"'), Model(id="m"))["m"].parameter_count == count


def test_limits() -> None:
    """As many models as are allowed are taken, and are laid over a list without a long wait for each."""
    file = parse("".join(entry(f"size = {number + 1}", f"m{number}") for number in range(10_000)))
    assert len(file.entries) == 10_000
    assert file.apply([Model(id="m9999")])[0].size == 10_000


def test_what_is_remembered_is_bounded() -> None:
    """Names come and go without end; what matches each is remembered for a limited number of them."""
    file = parse(entry("size = 1", "*"))
    for start in range(0, 50_000, 10_000):
        assert {
            model.size for model in file.apply(Model(id=str(number)) for number in range(start, start + 10_000))
        } == {1}
    assert len(file._remembered) <= 20_000  # memory is not seen from without


def test_changes_of_the_list() -> None:
    """What the file says is laid over each new list of the backend alike."""
    file = parse(entry('alias = "a"\ncontext_length = 7', "gpt-4o"))
    assert file.apply([LLAMA]) == [LLAMA]
    assert [model.id for model in file.apply([GPT])] == ["a", "gpt-4o"]
    assert file.apply([LLAMA]) == [LLAMA]


TABLES = st.dictionaries(
    st.sampled_from(
        ["match", "alias", "upstream", "size", "family", "parameter_size", "options", "override", "license"]
    ),
    st.sampled_from(['"m"', '"m*"', '"["', '"8B"', "5", "true", "[]", '["a", "b"]', "{ seed = 1 }", "{}", "1.5", '""']),
)


def written(tables: list[dict[str, str]]) -> str:
    return "\n".join("[[model]]\n" + "\n".join(f"{key} = {value}" for key, value in table.items()) for table in tables)


@given(st.one_of(st.text(), st.lists(TABLES, max_size=4).map(written)))
@example("[[model]]")
@example('[[model]]\nmatch = "[z-a]"')
@example("\ufeff")
def test_any_text(text: str) -> None:
    """Any text is a file that can be laid over models, or a ValueError."""
    try:
        file = parse(text)
    except ValueError:
        return
    assert isinstance(file, ModelsFile)
    models = file.apply([GPT, LLAMA, Model(id="m")])
    assert Directory(models).models == tuple(models)


@given(st.lists(st.text(min_size=1, max_size=20), min_size=1, max_size=5))
def test_any_ids(ids: list[str]) -> None:
    """Whatever the backend calls its models, each stays on offer, and gets what is said of all."""
    models: Any = parse(entry("size = 1", "*")).apply(Model(id=name) for name in ids)
    assert [model.id for model in models] == ids
    assert {model.size for model in models} == {1}


def test_size_of_a_file() -> None:
    """A file may have 1 MiB, whoever reads it."""
    assert MAX_FILE == 1024 * 1024
