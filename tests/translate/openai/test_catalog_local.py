"""What servers of one's own say of their models at endpoints of their own."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ollama_openai_proxy.errors import UpstreamBroken
from ollama_openai_proxy.translate.models import Model
from ollama_openai_proxy.translate.openai import catalog_local as local
from ollama_openai_proxy.translate.openai.catalog import decode
from ollama_openai_proxy.translate.openai.catalog_litellm import litellm
from ollama_openai_proxy.translate.openai.facts import EMBEDS, Facts, learnt

RECORDINGS = Path(__file__).parents[2] / "recordings"
Decoder = Callable[[bytes], Mapping[str, Facts]]


def told(decoder: Decoder, body: object) -> dict[str, Facts]:
    return dict(decoder(json.dumps(body).encode()))


@pytest.mark.parametrize(
    ("recording", "capabilities"),
    [
        ("llamacpp-props.json", ("completion",)),
        ("llamacpp-props-tools.json", ("completion", "tools")),
        ("llamacpp-props-thinking.json", ("completion", "thinking")),
    ],
)
def test_real_replies_of_llama_cpp(recording: str, capabilities: tuple[str, ...]) -> None:
    """The list and /props of one server together tell all: what its template can't do is known to be missing."""
    (model,) = decode((RECORDINGS / "llamacpp-models.json").read_bytes())
    facts = local.llamacpp((RECORDINGS / recording).read_bytes())
    assert learnt(model, facts[local.EVERY]).capabilities == capabilities
    assert (facts[""].context_length, facts[""].quantization) == (2048, "Q4_1")


@pytest.mark.parametrize(
    ("props", "facts"),
    [
        pytest.param({}, Facts(), id="nothing"),
        pytest.param({"default_generation_settings": {"n_ctx": 1024}}, Facts(context_length=1024), id="context"),
        pytest.param(
            {"modalities": {"vision": True, "audio": None}, "chat_template_caps": {}, "chat_template": ""},
            Facts(can={"vision": True}),
            id="no word on tools",
        ),
        pytest.param(
            {"chat_template": "{% if enable_thinking is false %}", "chat_template_caps": {"supports_tools": True}},
            Facts(can={"tools": True, "thinking": True}),
            id="a switch for thought",
        ),
        pytest.param(
            {"chat_template": "x", "chat_template_caps": {"supports_reasoning_effort": True}},
            Facts(can={"thinking": True}),
            id="effort",
        ),
        pytest.param({"chat_template": "{{ messages }}"}, Facts(can={"thinking": False}), id="no thought"),
        pytest.param(
            {"chat_template": "{{ content.split('</think>')[-1] }}"}, Facts(can={"thinking": True}), id="DeepSeek R1"
        ),
        pytest.param({"chat_template": "[THINK]{{ x }}[/THINK]"}, Facts(can={"thinking": True}), id="Magistral"),
        pytest.param({"chat_template": "{{ message.reasoning }}"}, Facts(), id="a word that may mean it"),
    ],
)
def test_llama_cpp(props: dict[str, Any], facts: Facts) -> None:
    """/props as https://github.com/ggml-org/llama.cpp/tree/master/tools/server documents it; old servers tell less."""
    assert told(local.llamacpp, props) == {"": facts}


LM_STUDIO_V1 = {  # https://lmstudio.ai/docs/developer/rest/list
    "models": [
        {
            "type": "llm",
            "publisher": "lmstudio-community",
            "key": "gemma-3-270m-it-qat",
            "architecture": "gemma3",
            "quantization": {"name": "Q4_0", "bits_per_weight": 4},
            "size_bytes": 241410208,
            "params_string": "270M",
            "loaded_instances": [
                {"id": "gemma-3-270m-it-qat", "config": {"context_length": 4096, "flash_attention": False}},
                {"id": "gemma-3-270m-it-qat:2", "config": {"context_length": 8192}},
                None,
            ],
            "max_context_length": 32768,
            "format": "gguf",
            "capabilities": {"vision": False, "trained_for_tool_use": True, "reasoning": {"allowed_options": ["on"]}},
        },
        {"type": "llm", "key": "plain", "loaded_instances": [], "max_context_length": 1024,
         "capabilities": {"vision": True, "trained_for_tool_use": False, "reasoning": False}},
        {
            "type": "embedding",
            "key": "text-embedding-nomic-embed-text-v1.5-embedding",
            "quantization": None,
            "params_string": None,
            "loaded_instances": [],
            "max_context_length": 2048,
        },
    ]
}  # fmt: skip


