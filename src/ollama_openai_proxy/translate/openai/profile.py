"""What backends take, and how they spell it. Data, apart from translation.

https://platform.openai.com/docs/api-reference/chat, https://docs.vllm.ai/en/latest/serving/openai_compatible_server.html,
https://github.com/ggml-org/llama.cpp/tree/master/tools/server, https://openrouter.ai/docs/api-reference/parameters
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True, slots=True)
class Profile:
    """A kind of backend.

    `extensions` maps Ollama's name of a parameter that OpenAI does not have to the backend's; what
    is not in it is not sent. `thinking` is how thought is asked for: `reasoning_effort`, an object
    `reasoning`, or arguments of the chat template.
    """

    name: str
    max_tokens: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    thinking: Literal["effort", "reasoning", "template"] = "effort"
    extensions: Mapping[str, str] = field(default_factory=dict)


GENERIC = Profile("generic")
PROFILES = {
    profile.name: profile
    for profile in (
        GENERIC,
        Profile("openai", max_tokens="max_completion_tokens"),
        Profile(
            "vllm",
            thinking="template",
            extensions={"top_k": "top_k", "min_p": "min_p", "repeat_penalty": "repetition_penalty"},
        ),
        Profile(
            "llamacpp",
            thinking="template",
            extensions={
                "top_k": "top_k",
                "min_p": "min_p",
                "typical_p": "typical_p",
                "repeat_penalty": "repeat_penalty",
                "repeat_last_n": "repeat_last_n",
                "num_keep": "n_keep",
            },
        ),
        Profile(
            "openrouter",
            thinking="reasoning",
            extensions={"top_k": "top_k", "min_p": "min_p", "repeat_penalty": "repetition_penalty"},
        ),
    )
}
# Services that everybody knows by their host, and that answer nobody without a key.
_HOSTS = {"openai.com": "openai", "openai.azure.com": "openai", "openrouter.ai": "openrouter"}
_OWNERS = {"vllm": "vllm", "llamacpp": "llamacpp"}


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
    return next((name for suffix, name in _HOSTS.items() if host == suffix or host.endswith("." + suffix)), "")
