"""Refusals of what a model is known not to do (contract 3.2, 3.7, 5.7, 5.8).

Only a backend that lists everything a model can do lets us say what it can't; others say so
themselves when they are asked.
"""

from __future__ import annotations

from typing import Any

from ollama_openai_proxy.errors import InvalidRequest
from ollama_openai_proxy.translate.models import Model, qualified
from ollama_openai_proxy.translate.ollama.golang import quote


def check_capabilities(
    model: Model, name: str, *, action: str, think: Any = None, tools: bool = False, insert: bool = False
) -> None:
    """Raise InvalidRequest for what the model is known to lack, in the order of contract 5.7 (steps 8 and 9).

    `name` is the client's; `action` is `chat` or `generate`; `insert`: whether the prompt has a suffix.
    """
    known = model.capabilities
    if known is None:
        return
    if think and "thinking" not in known:
        raise InvalidRequest(f"{quote(name)} does not support thinking")
    if "completion" not in known:
        raise InvalidRequest(f"{quote(name)} does not support {action}")
    for wanted, capability in ((tools, "tools"), (insert, "insert")):
        if wanted and capability not in known and capability not in model.unsaid:
            raise InvalidRequest(f"{qualified(name)} does not support {capability}")
