"""`think`, in the words of each kind of backend (contract 3.2, 11.1)."""

from __future__ import annotations

from typing import Any

import pytest

from ollama_openai_proxy.translate.openai import thinking
from ollama_openai_proxy.translate.openai.profiles import PROFILES
from ollama_openai_proxy.translate.openai.thinking import Dialect, asked

ON = {"thinking": {"type": "enabled"}}
OFF = {"thinking": {"type": "disabled"}}


@pytest.mark.parametrize(
    ("profile", "model", "think", "expected"),
    [
        # https://platform.openai.com/docs/guides/reasoning
        ("openai", "o3", True, {"reasoning_effort": "medium"}),
        ("openai", "o3", "low", {"reasoning_effort": "low"}),
        ("openai", "o3", "max", {"reasoning_effort": "high"}),
        ("openai", "gpt-4o", False, {}),
        ("generic", "m", True, {"reasoning_effort": "medium"}),
        ("generic", "m", False, {}),
        ("gemini", "gemini-3-pro", "high", {"reasoning_effort": "high"}),
        # https://docs.vllm.ai/en/latest/features/reasoning_outputs.html
        ("vllm", "Qwen/Qwen3-8B", True, {"chat_template_kwargs": {"enable_thinking": True}}),
        ("vllm", "Qwen/Qwen3-8B", False, {"chat_template_kwargs": {"enable_thinking": False}}),
        ("vllm", "ibm-granite/granite-3.2-8b", True, {"chat_template_kwargs": {"thinking": True}}),
        ("vllm", "openai/gpt-oss-20b", "medium", {"reasoning_effort": "medium"}),
        ("vllm", "openai/gpt-oss-20b", False, {}),
        (
            "llamacpp",
            "m",
            "max",
            {"chat_template_kwargs": {"enable_thinking": True, "reasoning_effort": "max"}},
        ),
        ("vllm", "mistralai/Devstral-Small-2507", False, {}),
        ("vllm", "mistralai/Mixtral-8x7B-Instruct-v0.1", True, {}),
        # https://docs.sglang.ai/advanced_features/separate_reasoning.html
        ("sglang", "Qwen/Qwen3-8B", False, {"chat_template_kwargs": {"enable_thinking": False}}),
        # Contract 6.2: `none` is thought switched off, on every model.
        ("ollama", "qwen3:8b", False, {"reasoning_effort": "none"}),
        ("ollama", "qwen3:8b", "max", {"reasoning_effort": "max"}),
        # https://openrouter.ai/docs/use-cases/reasoning-tokens
        ("openrouter", "m", True, {"reasoning": {"enabled": True}}),
        ("openrouter", "m", False, {"reasoning": {"enabled": False}}),
        ("openrouter", "m", "low", {"reasoning": {"effort": "low"}}),
        ("openrouter", "m", "max", {"reasoning": {"effort": "xhigh"}}),
        # https://docs.mistral.ai/capabilities/reasoning
        ("mistral", "mistral-small-latest", "low", {"reasoning_effort": "high"}),
        ("mistral", "mistral-small-latest", False, {}),
        ("mistral", "magistral-small-latest", True, {}),
        # https://docs.together.ai/docs/inference/chat/reasoning
        ("together", "zai-org/GLM-5", False, {"reasoning": {"enabled": False}}),
        ("together", "zai-org/GLM-5", "low", {"reasoning": {"enabled": True}, "reasoning_effort": "low"}),
        ("together", "openai/gpt-oss-120b", True, {"reasoning_effort": "medium"}),
        # https://console.groq.com/docs/reasoning
        ("groq", "qwen/qwen3-32b", "high", {"reasoning_effort": "default"}),
        ("groq", "qwen/qwen3-32b", False, {"reasoning_effort": "none"}),
        ("groq", "openai/gpt-oss-20b", "high", {"reasoning_effort": "high"}),
        # https://api-docs.deepseek.com/guides/thinking_mode
        ("deepseek", "deepseek-flash", True, ON),
        ("deepseek", "deepseek-flash", False, OFF),
        ("deepseek", "deepseek-flash", "max", ON | {"reasoning_effort": "max"}),
        # https://docs.z.ai/guides/capabilities/thinking-mode
        ("zai", "glm-4.7", "high", ON),
        ("zai", "glm-4.7", False, OFF),
        # https://platform.moonshot.ai/docs/guide/use-kimi-k2-thinking-model
        ("moonshot", "kimi-k2.5", False, OFF),
        ("moonshot", "kimi-k3", "medium", {"reasoning_effort": "high"}),
        ("moonshot", "kimi-k3", False, {}),
        ("moonshot", "moonshot-v1-8k", True, {}),
        # https://www.alibabacloud.com/help/en/model-studio/qwen-api-via-openai-chat-completions
        ("dashscope", "qwen-plus", "low", {"enable_thinking": True}),
        ("dashscope", "qwen-plus", False, {"enable_thinking": False}),
        # https://inference-docs.cerebras.ai/capabilities/reasoning
        ("cerebras", "gpt-oss-120b", "low", {"reasoning_effort": "low"}),
        ("cerebras", "zai-glm-4.7", False, {"disable_reasoning": True}),
        ("cerebras", "zai-glm-4.7", "high", {}),
        # https://docs.x.ai/docs/guides/reasoning
        ("xai", "grok-4", True, {}),
        ("xai", "grok-4.3", "low", {"reasoning_effort": "low"}),
        ("xai", "grok-4", False, {}),
    ],
)
def test_thinking_is_asked_for_as_the_backend_takes_it(
    profile: str, model: str, think: bool | str, expected: dict[str, Any]
) -> None:
    """Contract 11.1: the dialect is the vendor's; what it has no word for is not said."""
    assert asked(think, PROFILES[profile].dialect(model)) == expected


DIALECTS = [dialect for profile in PROFILES.values() for dialect in (profile.thinking, *profile.thinking_of.values())]


@pytest.mark.parametrize("think", [True, False, "low", "medium", "high", "max"])
def test_every_dialect_has_a_word_or_says_nothing(think: bool | str) -> None:
    """Contract 3.2: booleans and four levels are all that is asked; none of them is an error anywhere."""
    for dialect in DIALECTS:
        assert all(isinstance(name, str) for name in asked(think, dialect))


def test_asking_leaves_the_table_as_it_is() -> None:
    """Data is shared by all requests: a level is not left in it for the next."""
    before = repr(thinking.TEMPLATE)
    asked("high", thinking.TEMPLATE)["chat_template_kwargs"]["x"] = 1
    assert repr(thinking.TEMPLATE) == before


def test_without_a_dialect_nothing_is_said() -> None:
    """A model that refuses to be asked is not asked."""
    assert [asked(think, Dialect()) for think in (True, False, "low")] == [{}, {}, {}]
