"""Which backend it is, and how it spells what OpenAI's API does not have."""

from __future__ import annotations

from typing import Any, get_args

import pytest

from ollama_openai_proxy.settings import Settings
from ollama_openai_proxy.translate.ollama.options import OPTIONS
from ollama_openai_proxy.translate.openai.profile import Profile
from ollama_openai_proxy.translate.openai.profiles import GENERIC, PROFILES, ProfileName, detect, wants_key


@pytest.mark.parametrize(
    ("host", "owners", "name"),
    [
        pytest.param("api.openai.com", [], "openai", id="OpenAI"),
        pytest.param("eu.api.openai.com", [], "openai", id="OpenAI, by region"),
        pytest.param("me.openai.azure.com", [], "openai", id="Azure"),
        pytest.param("openrouter.ai", [], "openrouter", id="OpenRouter"),
        pytest.param("api.mistral.ai", [], "mistral", id="Mistral"),
        pytest.param("api.together.xyz", [], "together", id="Together"),
        pytest.param("api.groq.com", [], "groq", id="Groq"),
        pytest.param("api.deepseek.com", [], "deepseek", id="DeepSeek"),
        pytest.param("api.fireworks.ai", [], "fireworks", id="Fireworks"),
        pytest.param("api.x.ai", [], "xai", id="xAI"),
        pytest.param("generativelanguage.googleapis.com", [], "gemini", id="Gemini"),
        pytest.param("api.z.ai", [], "zai", id="Z.ai"),
        pytest.param("open.bigmodel.cn", [], "zai", id="Z.ai in China"),
        pytest.param("api.moonshot.ai", [], "moonshot", id="Moonshot"),
        pytest.param("api.moonshot.cn", [], "moonshot", id="Moonshot in China"),
        pytest.param("dashscope-intl.aliyuncs.com", [], "dashscope", id="DashScope in Singapore"),
        pytest.param("cn-hongkong.dashscope.aliyuncs.com", [], "dashscope", id="DashScope in Hong Kong"),
        pytest.param("api.cerebras.ai", [], "cerebras", id="Cerebras"),
        pytest.param("router.huggingface.co", [], "generic", id="Hugging Face, whose models are many services'"),
        pytest.param("API.OpenAI.com.", [], "openai", id="as names may be written"),
        pytest.param("notopenrouter.ai", [], "generic", id="another domain that ends the same"),
        pytest.param("openai.com.example.org", [], "generic", id="another domain that begins the same"),
        pytest.param("oss-cn-beijing.aliyuncs.com", [], "generic", id="another service of the same company"),
        pytest.param("localhost", ["vllm", "vllm"], "vllm", id="vLLM"),
        pytest.param("localhost", ["llamacpp"], "llamacpp", id="llama.cpp"),
        pytest.param("localhost", ["sglang"], "sglang", id="SGLang"),
        pytest.param("localhost", ["organization_owner"], "lmstudio", id="LM Studio"),
        pytest.param("localhost", ["library"], "ollama", id="Ollama"),
        pytest.param("localhost", ["koboldcpp"], "koboldcpp", id="KoboldCpp"),
        pytest.param("localhost", ["openai"], "generic", id="what gateways call the owner of everything"),
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
        ("api.mistral.ai", True),
        ("api.groq.com", True),
        ("api.deepseek.com", True),
        ("generativelanguage.googleapis.com", True),
        ("api.sambanova.ai", True),
        ("router.huggingface.co", True),
        ("API.OpenAI.com.", True),
        ("evilopenai.com", False),
        ("notopenrouter.ai", False),
        ("openai.com.example.org", False),
        ("mistral.ai.example.org", False),
        ("localhost", False),
        ("", False),
    ],
)
def test_services_that_want_a_key(host: str, wanted: bool) -> None:
    """Public services answer no request for a chat without a key; of other backends nothing is certain."""
    assert wants_key(host) is wanted


def test_what_is_not_known_takes_openai_parameters_only() -> None:
    """A backend of an unknown kind gets nothing that OpenAI's API does not have."""
    assert Profile("generic") == GENERIC


@pytest.mark.parametrize(
    ("name", "facts"),
    [
        # https://platform.openai.com/docs/api-reference/chat/create: max_tokens is refused by reasoning models.
        ("openai", {"max_tokens": "max_completion_tokens", "extensions": {}, "json_object": "word"}),
        # https://docs.vllm.ai/en/latest/serving/openai_compatible_server.html: extra sampling parameters.
        ("vllm", {"max_tokens": "max_tokens", "thoughts": "reasoning", "truncation": "truncate_prompt_tokens"}),
        # https://github.com/ggml-org/llama.cpp/tree/master/tools/server
        ("llamacpp", {"max_tokens": "max_tokens", "thoughts": "reasoning_content", "top_logprobs": 1}),
        # https://github.com/lmstudio-ai/lmstudio-bug-tracker/issues/189
        ("lmstudio", {"json_object": "schema", "extensions": {"top_k": "top_k", "repeat_penalty": "repeat_penalty"}}),
        # https://docs.mistral.ai/api: anything else is an extra input, which is not permitted.
        ("mistral", {"max_tokens": "max_tokens", "seed": "random_seed", "stream_options": False, "extensions": {}}),
        # https://console.groq.com/docs/openai: messages[].name is a 400.
        ("groq", {"names": False}),
        # https://api-docs.deepseek.com/guides/thinking_mode: thinking comes back with tool calls.
        ("deepseek", {"thoughts": "reasoning_content", "json_object": "word"}),
        # https://openrouter.ai/docs/transforms
        ("openrouter", {"truncate": {True: {"transforms": ["middle-out"]}, False: {"transforms": []}}}),
    ],
)
def test_each_kind_of_backend_has_its_own_ways(name: str, facts: dict[str, Any]) -> None:
    """The facts are those of each vendor's documentation."""
    profile = PROFILES[name]
    assert {fact: getattr(profile, fact) for fact in facts} == facts


def test_profiles_are_found_by_their_names() -> None:
    """The names are what the setting takes, and `auto` is what it takes beside them."""
    assert list(get_args(ProfileName)) == list(PROFILES)
    assert get_args(Settings.model_fields["upstream_profile"].annotation) == ("auto", *PROFILES)
    assert all(profile.name == name for name, profile in PROFILES.items())


def test_extensions_are_options_that_exist() -> None:
    """Contract 4: what a profile maps is an option that is no parameter of OpenAI's."""
    known = {option.upstream for option in OPTIONS if option.extension}
    assert {name for profile in PROFILES.values() for name in profile.extensions} <= known
