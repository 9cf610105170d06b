"""Lists of models as backends answer them (row H28)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ollama_openai_proxy.errors import UpstreamBroken
from ollama_openai_proxy.translate.models import Model
from ollama_openai_proxy.translate.openai.catalog import decode

RECORDINGS = Path(__file__).parents[2] / "recordings"


def one(entry: dict[str, Any]) -> Model:
    (model,) = decode(json.dumps({"object": "list", "data": [{"id": "m", **entry}]}).encode())
    return model


def test_adapters_have_the_context_of_their_base() -> None:
    """vLLM lists an adapter with its `parent` and without a length: it is served with the base's."""
    base = {"id": "base", "owned_by": "vllm", "root": "base", "parent": None, "max_model_len": 8192}
    adapter = {"id": "sql", "owned_by": "vllm", "root": "/loras/sql", "parent": "base", "max_model_len": None}
    models = decode(json.dumps({"data": [adapter, base]}).encode())
    assert [(model.id, model.context_length) for model in models] == [("sql", 8192), ("base", 8192)]


def test_llama_cpp_says_more_beside_its_list() -> None:
    """Its answer has `models` too, in the form of `/api/tags`; what is empty there is not known."""
    details = {"family": "", "parameter_size": "7B", "quantization_level": "", "format": "gguf"}
    body = {"models": [{"name": "m", "capabilities": ["completion", "multimodal"], "details": details}, None]}
    (model,) = decode(json.dumps(body | {"data": [{"id": "m", "owned_by": "llamacpp"}]}).encode())
    known = Model("m", owned_by="llamacpp", format="gguf", parameter_count=7 * 10**9, offers=("completion",))
    assert model == known


@pytest.mark.parametrize(
    ("value", "count"),
    [(1, 1), (5.0, 5), (5.5, None), (0, None), (-5, None), (True, None), ("5", None), (None, None), (2**63, None)],
    ids=repr,
)
def test_counts_are_positive_whole_numbers_or_unknown(value: Any, count: int | None) -> None:
    """H26: `created` comes as an integer, a float or nonsense; zero and what fits no 64 bits is no date and no size."""
    assert one({"created": value}).created == count
    assert one({"max_model_len": value}).context_length == count


def test_numbers_that_json_does_not_have_are_unknown() -> None:
    """A Python backend may write NaN or Infinity."""
    (model,) = decode(b'{"data":[{"id":"m","created":NaN,"max_model_len":Infinity}]}')
    assert model == Model("m")


@pytest.mark.parametrize(
    ("entry", "model"),
    [
        pytest.param({"owned_by": None, "meta": None, "top_provider": None}, Model("m"), id="null"),
        pytest.param({"owned_by": 7, "meta": [], "architecture": "x", "top_provider": 1}, Model("m"), id="other kinds"),
        pytest.param({"supported_parameters": "tools"}, Model("m"), id="parameters are no list"),
        pytest.param({"architecture": {"input_modalities": "image"}}, Model("m"), id="modalities are no list"),
        pytest.param({"supported_parameters": [{}, None, 7]}, Model("m"), id="items"),
        pytest.param({"meta": {"ftype": "", "architecture": ""}}, Model("m"), id="empty text is not known"),
    ],
)
def test_fields_of_another_kind_are_not_known(entry: dict[str, Any], model: Model) -> None:
    """A vendor may use the same name for something else; the model is listed all the same."""
    assert one(entry) == model


@pytest.mark.parametrize("key", ["include_reasoning", "reasoning"])
def test_either_parameter_for_reasoning_means_thinking(key: str) -> None:
    """OpenRouter lists both, but other gateways one of them."""
    model = one({"supported_parameters": [key]})
    assert (model.offers, model.lacks) == (("thinking",), ("tools",))


