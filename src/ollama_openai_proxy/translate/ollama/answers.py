"""The shapes of all answers, and where each member comes from. Data: what is written is written elsewhere.

Members that may be left out have no null: clients break on one (rule R5).
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

# What becomes of something: it is sent on as it is, in the backend's words, dealt with by the proxy itself, ...
Support = Literal["forwarded", "translated", "answered", "ignored", "refused"]


def _is(support: Support, note: str, **schema: Any) -> Meta:
    """Say where a member comes from, and what JSON Schema is to know of it beside its type."""
    return Meta(description=f"{support}: {note}", extra_json_schema={"x-support": support, **schema})


class Shape(msgspec.Struct, forbid_unknown_fields=True):
    """Base of all answers."""


class Error(Shape):
    error: Annotated[str, _is("translated", "what is wrong, in Ollama's words or, cleaned, in the backend's")]
    signin_url: Annotated[str, _is("answered", "with status 401 only")] | UnsetType = UNSET


class Version(Shape):
    version: Annotated[str, _is("answered", "a recent version of Ollama, which clients compare with what they need")]


class Cloud(Shape):
    disabled: Annotated[bool, _is("answered", "true: ollama.com is never asked")]
    source: Annotated[str, _is("answered", "as if by the environment")]


class Status(Shape):
    cloud: Annotated[Cloud, _is("answered", "nothing is sent to ollama.com")]


class Details(Shape):
    parent_model: Annotated[str, _is("answered", "the model that an alias was made from")]
    format: Annotated[str, _is("translated", "`gguf`, `safetensors` or `unknown`")]
    family: Annotated[str, _is("translated", "the architecture, `unknown` if nobody tells")]
    families: Annotated[list[str], _is("translated", "the family, empty if nobody tells")]
    parameter_size: Annotated[str, _is("translated", "such as `7B`, `unknown` if nobody tells")]
    quantization_level: Annotated[str, _is("translated", "such as `Q4_K_M`, `unknown` if nobody tells")]
    context_length: Annotated[int, _is("translated", "tokens; `OLLAMA_CONTEXT_LENGTH` if nobody tells")] | UnsetType = (
        UNSET
    )
    embedding_length: Annotated[int, _is("translated", "left out if nobody tells")] | UnsetType = UNSET


_DATE = {"format": "date-time"}
_DIGEST = {"pattern": "^[0-9a-f]{64}$"}


class Tag(Shape):
    name: Annotated[str, _is("translated", "the backend's id, with a tag")]
    model: Annotated[str, _is("translated", "the same")]
    modified_at: Annotated[str, _is("translated", "the backend's date, else that of the first list", **_DATE)]
    size: Annotated[int, _is("translated", "bytes, where somebody tells; else those of a description", minimum=0)]
    digest: Annotated[str, _is("answered", "of what is known of the model, for nobody tells of weights", **_DIGEST)]
    details: Annotated[Details, _is("translated", "what the backend and `MODELS_FILE` tell")]
    capabilities: Annotated[
        list[str], _is("translated", "what the backend and `MODELS_FILE` tell, else chat and tools")
    ]


class Tags(Shape):
    models: Annotated[list[Tag], _is("translated", "the backend's models and the aliases, newest first")]


class Running(Shape):
    name: Annotated[str, _is("translated", "as in `/api/tags`")]
    model: Annotated[str, _is("translated", "the same")]
    size: Annotated[int, _is("translated", "as in `/api/tags`", minimum=0)]
    digest: Annotated[str, _is("answered", "as in `/api/tags`", **_DIGEST)]
    details: Annotated[Details, _is("translated", "as in `/api/tags`, without lengths")]
    expires_at: Annotated[str, _is("answered", "the end of the keep_alive of the last request", **_DATE)]
    size_vram: Annotated[int, _is("answered", "equal to `size`: none of it is on this machine's CPU", minimum=0)]
    context_length: Annotated[int, _is("translated", "tokens, as in `/api/tags`")]


class Processes(Shape):
    models: Annotated[list[Running], _is("answered", "the models that requests named within their keep_alive")]


class Stored(Shape):
    """A message that a model begins with."""

    role: Annotated[str, _is("answered", "as it was given")]
    content: Annotated[str, _is("answered", "as it was given")] | UnsetType = UNSET
    thinking: Annotated[str, _is("answered", "as it was given")] | UnsetType = UNSET
    images: Annotated[list[str], _is("answered", "as they were given")] | UnsetType = UNSET
    tool_calls: Annotated[list[dict[str, Any]], _is("answered", "as they were given")] | UnsetType = UNSET
    tool_name: Annotated[str, _is("answered", "as it was given")] | UnsetType = UNSET
    tool_call_id: Annotated[str, _is("answered", "as it was given")] | UnsetType = UNSET


class Shown(Shape, kw_only=True):
    license: Annotated[str, _is("answered", "the alias's, or that of `MODELS_FILE`")] | UnsetType = UNSET
    modelfile: Annotated[str, _is("answered", "made of what is known")] | UnsetType = UNSET
    parameters: Annotated[str, _is("answered", "lines; the alias's, or those of `MODELS_FILE`")] | UnsetType = UNSET
    template: Annotated[str, _is("answered", "the alias's; else one that tells of tools and suffixes")] | UnsetType = (
        UNSET
    )
    system: Annotated[str, _is("answered", "the request's, or the alias's")] | UnsetType = UNSET
    details: Annotated[Details, _is("translated", "as in `/api/tags`, without lengths")]
    messages: Annotated[list[Stored], _is("answered", "the alias's")] | UnsetType = UNSET
    model_info: Annotated[
        dict[str, Any], _is("translated", "architecture, lengths, parameter count; nothing of tensors or tokens")
    ]
    capabilities: Annotated[list[str], _is("translated", "as in `/api/tags`")]
    modified_at: Annotated[str, _is("translated", "as in `/api/tags`", **_DATE)]


class Called(Shape):
    index: Annotated[int, _is("answered", "counted from 0")]
    name: Annotated[str, _is("forwarded", "the tool's")]
    arguments: Annotated[dict[str, Any], _is("translated", "an object, when all of it has come")]


class Call(Shape, kw_only=True):
    id: Annotated[str, _is("forwarded", "made up where the backend has none")] | UnsetType = UNSET
    function: Annotated[Called, _is("translated", "one call, whole")]


class Said(Shape):
    role: Annotated[str, _is("answered", "`assistant`; empty with `_debug_render_only`")]
    content: Annotated[str, _is("forwarded", "a piece of the text, or all of it")]
    thinking: (
        Annotated[str, _is("translated", "from the backend's reasoning, or from tags in the text")] | UnsetType
    ) = UNSET
    tool_calls: Annotated[list[Call], _is("translated", "all calls of a turn, once they are whole")] | UnsetType = UNSET


class Alternative(Shape):
    token: Annotated[str, _is("forwarded", "the backend's")]
    logprob: Annotated[float, _is("forwarded", "the backend's")]
    bytes: Annotated[list[int], _is("translated", "of the token, where the backend does not tell")] | UnsetType = UNSET


class Logprob(Alternative):
    top_logprobs: Annotated[list[Alternative], _is("translated", "sorted, at most as many as asked")] | UnsetType = (
        UNSET
    )


class Rendered(Shape):
    rendered_template: Annotated[str, _is("answered", "what the backend would be asked: the template is its affair")]
    image_count: Annotated[int, _is("answered", "how many marks of images are in it")] | UnsetType = UNSET


class _Line(Shape, kw_only=True):
    model: Annotated[str, _is("answered", "as the request spelled it")]
    created_at: Annotated[str, _is("answered", "when it was written", **_DATE)]
    done: Annotated[bool, _is("translated", "true once, at the end")]
    done_reason: (
        Annotated[Literal["stop", "length", "load", "unload"], _is("translated", "from the finish reason")] | UnsetType
    ) = UNSET
    total_duration: Annotated[int, _is("answered", "nanoseconds, measured")] | UnsetType = UNSET
    load_duration: Annotated[int, _is("answered", "nanoseconds until the backend was asked")] | UnsetType = UNSET
    prompt_eval_count: Annotated[int, _is("translated", "the backend's usage, else left out")] | UnsetType = UNSET
    prompt_eval_duration: Annotated[int, _is("translated", "llama.cpp's timings, else measured")] | UnsetType = UNSET
    eval_count: Annotated[int, _is("translated", "the backend's usage, else left out")] | UnsetType = UNSET
    eval_duration: Annotated[int, _is("translated", "llama.cpp's timings, else measured")] | UnsetType = UNSET
    logprobs: Annotated[list[Logprob], _is("translated", "where the backend has them")] | UnsetType = UNSET
    debug_info: Annotated[Rendered, _is("answered", "with `_debug_render_only`")] | UnsetType = msgspec.field(
        default=UNSET, name="_debug_info"
    )


class ChatAnswer(_Line, kw_only=True):
    message: Annotated[Said, _is("translated", "from the deltas or the message of a chat completion")]


class GenerateAnswer(_Line, kw_only=True):
    response: Annotated[str, _is("forwarded", "a piece of the text, or all of it")]
    thinking: (
        Annotated[str, _is("translated", "from the backend's reasoning, or from tags in the text")] | UnsetType
    ) = UNSET
    tool_calls: Annotated[list[Call], _is("translated", "as in a chat")] | UnsetType = UNSET
    context: (
        Annotated[list[int], _is("answered", "the conversation, which a next request may continue")] | UnsetType
    ) = UNSET


class EmbedAnswer(Shape):
    model: Annotated[str, _is("answered", "as the request spelled it")]
    embeddings: Annotated[list[list[float]], _is("translated", "unit vectors, in the order of the inputs")]
    total_duration: Annotated[int, _is("answered", "nanoseconds, measured")] | UnsetType = UNSET
    load_duration: Annotated[int, _is("answered", "nanoseconds until the backend was asked")] | UnsetType = UNSET
    prompt_eval_count: Annotated[int, _is("translated", "the backend's usage, else left out")] | UnsetType = UNSET


class EmbeddingsAnswer(Shape):
    embedding: Annotated[list[float], _is("forwarded", "the numbers as they came, not normalised")]


class Progress(Shape):
    status: Annotated[str, _is("answered", "Ollama's words; `success` at the end")]
    digest: Annotated[str, _is("answered", "of the one layer that a model is taken to be")] | UnsetType = UNSET
    total: Annotated[int, _is("answered", "its size, where somebody tells")] | UnsetType = UNSET
    completed: Annotated[int, _is("answered", "the same: nothing is ever downloaded")] | UnsetType = UNSET


class Recommendations(Shape):
    recommendations: Annotated[list[Any], _is("answered", "none: they are ollama.com's")]