def test_lm_studio() -> None:
    """The context that a model is loaded with counts; each of its instances has a name of its own."""
    found = told(local.lmstudio, LM_STUDIO_V1)
    gemma = Facts(
        context_length=4096,
        parameter_count=270_000_000,
        size=241410208,
        quantization="Q4_0",
        family="gemma3",
        format="gguf",
        can={"completion": True, "vision": False, "tools": True, "thinking": True},
    )
    assert found["gemma-3-270m-it-qat"] == gemma
    assert found["gemma-3-270m-it-qat:2"].context_length == 8192
    assert found["plain"] == Facts(context_length=1024, can={"completion": True, "vision": True, "thinking": False})
    assert found["text-embedding-nomic-embed-text-v1.5-embedding"] == Facts(context_length=2048, can=EMBEDS)


def test_older_lm_studio() -> None:
    """/api/v0/models, before 0.4 (https://lmstudio.ai/docs/developer/rest/endpoints): flat, with `state`."""
    vision = {"id": "qwen2-vl", "type": "vlm", "arch": "qwen2_vl", "compatibility_type": "mlx", "quantization": "4bit",
              "state": "not-loaded", "max_context_length": 32768}  # fmt: skip
    llama = {"id": "llama", "type": "llm", "state": "loaded", "max_context_length": 131072,
             "loaded_context_length": 4096, "capabilities": ["tool_use"]}  # fmt: skip
    embed = {"id": "nomic", "type": "embeddings", "max_context_length": 2048, "capabilities": ["tool_use"]}
    assert told(local.lmstudio, {"data": [vision, llama, embed]}) == {
        "qwen2-vl": Facts(
            context_length=32768,
            quantization="4bit",
            family="qwen2_vl",
            format="mlx",
            can={"completion": True, "vision": True},
        ),
        "llama": Facts(context_length=4096, can={"completion": True, "tools": True}),
        "nomic": Facts(context_length=2048, can=EMBEDS),
    }


def test_ollama() -> None:
    """Contract 5.4, 5.5: another Ollama behind the proxy tells all that its models can do, and with what they run."""
    details: dict[str, object] = {"format": "gguf", "family": "llama", "families": ["llama"], "parameter_size": "3.2B"}
    details |= {"quantization_level": "Q4_K_M", "context_length": 131072, "embedding_length": 3072}
    entry = {
        "name": "llama3.2:latest",
        "model": "llama3.2:latest",
        "size": 2019393189,
        "digest": "a",
        "details": details,
    }
    facts = told(local.ollama, {"models": [entry | {"capabilities": ["completion", "tools"]}, {"name": "old:1b"}]})
    model = learnt(Model("llama3.2:latest"), facts["llama3.2:latest"])
    assert model == Model(
        "llama3.2:latest",
        context_length=131072,
        embedding_length=3072,
        parameter_count=3_200_000_000,
        size=2019393189,
        quantization="Q4_K_M",
        family="llama",
        format="gguf",
        capabilities=("completion", "tools"),
    )
    assert facts["old:1b"] == Facts()
    running = told(local.ollama_running, {"models": [{"name": "llama3.2:latest", "context_length": 4096}]})
    assert running == {"llama3.2:latest": Facts(context_length=4096)}


