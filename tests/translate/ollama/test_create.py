"""An alias, made of what a client asks for (contract 5.13, 5.14)."""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ollama_openai_proxy.errors import InvalidRequest
from ollama_openai_proxy.translate.aliases import Alias, applied
from ollama_openai_proxy.translate.models import NO_PRESET, Model, Preset
from ollama_openai_proxy.translate.ollama import create
from ollama_openai_proxy.translate.ollama.catalog import digest
from ollama_openai_proxy.translate.ollama.management import CreateRequest, decode

BASE = Model(id="gpt", context_length=8192)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
FIELDS = tuple(CreateRequest.__struct_encode_fields__)


def request(**fields: Any) -> CreateRequest:
    return decode(json.dumps(fields).encode(), CreateRequest)


def made(base: Model = BASE, alias: Alias | None = None, **fields: Any) -> Alias:
    return create.made(request(**fields), "new:latest", base, alias, 1000)


def whole(fields: dict[str, Any]) -> Alias:
    """All that is done with a request."""
    asked = request(**fields)
    create.check(asked)
    create.base_of(asked)
    return create.made(asked, "new:latest", BASE, None, 0)


def refused(**fields: Any) -> str:
    with pytest.raises(InvalidRequest) as raised:
        whole(fields)
    assert raised.value.status == 400
    return raised.value.message


def test_plain() -> None:
    """Contract 5.13: a model from another, with nothing of its own, is that under another name."""
    assert made() == Alias("new:latest", "gpt", 1000, parent="gpt:latest")


def test_own_settings() -> None:
    """Contract 5.13: system, template, licence, parameters and messages are kept as they were given."""
    messages = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Yes?"}]
    parameters = {"temperature": 0, "stop": ["a", "b"], "unknown": "kept", "seed": None}
    alias = made(system="Be brief.", template="{{ .Prompt }}", license="MIT", parameters=parameters, messages=messages)
    assert alias.preset == Preset(
        system="Be brief.",
        template="{{ .Prompt }}",
        license=("MIT",),
        parameters={"temperature": 0, "stop": ["a", "b"], "unknown": "kept"},
        messages=tuple(messages),
    )


def test_inherits() -> None:
    """Contract 5.13: what is not given is the base's; parameters merge key by key, messages replace all."""
    first = made(system="A", template="T", license=["x", "y"], parameters={"seed": 1, "top_k": 2}, messages=[USER])
    base = applied(first, BASE)
    second = create.made(request(system="", parameters={"seed": 3}), "b:latest", base, first, 2000)
    assert second.preset == Preset("A", "T", ("x", "y"), {"seed": 3, "top_k": 2}, (USER,))
    assert (second.upstream, second.parent, second.modified) == ("gpt", "new:latest", 2000)
    third = create.made(request(system="B", messages=[TOOL_CALL], license="z"), "c:latest", base, first, 0)
    assert third.preset == Preset("B", "T", ("z",), {"seed": 1, "top_k": 2}, (TOOL_CALL,))


USER = {"role": "user", "content": "Hi"}
TOOL_CALL = {
    "role": "assistant",
    "content": "",
    "tool_calls": [{"id": "c1", "function": {"index": 0, "name": "f", "arguments": {"a": [1]}}}],
}


def test_messages_are_kept_whole() -> None:
    """Contract 3.5: a message keeps its calls, as they came, and no key that it did not have."""
    calls: list[dict[str, Any]] = [{"function": {"name": "f"}}, {"id": "c2"}]
    bare = {"role": "assistant", "content": "x", "tool_calls": calls}
    answer = {"role": "tool", "content": "1", "tool_name": "f", "tool_call_id": "c1"}
    kept = made(messages=[USER, TOOL_CALL, answer, bare]).preset.messages
    assert kept == (USER, TOOL_CALL, answer, bare)


def test_arguments_that_are_no_json() -> None:
    """Bad input: a number that nothing can hold is refused, wherever it stands."""
    body = (
        b'{"messages": [{"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": {"a": 1e999}}}]}]}'
    )
    with pytest.raises(InvalidRequest):
        create.made(decode(body, CreateRequest), "n:latest", BASE, None, 0)


def test_info() -> None:
    """Contract 5.13: what a client tells of its model is told on; zero and "" are nothing told."""
    info = {
        "capabilities": ["completion", "vision"],
        "model_family": "llama",
        "base_name": "x",
        "quantization_level": "Q4_0",
        "parameter_size": "7.5B",
        "context_length": 4096.0,
        "embedding_length": 0,
        "other": [],
    }
    alias = made(info=info)
    assert alias == Alias(
        "new:latest",
        "gpt",
        1000,
        parent="gpt:latest",
        context_length=4096,
        family="llama",
        quantization="Q4_0",
        parameter_count=7_500_000_000,
        capabilities=("completion", "vision"),
    )
    again = create.made(request(info={"context_length": 1}), "b:latest", applied(alias, BASE), alias, 0)
    assert (again.context_length, again.family) == (1, "llama")
    assert made(info={"parameter_size": "", "capabilities": []}) == made()


@pytest.mark.parametrize(("text", "count"), [("22m", 22_000_000), ("500 ", 500), ("1K", 1000), ("1T", 10**12)])
def test_parameter_size(text: str, count: int) -> None:
    """Contract 5.4: a number of parameters comes as people write it."""
    assert made(info={"parameter_size": text}).parameter_count == count


