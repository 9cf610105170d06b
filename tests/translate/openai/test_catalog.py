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


@pytest.mark.parametrize(
    ("entry", "model"),
    [
        pytest.param(
            {"object": "model", "created": 1686935002, "owned_by": "openai"},
            Model("m", created=1686935002, owned_by="openai"),
            id="OpenAI",
        ),
        pytest.param(
            {"created": 1776338760, "owned_by": "vllm", "root": "m", "parent": None, "max_model_len": 32768},
            Model("m", created=1776338760, owned_by="vllm", context_length=32768),
            id="vLLM",
        ),
        pytest.param(
            {
                "created": 1741569952,
                "context_length": 163840,
                "architecture": {"modality": "text+image->text", "input_modalities": ["text", "image"],
                                 "output_modalities": ["text"], "tokenizer": "Qwen"},
                "top_provider": {"context_length": 131072, "max_completion_tokens": 8192, "is_moderated": False},
                "supported_parameters": ["max_tokens", "tools", "tool_choice", "reasoning", "include_reasoning"],
            },
            Model("m", created=1741569952, context_length=163840, vision=True,
                  capabilities=("completion", "tools", "vision", "thinking")),
            id="OpenRouter",
        ),
        pytest.param(
            {"context_length": None, "top_provider": {"context_length": 8192}, "supported_parameters": ["stop"],
             "architecture": {"input_modalities": ["text"], "output_modalities": ["text"]}},
            Model("m", context_length=8192, capabilities=("completion",)),
            id="OpenRouter, the provider's context, no tools",
        ),
        pytest.param(
            {"supported_parameters": [], "architecture": {"output_modalities": ["image"]}},
            Model("m", capabilities=()),
            id="OpenRouter, images only",
        ),
        pytest.param({"context_window": 131072, "active": True}, Model("m", context_length=131072), id="Groq"),
        pytest.param({"max_context_length": 4096, "state": "loaded"}, Model("m", context_length=4096), id="LM Studio"),
        pytest.param(
            {"meta": {"n_ctx": 2048, "n_ctx_train": 8192, "architecture": "llama"}},
            Model("m", context_length=2048, family="llama"),
            id="llama.cpp serves less than the model was trained for",
        ),
        pytest.param({"meta": {"n_ctx_train": 8192}}, Model("m", context_length=8192), id="older llama.cpp"),
    ],
)  # fmt: skip
def test_each_vendor_says_what_it_knows_in_its_own_fields(entry: dict[str, Any], model: Model) -> None:
    """Everything a backend tells is kept, and what it does not tell is not known."""
    assert one(entry) == model


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
        pytest.param({"supported_parameters": [{}, None, 7]}, Model("m", capabilities=("completion",)), id="items"),
        pytest.param({"meta": {"ftype": "", "architecture": ""}}, Model("m"), id="empty text is not known"),
    ],
)
def test_fields_of_another_kind_are_not_known(entry: dict[str, Any], model: Model) -> None:
    """A vendor may use the same name for something else; the model is listed all the same."""
    assert one(entry) == model


@pytest.mark.parametrize("key", ["include_reasoning", "reasoning"])
def test_either_parameter_for_reasoning_means_thinking(key: str) -> None:
    """OpenRouter lists both, but other gateways one of them."""
    assert one({"supported_parameters": [key]}).capabilities == ("completion", "thinking")


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
        pytest.param(b'{"data":null}', "the upstream's list of models is no list", id="H28 null"),
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
    assert (model.quantization, model.vision, model.capabilities) == ("Q4_1", False, None)
    assert model.size is not None
