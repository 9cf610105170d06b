"""What a profile says of a model, by its name."""

from __future__ import annotations

import pytest

from ollama_openai_proxy.translate.openai.profile import Profile
from ollama_openai_proxy.translate.openai.profiles import PROFILES
from ollama_openai_proxy.translate.openai.thinking import EFFORT, TEMPLATE, TEMPLATE_THINKING, TYPE, UNASKED


@pytest.mark.parametrize(
    ("profile", "model", "dialect"),
    [
        ("vllm", "Qwen/Qwen3-8B", TEMPLATE),
        ("vllm", "openai/gpt-oss-20b", EFFORT),
        ("vllm", "deepseek-ai/DeepSeek-V3.1", TEMPLATE_THINKING),
        ("vllm", "ibm-granite/granite-3.2-8b-instruct", TEMPLATE_THINKING),
        ("moonshot", "kimi-k2.6", TYPE),
        ("moonshot", "moonshot-v1-8k", UNASKED),
        ("mistral", "magistral-medium-latest", UNASKED),
        ("openai", "", EFFORT),
    ],
)
def test_models_of_one_backend_are_asked_to_think_in_their_own_ways(profile: str, model: str, dialect: object) -> None:
    """https://docs.vllm.ai/en/latest/features/reasoning_outputs.html: the switch is the template's, and they differ."""
    assert PROFILES[profile].dialect(model) is dialect


REFUSED = frozenset({"temperature", "top_p", "presence_penalty", "frequency_penalty"})


@pytest.mark.parametrize(
    ("profile", "model", "refused"),
    [
        ("openai", "o3", REFUSED),
        ("openai", "o4-mini-2025-04-16", REFUSED),
        ("openai", "gpt-5", REFUSED),
        ("openai", "GPT-5-mini", REFUSED),
        ("openai", "gpt-5-chat-latest", frozenset()),
        ("openai", "gpt-5.2", frozenset()),
        ("openai", "gpt-50", frozenset()),
        ("openai", "gpt-4o", frozenset()),
        ("openai", "gpt-4o1", frozenset()),
        ("openai", "openai/o3", REFUSED),  # a gateway's name for it
        ("openai", "ft:o4-mini-2025-04-16:us::a1", REFUSED),
        ("openai", "ft:gpt-4o:o1::a1", frozenset()),
        ("openai", "my-o3-like", frozenset()),  # names of deployments, at Azure, are anybody's
        ("openai", "o365-helper", frozenset()),
        ("openai", "gpt-5o", frozenset()),
        ("xai", "grok-4.3", {"presence_penalty", "frequency_penalty"}),
        ("xai", "grok-4-fast-non-reasoning", frozenset()),
        ("xai", "grok-3", frozenset()),
        ("moonshot", "kimi-k2.6", REFUSED),
        ("moonshot", "moonshot-v1-8k", frozenset()),
        ("gemini", "gemini-3-flash", {"seed", "frequency_penalty"}),
        ("cerebras", "gpt-oss-120b", {"presence_penalty", "frequency_penalty"}),
        ("generic", "o3", frozenset()),
    ],
)
def test_what_a_model_does_not_have(profile: str, model: str, refused: frozenset[str]) -> None:
    """Vendors' pages, in `profiles.py`: reasoning models have no sampling, and some services not all of OpenAI's."""
    assert PROFILES[profile].refused(model) == refused


def test_what_is_not_known_takes_openai_parameters_only() -> None:
    """A backend of an unknown kind gets nothing that OpenAI's API does not have, and loses nothing that it has."""
    profile = Profile("x")
    assert profile == Profile("x", max_tokens="max_tokens", thinking=EFFORT, extensions={}, thoughts="")
    assert (profile.dialect("any"), profile.refused("any")) == (EFFORT, frozenset())
    assert profile.stream_options
    assert profile.names
