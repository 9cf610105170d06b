"""Plain completions, as a backend has them: of a raw prompt, or filling in between a prompt and a suffix.

- `suffix`: beside the prompt (https://platform.openai.com/docs/api-reference/completions).
- `fim`: by Mistral's route of its own (https://docs.mistral.ai/api/endpoint/fim).
- `infill`: by llama.cpp's, at the root of its server, with parameters by its own names
  (https://github.com/ggml-org/llama.cpp/tree/master/tools/server#post-infill-for-code-infilling). Its plain completions
  have a name of its own for the schema, too, and no `response_format`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from ollama_openai_proxy.translate.openai.profile import Profile


class Ask(NamedTuple):
    """Where to ask, below the base URL or (`rooted`) on the server, and with which body."""

    path: str
    rooted: bool
    body: dict[str, Any]


_INFILL = {"prompt": "input_prefix", "suffix": "input_suffix", "max_tokens": "n_predict", "logprobs": "n_probs"}
# What Mistral refuses there.
_NOT_FIM = frozenset(("stream_options", "response_format", "logprobs", "presence_penalty", "frequency_penalty"))
_ANY_OBJECT = {"type": "object"}


def ask(body: Mapping[str, Any], profile: Profile) -> Ask:
    """Return how this backend is asked. `body` is a plain completion's, with `suffix` if there is one."""
    shaped = dict(body)
    if profile.insert == "infill" and (wanted := shaped.pop("response_format", None)):
        shaped["json_schema"] = wanted["json_schema"]["schema"] if "json_schema" in wanted else _ANY_OBJECT
    if "suffix" not in body or profile.insert not in ("infill", "fim"):
        return Ask("/completions", False, shaped)
    if profile.insert == "fim":
        return Ask("/fim/completions", False, {key: shaped[key] for key in shaped if key not in _NOT_FIM})
    shaped.pop("stream_options", None)
    return Ask("/infill", True, {_INFILL.get(key, key): value for key, value in shaped.items()})
