"""A request in the words of one backend."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from ollama_openai_proxy.translate.openai.profile import Profile

_EFFORTS = {True: "medium", "max": "high"}


def encode(
    body: Mapping[str, Any],
    profile: Profile,
    *,
    extensions: Mapping[str, Any] | None = None,
    think: bool | str | None = None,
) -> bytes:
    """Return the JSON to send.

    `body` is a completion's, with `max_tokens`. `extensions` are parameters beyond OpenAI's, by
    Ollama's names; those that the backend does not take are left out.
    """
    shaped = dict(body)
    is_chat = "messages" in shaped
    if "max_tokens" in shaped and is_chat:  # plain completions know the old name only
        shaped[profile.max_tokens] = shaped.pop("max_tokens")
    for name, value in (extensions or {}).items():
        if spelled := profile.extensions.get(name):
            shaped[spelled] = value
    if think is not None and is_chat:
        shaped.update(_thinking(think, profile))
    return msgspec.json.encode(shaped)


def _thinking(think: bool | str, profile: Profile) -> dict[str, Any]:
    """Return how this backend is asked to think, or not to.

    `think` is True, False or a level. Where there is only `reasoning_effort`, False sends nothing:
    models that can't think refuse the parameter, and many clients send False to every model.
    """
    effort = _EFFORTS.get(think, think)
    if profile.thinking == "template":
        arguments: dict[str, Any] = {"enable_thinking": bool(think)}
        if isinstance(think, str):
            arguments["reasoning_effort"] = effort
        return {"chat_template_kwargs": arguments}
    if profile.thinking == "reasoning":
        return {"reasoning": {"effort": effort} if isinstance(think, str) else {"enabled": think}}
    return {"reasoning_effort": effort} if think else {}
