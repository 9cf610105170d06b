"""Which backend it is, and how it spells what OpenAI's API does not have."""

from __future__ import annotations

import pytest

from ollama_openai_proxy.translate.openai.profile import GENERIC, PROFILES, Profile, detect, wants_key


@pytest.mark.parametrize(
    ("host", "owners", "name"),
    [
        pytest.param("api.openai.com", [], "openai", id="OpenAI"),
        pytest.param("eu.api.openai.com", [], "openai", id="OpenAI, by region"),
        pytest.param("me.openai.azure.com", [], "openai", id="Azure"),
        pytest.param("openrouter.ai", [], "openrouter", id="OpenRouter"),
        pytest.param("notopenrouter.ai", [], "generic", id="another domain that ends the same"),
        pytest.param("openai.com.example.org", [], "generic", id="another domain that begins the same"),
        pytest.param("localhost", ["vllm", "vllm"], "vllm", id="vLLM"),
        pytest.param("localhost", ["llamacpp"], "llamacpp", id="llama.cpp"),
        pytest.param("api.openai.com", ["vllm"], "openai", id="the host comes first"),
        pytest.param("gateway.example.org", ["vllm", "llamacpp"], "generic", id="several kinds behind one gateway"),
        pytest.param("gateway.example.org", ["vllm", "me"], "generic", id="one of them unknown"),
        pytest.param("localhost", ["me"], "generic", id="unknown"),
        pytest.param("localhost", [], "generic", id="nothing to go by"),
    ],
)
def test_a_backend_is_known_by_its_host_or_by_who_owns_its_models(host: str, owners: list[str], name: str) -> None:
    """Only what is certain counts: a parameter that a backend does not know may make it refuse the request."""
    assert detect(host, owners).name == name


@pytest.mark.parametrize(
    ("host", "wanted"),
    [
        ("api.openai.com", True),
        ("eu.api.openai.com", True),
        ("me.openai.azure.com", True),
        ("openrouter.ai", True),
        ("notopenrouter.ai", False),
        ("openai.com.example.org", False),
        ("localhost", False),
        ("", False),
    ],
)
def test_services_that_want_a_key(host: str, wanted: bool) -> None:
    """OpenAI, Azure and OpenRouter answer no request for a chat without a key; of others nothing is certain."""
    assert wants_key(host) is wanted


def test_what_is_not_known_takes_openai_parameters_only() -> None:
    """A backend of an unknown kind gets nothing that OpenAI's API does not have."""
    assert Profile("generic", max_tokens="max_tokens", thinking="effort", extensions={}) == GENERIC


@pytest.mark.parametrize(
    ("name", "max_tokens", "thinking", "extensions"),
    [
        # https://platform.openai.com/docs/api-reference/chat/create: max_tokens is refused by reasoning models.
        ("openai", "max_completion_tokens", "effort", {}),
        # https://docs.vllm.ai/en/latest/serving/openai_compatible_server.html: extra sampling parameters.
        ("vllm", "max_tokens", "template", {"repeat_penalty": "repetition_penalty", "top_k": "top_k"}),
        # https://github.com/ggml-org/llama.cpp/tree/master/tools/server: its own names are Ollama's, but for n_keep.
        ("llamacpp", "max_tokens", "template", {"repeat_penalty": "repeat_penalty", "num_keep": "n_keep"}),
        # https://openrouter.ai/docs/api-reference/parameters
        ("openrouter", "max_tokens", "reasoning", {"repeat_penalty": "repetition_penalty", "min_p": "min_p"}),
    ],
)
def test_each_kind_of_backend_spells_parameters_its_own_way(
    name: str, max_tokens: str, thinking: str, extensions: dict[str, str]
) -> None:
    """The names are those of each vendor's documentation."""
    profile = PROFILES[name]
    assert (profile.max_tokens, profile.thinking) == (max_tokens, thinking)
    assert extensions.items() <= profile.extensions.items()


def test_profiles_are_found_by_their_names() -> None:
    """The names are what the setting takes."""
    assert sorted(PROFILES) == ["generic", "llamacpp", "openai", "openrouter", "vllm"]
    assert all(profile.name == name for name, profile in PROFILES.items())