@pytest.mark.parametrize(
    ("info", "words"),
    [
        ({"context_length": "1"}, 'info field "context_length" must be a number'),
        ({"context_length": True}, 'info field "context_length" must be a number'),
        ({"embedding_length": None}, 'info field "embedding_length" must be a number'),
        ({"context_length": -1}, 'info field "context_length" must be a non-negative integer'),
        ({"context_length": 1.5}, 'info field "context_length" must be a non-negative integer'),
        ({"context_length": 1e300}, 'info field "context_length" must be a non-negative integer'),
        ({"model_family": 1}, 'info field "model_family" must be a string'),
        ({"base_name": []}, 'info field "base_name" must be a string'),
        ({"capabilities": "vision"}, 'info field "capabilities" must be an array of strings'),
        ({"capabilities": ["a", 1]}, 'info field "capabilities" element 1 must be a string'),
        ({"parameter_size": "many"}, 'info field "parameter_size" must be a number such as 7B'),
        ({"parameter_size": "9300000000B"}, 'info field "parameter_size" must be a non-negative integer'),
    ],
)
def test_info_of_a_wrong_type(info: dict[str, Any], words: str) -> None:
    """Contract 5.13: a field of `info` of the wrong type is a 400 that names it."""
    assert refused(**{"from": "gpt"}, info=info) == words


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({}, "neither 'from' or 'files' was specified"),
        ({"from": ""}, "neither 'from' or 'files' was specified"),
        ({"files": {"/etc/m.gguf": "sha256:x"}}, "file path must be relative"),
        ({"files": {"a/../../m.gguf": "sha256:x"}}, "file path must be relative"),
        ({"files": {"": "sha256:x"}}, "file path must be relative"),
        ({"draft_files": {"m.gguf": ""}}, "invalid digest format"),
        ({"files": {"m.gguf": ""}}, "invalid digest format"),
        (
            {"files": {"m.gguf": 5}},
            "json: cannot unmarshal number into Go struct field CreateRequest.files of type string",
        ),
        ({"from": "gpt", "draft_quantize": "q4_0"}, "--draft-quantize requires a DRAFT model"),
        ({"from": "gpt", "parameters": {"seed": "x"}}, 'option "seed" must be of type integer'),
        ({"from": "gpt", "license": 5}, "license must be a string or an array of strings"),
        ({"from": "gpt", "license": ["MIT", 5]}, "license must be a string or an array of strings"),
    ],
)
def test_refused_in_ollamas_words(fields: dict[str, Any], words: str) -> None:
    """Contract 5.13: what Ollama refuses is refused in its words, with 400."""
    assert refused(**fields) == words


@pytest.mark.parametrize(
    "fields",
    [
        {"files": {"m.gguf": "sha256:x"}},
        {"from": "gpt", "adapters": {"a": "sha256:x"}},
        {"from": "gpt", "draft_files": {"d.gguf": "sha256:x"}},
        {"from": "gpt", "quantize": "q4_K_M"},
        {"from": "gpt", "quantization": "q4_K_M"},
        {"from": "gpt", "remote_host": "https://ollama.com"},
    ],
)
def test_what_needs_weights(fields: dict[str, Any]) -> None:
    """Contract 5.13: what needs weights is refused with a 400 that says which field, and why."""
    field = next(field for field in fields if field != "from")
    assert refused(**fields).startswith(f"'{field}' is not supported: this server keeps no weights")


def test_unset_fields() -> None:
    """Contract 10.2: Go clients send every key; "", null and {} are nothing asked for."""
    empty: dict[str, Any] = {
        "files": {},
        "adapters": None,
        "draft_files": {},
        "quantize": "",
        "info": None,
    }
    asked = request(**{"from": "gpt"}, **empty, remote_host="", license=None, parameters=None, messages=None)
    create.check(asked)
    assert create.base_of(asked) == "gpt"
    assert create.made(asked, "n:latest", BASE, None, 0).preset == NO_PRESET


def test_bad_role() -> None:
    """Contract 3.5: a message that no chat would take is refused before it is kept."""
    assert "role" in refused(**{"from": "gpt"}, messages=[{"role": "", "content": "x"}])


def test_copy() -> None:
    """Contract 5.14: a copy is the same model under another name; of an alias, with all that it is."""
    copy = create.copied("b:latest", BASE, None, 5)
    assert copy == Alias("b:latest", "gpt", 5)
    file = Model(id="fast", upstream="gpt", parent="gpt:latest", context_length=1000)
    assert create.copied("b:latest", file, None, 5) == Alias("b:latest", "gpt", 5, parent="fast:latest")
    alias = made(system="A", info={"context_length": 10})
    again = create.copied("c:x", applied(alias, BASE), alias, 6)
    assert again == msgspec.structs.replace(alias, name="c:x", modified=6)


def test_layers() -> None:
    """Contract 5.13: a layer is named by the sha256 of what is kept; what the base has is not new."""
    base = applied(made(system="A", parameters={"seed": 1}), BASE)
    preset = made(base, license="MIT", parameters={"top_k": 2}).preset

    def sha(text: str) -> str:
        return hashlib.sha256(text.encode()).hexdigest()

    assert create.layers(base, preset) == [
        (digest(base), False),
        (sha("A"), False),
        (sha("MIT"), True),
        (sha('{"seed":1,"top_k":2}'), True),
    ]
    assert create.layers(BASE, NO_PRESET) == [(digest(BASE), False)]


@given(st.dictionaries(st.sampled_from(FIELDS), JSON, max_size=6))
def test_whatever_is_asked(fields: dict[str, Any]) -> None:
    """Bad input: any fields at all make an alias, which can be written, or are refused."""
    with suppress(InvalidRequest):
        alias = whole(fields)
        assert msgspec.json.decode(msgspec.json.encode(alias), type=Alias) == alias