@pytest.mark.parametrize(
    ("decoder", "body", "name", "facts"),
    [
        # https://docs.sglang.ai/basic_usage/native_api.html#Get-Model-Info
        (
            local.sglang,
            {
                "model_path": "qwen/qwen2.5-0.5b-instruct",
                "is_generation": True,
                "has_image_understanding": False,
                "has_audio_understanding": False,
                "model_type": "qwen2",
            },
            "",
            Facts(family="qwen2", can={"completion": True, "vision": False, "audio": False}),
        ),
        (local.sglang, {"model_path": "bge", "is_generation": False}, "", Facts(can=EMBEDS)),
        # https://huggingface.github.io/text-generation-inference
        (
            local.tgi,
            {"model_id": "m", "model_pipeline_tag": "text-generation", "max_input_tokens": 9, "max_total_tokens": 2048},
            "",
            Facts(context_length=2048, can={"vision": False}),
        ),
        (local.tgi, {"max_total_tokens": 2048}, "", Facts(context_length=2048)),
        # https://lite.koboldai.net/koboldcpp_api
        (local.koboldcpp, {"value": 8192}, "", Facts(context_length=8192)),
        (
            local.koboldcpp_version,
            {"result": "KoboldCpp", "version": "1.99", "vision": True, "audio": False},
            "",
            Facts(can={"vision": True, "audio": False}),
        ),
        # https://theroyallab.github.io/tabbyAPI
        (
            local.tabby,
            {"id": "qwen", "owned_by": "tabbyAPI", "parameters": {"max_seq_len": 32768, "use_vision": False}},
            "qwen",
            Facts(context_length=32768, can={"vision": False}),
        ),
        (local.tabby, {"id": "qwen", "parameters": None}, "qwen", Facts()),
        # https://docs.x.ai/docs/api-reference#list-language-models
        (
            local.listed,
            {"models": [{"id": "grok", "input_modalities": ["text", "image"], "output_modalities": ["text"]}]},
            "grok",
            Facts(can={"vision": True, "audio": False, "completion": True}),
        ),
    ],
)  # fmt: skip
def test_other_servers(decoder: Decoder, body: dict[str, Any], name: str, facts: Facts) -> None:
    """As their makers document them; the pages stand beside each."""
    assert told(decoder, body) == {name: facts}


DECODERS = (
    *(local.llamacpp, local.koboldcpp, local.koboldcpp_version, local.tabby, local.tgi, local.sglang),
    *(local.ollama, local.ollama_running, local.lmstudio, local.listed, litellm),
)
NAMES = st.sampled_from(
    [
        *("data", "models", "id", "name", "key", "model_info", "capabilities", "type", "details", "meta", "limits"),
        *("loaded_instances", "config", "quantization", "parameters", "modalities", "chat_template_caps", "providers"),
        *("chat_template", "default_generation_settings", "context_length", "max_input_tokens", "params_string"),
    ]
)
LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | NAMES
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=5), max_leaves=12
)


@settings(max_examples=60, deadline=None)
@given(VALUES)
def test_any_json_is_facts_or_an_error(value: Any) -> None:
    """H28: whatever a backend answers, it is facts, or no such answer."""
    for inner in (value, {"data": [value]}, {"models": [value]}):
        body = json.dumps(inner).encode()
        for decoder in (*DECODERS, lambda body: {model.id: Facts() for model in decode(body)}):
            with contextlib.suppress(UpstreamBroken):
                for facts in decoder(body).values():
                    learnt(Model("m"), facts)


@pytest.mark.parametrize("decoder", DECODERS)
@pytest.mark.parametrize("body", [b"", b"<html>", b"[", b'"text"', b"7", b'{"error":"Unexpected endpoint"}'])
def test_what_is_no_such_body(decoder: Decoder, body: bytes) -> None:
    """LM Studio answers 200 with an error at paths that it does not know, others a page."""
    with pytest.raises(UpstreamBroken):
        decoder(body)