@pytest.mark.parametrize(
    ("reply", "ids"),
    [
        pytest.param({"data": [{"id": "a"}, {"id": "b"}]}, ["a", "b"], id="OpenAI"),
        pytest.param([{"id": "a"}], ["a"], id="Together: a bare list"),
        pytest.param({"models": [{"id": "a"}]}, ["a"], id="under models"),
        pytest.param({"data": [], "models": [{"id": "a"}]}, [], id="data comes first"),
        pytest.param({"data": [{"id": "a"}, {"id": None}, {}, "b", None, {"id": ""}, {"id": 7}]}, ["a"], id="no id"),
        pytest.param({"data": []}, [], id="H28 empty"),
    ],
)
def test_every_model_with_an_id_is_listed(reply: Any, ids: list[str]) -> None:
    """H28: an entry that names no model is left out, and spoils nothing."""
    assert [model.id for model in decode(json.dumps(reply).encode())] == ids


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        pytest.param(b"", "the upstream sent invalid JSON", id="nothing"),
        pytest.param(b"<html></html>", "the upstream sent invalid JSON", id="a page"),
        pytest.param(b'{"data":[{"id":"a"}', "the upstream sent invalid JSON", id="half"),
        pytest.param(b"\xff\xfe\xff", "the upstream sent invalid JSON", id="no text"),
        pytest.param(b'{"data":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "the upstream sent invalid JSON", id="deep"),
        pytest.param(b'{"data":' + b"9" * 5000 + b"}", "the upstream sent invalid JSON", id="too many digits"),
        pytest.param(b"{}", "the upstream's list of models is no list", id="H28 no data"),
        pytest.param(
            b'{"data":' + b"[" + b"0," * 50_000 + b"0]}", "the upstream lists more than 50000 models", id="long"
        ),
        pytest.param(b'{"data":{"id":"a"}}', "the upstream's list of models is no list", id="H28 an object"),
        pytest.param(b'"models"', "the upstream's list of models is no list", id="text"),
        pytest.param(b'{"error":{"message":"no"}}', "the upstream's list of models is no list", id="error under 200"),
    ],
)
def test_what_is_no_list_is_refused(reply: bytes, message: str) -> None:
    """H28: a list that can't be read is a failure that a cache can outlast, not an empty catalogue."""
    with pytest.raises(UpstreamBroken) as caught:
        decode(reply)
    assert (caught.value.message, caught.value.status) == (message, 502)


def test_names_that_utf8_cannot_hold_are_mended() -> None:
    """A list with half a surrogate pair in it can be written again."""
    assert [model.id for model in decode(b'{"data":[{"id":"m\\ud800"}]}')] == ["m\ufffd"]


def test_a_byte_order_mark_is_no_part_of_the_list() -> None:
    """Some servers begin their JSON with one."""
    assert [model.id for model in decode(b'\xef\xbb\xbf{"data":[{"id":"m"}]}')] == ["m"]


def test_ten_thousand_models_are_listed() -> None:
    """H28: a gateway's catalogue may be 10 MB."""
    reply = json.dumps({"data": [{"id": f"m{number}", "description": "x" * 1000} for number in range(10_000)]})
    assert len(decode(reply.encode())) == 10_000


def test_a_real_reply_of_llama_cpp() -> None:
    """llama.cpp describes the file that it has loaded."""
    (model,) = decode((RECORDINGS / "llamacpp-models.json").read_bytes())
    assert (model.id, model.owned_by, model.context_length) == ("smollm2:135m", "llamacpp", 2048)
    assert (model.embedding_length, model.parameter_count) == (576, 134515008)
    assert (model.quantization, model.format, model.capabilities) == ("Q4_1", "gguf", None)
    assert (model.offers, model.lacks) == (("completion",), ("vision", "audio"))
    assert model.size is not None


def test_null_is_a_list_without_models() -> None:
    """Contract 6.5: an Ollama server that has no models answers `"data": null`."""
    assert decode(b'{"object":"list","data":null}') == []


def test_adapters_of_any_order() -> None:
    """vLLM does not say of an adapter what holds for the model below it, which may come later in the list."""
    entries = [{"id": "lora", "parent": "base"}, {"id": "own", "parent": "base", "max_model_len": 5}]
    found = decode(json.dumps({"data": [*entries, {"id": "base", "max_model_len": 9}]}).encode())
    assert [model.context_length for model in found] == [9, 5, 9]
