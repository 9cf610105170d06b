"""The backends that are known, and how one is told from another. Data: each fact has the page that tells it.

What nobody documents is left out, so that a profile holds what is sure: a gateway such as LiteLLM, Text Generation
Inference and services that take OpenAI's parameters and no others are `generic`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from ollama_openai_proxy.translate.openai import thinking
from ollama_openai_proxy.translate.openai.profile import Profile
from ollama_openai_proxy.translate.openai.thinking import Dialect

_SAMPLING = {"top_k": "top_k", "min_p": "min_p", "repeat_penalty": "repetition_penalty"}
_PENALTIES = frozenset({"presence_penalty", "frequency_penalty"})
_FIXED = _PENALTIES | {"temperature", "top_p"}
_GPT_OSS = {"gpt-oss": thinking.EFFORT}

# What the setting takes: the names of all profiles.
_Server = Literal["generic", "vllm", "sglang", "llamacpp", "lmstudio", "ollama", "koboldcpp"]
_Service = Literal[
    "openai",
    "openrouter",
    "mistral",
    "together",
    "groq",
    "deepseek",
    "fireworks",
    "xai",
    "gemini",
    "zai",
    "moonshot",
    "dashscope",
    "cerebras",
]
ProfileName = Literal[_Server, _Service]

GENERIC = Profile("generic")

_SERVERS = (
    # https://docs.vllm.ai/en/latest/serving/openai_compatible_server.html: extra parameters;
    # https://docs.vllm.ai/en/latest/features/reasoning_outputs.html: the switches, and `reasoning` in messages;
    # https://github.com/linagora/openrag/pull/335: Mistral's own tokenizers refuse all arguments of templates.
    Profile(
        "vllm",
        extensions=_SAMPLING,
        truncation="truncate_prompt_tokens",
        insert="",
        thinking=thinking.TEMPLATE,
        thinking_of={
            **_GPT_OSS,
            r"granite|deepseek-v3\.[12]": thinking.TEMPLATE_THINKING,
            r"(mi|mini|magi|code|dev)stral|[ipo]xtral": thinking.UNASKED,
        },
        thoughts="reasoning",
    ),
    # https://docs.sglang.ai/basic_usage/sampling_params.html,
    # https://docs.sglang.ai/advanced_features/separate_reasoning.html
    Profile(
        "sglang",
        extensions=_SAMPLING,
        thinking=thinking.TEMPLATE,
        thinking_of={**_GPT_OSS, r"deepseek-v3\.[12]": thinking.TEMPLATE_THINKING},
        thoughts="reasoning_content",
    ),
    # https://github.com/ggml-org/llama.cpp/tree/master/tools/server: `logprobs` without a number is twenty of them.
    Profile(
        "llamacpp",
        extensions={
            "top_k": "top_k",
            "min_p": "min_p",
            "typical_p": "typical_p",
            "repeat_penalty": "repeat_penalty",
            "repeat_last_n": "repeat_last_n",
            "num_keep": "n_keep",
        },
        insert="infill",
        thinking=thinking.TEMPLATE,
        thoughts="reasoning_content",
        top_logprobs=1,
    ),
    # https://lmstudio.ai/docs/developer/openai-compat/chat-completions,
    # https://github.com/lmstudio-ai/lmstudio-bug-tracker/issues/189: no `json_object`.
    # https://lmstudio.ai/docs/developer/openai-compat/completions: no `suffix`.
    Profile(
        "lmstudio", extensions={"top_k": "top_k", "repeat_penalty": "repeat_penalty"}, insert="", json_object="schema"
    ),
    # https://docs.ollama.com/api/openai-compatibility: `none` is for every model, and past thinking is `reasoning`.
    Profile("ollama", thinking=thinking.EFFORT_NONE, thinking_of=_GPT_OSS, thoughts="reasoning"),
    # https://lite.koboldai.net/koboldcpp_api: its own names are for every route.
    Profile(
        "koboldcpp",
        extensions={
            "top_k": "top_k",
            "min_p": "min_p",
            "typical_p": "typical",
            "repeat_penalty": "rep_pen",
            "repeat_last_n": "rep_pen_range",
        },
        insert="",
    ),
)
_SERVICES = (
    # https://platform.openai.com/docs/api-reference/chat/create: `max_tokens` is refused by reasoning models;
    # https://platform.openai.com/docs/guides/structured-outputs#json-mode: the word JSON is demanded;
    # https://platform.openai.com/docs/guides/reasoning, .../latest-model: what reasoning models do not have.
    Profile(
        "openai",
        max_tokens="max_completion_tokens",
        json_object="word",
        without={r"^(ft:|.*/)?(o\d(?![\w.])|gpt-5(?![\w.]|-chat))": _FIXED},
    ),
    # https://openrouter.ai/docs/api-reference/parameters, .../docs/transforms: it cuts the middle, or nothing;
    # https://openrouter.ai/docs/use-cases/reasoning-tokens: efforts up to `xhigh`, and `reasoning` in messages.
    Profile(
        "openrouter",
        extensions=_SAMPLING,
        truncate={True: {"transforms": ["middle-out"]}, False: {"transforms": []}},
        insert="",
        thinking=thinking.REASONING,
        thoughts="reasoning",
    ),
    # https://docs.mistral.ai/api: unknown parameters are refused, `seed` and `stream_options` among them, and streams
    # end with the usage unasked; https://docs.mistral.ai/capabilities/reasoning: `high` or nothing; Magistral always.
    Profile(
        "mistral",
        seed="random_seed",
        insert="fim",
        stream_options=False,
        thinking=Dialect(on={"reasoning_effort": "high"}),
        thinking_of={"magistral": thinking.UNASKED},
    ),
    # https://docs.together.ai/reference/chat-completions-1, https://docs.together.ai/docs/inference/chat/reasoning
    Profile("together", extensions=_SAMPLING, thinking=thinking.REASONING_AND_EFFORT, thinking_of=_GPT_OSS),
    # https://console.groq.com/docs/openai: names in messages are refused;
    # https://console.groq.com/docs/reasoning: Qwen has no levels.
    Profile(
        "groq",
        thinking_of={
            "qwen": Dialect(on={"reasoning_effort": "default"}, off={"reasoning_effort": "none"}),
        },
        names=False,
    ),
    # https://api-docs.deepseek.com/guides/thinking_mode: past thinking must come back with tool calls;
    # https://api-docs.deepseek.com/guides/json_mode: without the word JSON it may write spaces for ever.
    Profile("deepseek", thinking=thinking.TYPE_AND_EFFORT, thoughts="reasoning_content", json_object="word"),
    # https://docs.fireworks.ai/api-reference/post-chatcompletions, https://docs.fireworks.ai/guides/reasoning
    Profile("fireworks", extensions={**_SAMPLING, "typical_p": "typical_p"}, thoughts="reasoning_content"),
    # https://docs.x.ai/docs/guides/reasoning: reasoning models always reason, some refuse to be told how much, and
    # none has penalties.
    Profile(
        "xai",
        thinking=Dialect(level="reasoning_effort"),
        without={r"grok-(3-mini|[4-9])(?!.*non-reasoning)": _PENALTIES},
    ),
    # https://ai.google.dev/gemini-api/docs/openai; https://github.com/Vali-98/ChatterUI/issues/227 has the refusals.
    Profile("gemini", without={"": frozenset({"seed", "frequency_penalty"})}),
    # https://docs.z.ai/guides/capabilities/thinking-mode: past thinking should come back with tool calls.
    Profile("zai", thinking=thinking.TYPE, thoughts="reasoning_content"),
    # https://platform.moonshot.ai/docs/guide/use-kimi-k2-thinking-model: past thinking must come back with tool calls,
    # sampling is fixed; K2.5 and K2.6 can be told not to think, K3 has levels of its own.
    Profile(
        "moonshot",
        thinking=thinking.UNASKED,
        thinking_of={
            r"kimi-k2\.[56]": thinking.TYPE,
            "kimi-k3": Dialect(
                level="reasoning_effort", levels={"low": "low", "medium": "high", "high": "high", "max": "max"}
            ),
        },
        thoughts="reasoning_content",
        without={r"kimi-k(2\.[5-9]|3)": _FIXED},
    ),
    # https://www.alibabacloud.com/help/en/model-studio/qwen-api-via-openai-chat-completions,
    # https://www.alibabacloud.com/help/en/model-studio/json-mode: the word JSON is demanded.
    Profile("dashscope", extensions={"top_k": "top_k"}, thinking=thinking.SWITCH, json_object="word"),
    # https://inference-docs.cerebras.ai/resources/openai: penalties are refused;
    # https://inference-docs.cerebras.ai/capabilities/reasoning: GLM thinks unless it is told not to.
    Profile("cerebras", thinking_of={"glm": Dialect(off={"disable_reasoning": True})}, without={"": _PENALTIES}),
)
PROFILES = {profile.name: profile for profile in (GENERIC, *_SERVERS, *_SERVICES)}

# Services that everybody knows by their host, and that answer nobody without a key.
_HOSTS = {
    "openai.com": "openai",
    "openai.azure.com": "openai",
    "openrouter.ai": "openrouter",
    "api.mistral.ai": "mistral",
    "api.together.xyz": "together",
    "api.together.ai": "together",
    "api.groq.com": "groq",
    "api.deepseek.com": "deepseek",
    "api.fireworks.ai": "fireworks",
    "api.x.ai": "xai",
    "generativelanguage.googleapis.com": "gemini",
    "api.z.ai": "zai",
    "open.bigmodel.cn": "zai",
    "api.moonshot.ai": "moonshot",
    "api.moonshot.cn": "moonshot",
    "dashscope.aliyuncs.com": "dashscope",
    "dashscope-intl.aliyuncs.com": "dashscope",
    "dashscope-us.aliyuncs.com": "dashscope",
    "api.cerebras.ai": "cerebras",
    "api.sambanova.ai": "generic",
    "router.huggingface.co": "generic",
}
_OWNERS = {
    "vllm": "vllm",
    "sglang": "sglang",
    "llamacpp": "llamacpp",
    "organization_owner": "lmstudio",
    "library": "ollama",
    "koboldcpp": "koboldcpp",
}


def detect(host: str, owners: Iterable[str]) -> Profile:
    """Return the profile of a backend, by its host and by what its models are `owned_by`."""
    if service := _service(host):
        return PROFILES[service]
    names = {_OWNERS.get(owner) for owner in owners}
    return PROFILES.get(names.pop() or "", GENERIC) if len(names) == 1 else GENERIC


def wants_key(host: str) -> bool:
    """Whether the backend at this host is known to refuse whoever has no key."""
    return bool(_service(host))


def _service(host: str) -> str:
    """Return the name of the profile of a service that is known by its host, "" for any other."""
    host = host.lower().removesuffix(".")
    return next((name for suffix, name in _HOSTS.items() if host == suffix or host.endswith("." + suffix)), "")
