"""What each vendor's list tells of a model; the pages that document the lists stand beside them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ollama_openai_proxy.translate.models import Model
from ollama_openai_proxy.translate.openai.catalog import decode


def one(entry: dict[str, Any]) -> Model:
    (model,) = decode(json.dumps({"object": "list", "data": [{"id": "m", **entry}]}).encode())
    return model


LISTS = [
    pytest.param(  # https://platform.openai.com/docs/api-reference/models/list
        {"object": "model", "created": 1686935002, "owned_by": "openai"},
        Model("m", created=1686935002, owned_by="openai"),
        id="OpenAI",
    ),
    pytest.param(  # https://docs.vllm.ai/en/latest/serving/openai_compatible_server.html
        {"created": 1776338760, "owned_by": "vllm", "root": "m", "parent": None, "max_model_len": 32768},
        Model("m", created=1776338760, owned_by="vllm", context_length=32768),
        id="vLLM",
    ),
    pytest.param(  # https://docs.sglang.ai/basic_usage/openai_api_completions.html
        {"owned_by": "sglang", "root": "qwen/qwen2.5-0.5b-instruct", "max_model_len": 32768},
        Model("m", owned_by="sglang", context_length=32768),
        id="SGLang",
    ),
    pytest.param(  # https://openrouter.ai/docs/api-reference/list-available-models
        {
            "created": 1741569952,
            "context_length": 163840,
            "architecture": {
                "modality": "text+image->text",
                "input_modalities": ["text", "image"],
                "output_modalities": ["text"],
                "tokenizer": "Qwen",
            },
            "top_provider": {"context_length": 131072, "max_completion_tokens": 8192, "is_moderated": False},
            "supported_parameters": ["max_tokens", "tools", "tool_choice", "reasoning", "include_reasoning"],
        },
        Model(
            "m",
            created=1741569952,
            context_length=131072,
            capabilities=("completion", "tools", "vision", "thinking"),
            unsaid=("insert",),
        ),
        id="OpenRouter: what the provider serves counts",
    ),
    pytest.param(
        {
            "context_length": None,
            "top_provider": {"context_length": 8192},
            "supported_parameters": ["stop"],
            "architecture": {"input_modalities": ["text"], "output_modalities": ["text"]},
        },
        Model("m", context_length=8192, capabilities=("completion",), unsaid=("insert",)),
        id="OpenRouter, no tools",
    ),
    pytest.param(
        {"supported_parameters": [], "architecture": {"output_modalities": ["image"]}},
        Model("m", capabilities=("image",)),
        id="OpenRouter, images only",
    ),
    pytest.param({"context_window": 131072, "active": True}, Model("m", context_length=131072), id="Groq"),
    pytest.param(  # https://docs.together.ai/reference/models-1
        {"type": "chat", "context_length": 131072, "organization": "Meta", "pricing": {"input": 0.88}},
        Model("m", context_length=131072, offers=("completion",)),
        id="Together",
    ),
    pytest.param(
        {"type": "embedding", "context_length": 8192},
        Model("m", context_length=8192, capabilities=("embedding",)),
        id="Together, embeddings",
    ),
    pytest.param(  # https://docs.mistral.ai/api/endpoint/models
        {
            "owned_by": "mistralai",
            "capabilities": {
                "completion_chat": True,
                "function_calling": True,
                "reasoning": False,
                "completion_fim": True,
                "fine_tuning": False,
                "vision": False,
                "ocr": False,
                "classification": False,
                "audio": False,
            },
            "max_context_length": 256000,
            "aliases": ["codestral-latest"],
            "type": "base",
        },
        Model("m", owned_by="mistralai", context_length=256000, capabilities=("completion", "tools", "insert")),
        id="Mistral",
    ),
    pytest.param(
        {"capabilities": {"completion_chat": True, "function_calling": True, "completion_fim": False, "vision": True}},
        Model("m", offers=("completion", "tools", "vision"), lacks=("insert",)),
        id="Mistral, before it told of reasoning",
    ),
    pytest.param(  # https://docs.fireworks.ai/api-reference/list-models
        {
            "kind": "HF_BASE_MODEL",
            "supports_chat": True,
            "supports_image_input": False,
            "supports_tools": True,
            "context_length": 131072,
        },
        Model("m", context_length=131072, offers=("completion", "tools"), lacks=("vision",)),
        id="Fireworks",
    ),
    pytest.param(  # https://deepinfra.com/docs/openai_api
        {"owned_by": "deepinfra", "metadata": {"context_length": 163840, "max_tokens": 16384, "tags": ["vision", "x"]}},
        Model("m", owned_by="deepinfra", context_length=163840, offers=("vision",)),
        id="DeepInfra",
    ),
    pytest.param(  # https://novita.ai/docs/api-reference/model-apis-llm-list-models
        {
            "context_size": 131072,
            "model_type": "chat",
            "endpoints": ["chat/completions"],
            "features": ["function-calling", "reasoning", "serverless"],
            "input_modalities": ["text"],
            "output_modalities": ["text"],
        },
        Model("m", context_length=131072, capabilities=("completion", "tools", "thinking"), unsaid=("insert",)),
        id="Novita",
    ),
    pytest.param(  # https://huggingface.co/docs/inference-providers/index
        {
            "owned_by": "zai-org",
            "architecture": {"input_modalities": ["text"], "output_modalities": ["text"]},
            "providers": [
                {"provider": "novita", "status": "live", "context_length": 1048576, "supports_tools": True},
                {"provider": "baseten", "status": "live", "context_length": 131072, "supports_tools": True},
                {"provider": "gone", "status": "error", "context_length": 4096, "supports_tools": False},
            ],
        },
        Model(
            "m",
            owned_by="zai-org",
            context_length=131072,
            offers=("completion", "tools"),
            lacks=("vision", "audio"),
        ),
        id="Hugging Face router: what each provider serves",
    ),
    pytest.param(
        {"providers": [{"supports_tools": True}, {"supports_tools": False}, {"status": "live"}, None]},
        Model("m"),
        id="Hugging Face router: providers that differ",
    ),
    pytest.param(  # https://docs.anthropic.com/en/api/models-list
        {
            "type": "model",
            "display_name": "Claude",
            "created_at": "2025-02-19T00:00:00Z",
            "max_input_tokens": 200000,
            "max_tokens": 64000,
            "capabilities": {"image_input": {"supported": True}, "thinking": {"supported": True, "types": {}}},
        },
        Model("m", context_length=200000, offers=("vision", "thinking")),
        id="Anthropic",
    ),
    pytest.param(  # https://docs.venice.ai/api-reference/endpoint/models/list
        {
            "type": "text",
            "model_spec": {
                "availableContextTokens": 65536,
                "capabilities": {"supportsFunctionCalling": True, "supportsVision": False, "supportsReasoning": True},
            },
        },
        Model("m", context_length=65536, capabilities=("completion", "tools", "thinking"), unsaid=("insert",)),
        id="Venice",
    ),
    pytest.param(  # https://platform.moonshot.ai/docs/api/list-models
        {"context_length": 262144, "supports_image_in": True, "supports_video_in": True, "supports_reasoning": True},
        Model("m", context_length=262144, offers=("vision", "thinking")),
        id="Moonshot",
    ),
    pytest.param(  # https://learn.microsoft.com/en-us/rest/api/azureopenai/models/list
        {"capabilities": {"inference": True, "completion": False, "chat_completion": False, "embeddings": True}},
        Model("m", capabilities=("embedding",)),
        id="Azure, embeddings",
    ),
    pytest.param(  # https://docs.github.com/en/rest/models/catalog
        {
            "capabilities": ["streaming", "tool-calling"],
            "limits": {"max_input_tokens": 131072, "max_output_tokens": 4096},
            "supported_input_modalities": ["text", "image"],
            "supported_output_modalities": ["text"],
        },
        Model("m", context_length=131072, offers=("completion", "tools", "vision"), lacks=("audio",)),
        id="GitHub Models",
    ),
    pytest.param(  # https://vercel.com/docs/ai-gateway/models-and-providers
        {"type": "language", "context_window": 200000, "tags": ["reasoning", "tool-use", "vision", "file-input"]},
        Model(
            "m", context_length=200000, capabilities=("completion", "tools", "vision", "thinking"), unsaid=("insert",)
        ),
        id="Vercel",
    ),
    pytest.param(  # https://github.com/chutesai: OpenRouter's form for providers
        {
            "max_model_len": 40960,
            "input_modalities": ["text"],
            "output_modalities": ["text"],
            "supported_features": ["json_mode", "tools", "reasoning"],
        },
        Model("m", context_length=40960, capabilities=("completion", "tools", "thinking"), unsaid=("insert",)),
        id="Chutes",
    ),
    pytest.param(
        {"architecture": {"modality": "text+image->text"}},
        Model("m", offers=("completion", "vision"), lacks=("audio",)),
        id="Nebius, modalities in one text",
    ),
    pytest.param({"max_context_length": 4096, "state": "loaded"}, Model("m", context_length=4096), id="LM Studio"),
    pytest.param(
        {"owned_by": "tabbyAPI", "parameters": {"max_seq_len": 32768}},
        Model("m", owned_by="tabbyAPI", context_length=32768),
        id="TabbyAPI",
    ),
    pytest.param({"owned_by": "google", "object": "model"}, Model("m", owned_by="google"), id="Google"),
    pytest.param(
        {"meta": {"n_ctx": 2048, "n_ctx_train": 8192, "architecture": "llama"}},
        Model("m", context_length=2048, family="llama"),
        id="llama.cpp serves less than the model was trained for",
    ),
    pytest.param({"meta": {"n_ctx_train": 8192}}, Model("m", context_length=8192), id="older llama.cpp"),
]


@pytest.mark.parametrize(("entry", "model"), LISTS)
def test_each_vendor_says_what_it_knows_in_its_own_fields(entry: dict[str, Any], model: Model) -> None:
    """Everything a backend tells is kept, and what it does not tell is not known (vendors' pages beside each list)."""
    assert one(entry) == model
