"""What a backend takes, and how it spells it; `profiles.py` has those that are known."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Literal

from ollama_openai_proxy.translate.openai.thinking import EFFORT, Dialect

# Patterns in lower case, searched for in the name of a model, and what is true of the models.
_Dialects = Mapping[str, Dialect]
_Names = Mapping[str, frozenset[str]]
_NOTHING: frozenset[str] = frozenset()


@lru_cache(maxsize=1024)
def _is_of(family: str, model: str) -> bool:
    return re.search(family, model.lower()) is not None


@dataclass(frozen=True, slots=True)
class Profile:
    """A kind of backend.

    How it spells things: `max_tokens`, `seed`; `extensions` maps Ollama's name of a parameter that OpenAI does not have
    to the backend's, and what is not in it is not sent; `truncate` has the members that stand for Ollama's `truncate`;
    `truncation` is the parameter of embeddings that takes the number of tokens to cut an input to.
    `insert` is how it fills in before a suffix (`plain.py`), "" if it does not.

    What it wants: `thinking`, and `thinking_of` some models; `thoughts` is the member of an assistant's message that
    takes its past thinking, "" if none does; `json_object` is how any JSON object is asked for: plainly, with the word
    JSON in a message, or by a schema; `top_logprobs` are the fewest alternatives that are to be asked for.

    What it refuses: `without` are the parameters that some models do not have, which are left out as extensions are;
    `stream_options`, and a `name` in messages.
    """

    name: str
    max_tokens: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    seed: str = "seed"
    extensions: Mapping[str, str] = field(default_factory=dict)
    truncate: Mapping[bool, Mapping[str, Any]] = field(default_factory=dict)
    truncation: str = ""
    insert: Literal["suffix", "fim", "infill", ""] = "suffix"
    thinking: Dialect = EFFORT
    thinking_of: _Dialects = field(default_factory=dict)
    thoughts: Literal["", "reasoning", "reasoning_content"] = ""
    json_object: Literal["plain", "word", "schema"] = "plain"
    top_logprobs: int = 0
    without: _Names = field(default_factory=dict)
    stream_options: bool = True
    names: bool = True

    def dialect(self, model: str) -> Dialect:
        """Return how the model is asked to think."""
        return next((found for family, found in self.thinking_of.items() if _is_of(family, model)), self.thinking)

    def refused(self, model: str) -> frozenset[str]:
        """Return the parameters that the model does not have."""
        if not self.without:
            return _NOTHING
        refused = _NOTHING
        for family, names in self.without.items():
            if _is_of(family, model):
                refused |= names
        return refused
