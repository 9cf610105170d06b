"""Ollama's requests as they come over the wire (contract 5).

Absent and null both mean "not set". Nothing has a default: what the client did not send is not
sent on. `Raw` parts are passed through as they are.
"""

from __future__ import annotations

from typing import Any

from msgspec import Raw

from ollama_openai_proxy.translate.ollama.decoding import Body, Request, Wire
from ollama_openai_proxy.translate.ollama.gojson import ANY, BOOL, INT, MAP, STRING, Kind, array, struct

UNSET = Raw(b"")


class ToolCallFunction(Wire):
    index: int | None = None
    name: str | None = None
    arguments: Raw = UNSET


class ToolCall(Wire):
    id: str | None = None
    type: Any = None
    function: ToolCallFunction | None = None


class Message(Wire):
    role: str | None = None
    content: str | None = None
    thinking: str | None = None
    images: list[str | None] | None = None
    tool_calls: list[ToolCall] | None = None
    tool_name: str | None = None
    tool_call_id: str | None = None


class ChatRequest(Wire):
    model: str | None = None
    messages: list[Message] | None = None
    stream: bool | None = None
    format: Raw = UNSET
    keep_alive: Any = None
    tools: list[Raw] | None = None
    options: dict[str, Any] | None = None
    think: Any = None
    truncate: bool | None = None
    shift: bool | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None


class GenerateRequest(Wire):
    model: str | None = None
    prompt: str | None = None
    suffix: str | None = None
    system: str | None = None
    template: str | None = None
    context: list[int] | None = None
    stream: bool | None = None
    raw: bool | None = None
    format: Raw = UNSET
    keep_alive: Any = None
    images: list[str | None] | None = None
    options: dict[str, Any] | None = None
    think: Any = None
    truncate: bool | None = None
    shift: bool | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None


class EmbedRequest(Wire):
    model: str | None = None
    input: Any = None
    truncate: bool | None = None
    dimensions: int | None = None
    keep_alive: Any = None
    options: dict[str, Any] | None = None


class EmbeddingsRequest(Wire):
    model: str | None = None
    prompt: str | None = None
    keep_alive: Any = None
    options: dict[str, Any] | None = None


class ShowRequest(Wire):
    model: str | None = None
    name: str | None = None
    verbose: bool | None = None
    system: str | None = None
    template: str | None = None
    options: dict[str, Any] | None = None


_IMAGES = array("[]api.ImageData", Kind("api.ImageData", str))
_TOOL = Kind("api.Tool", dict)
_FUNCTION = struct("api.ToolCallFunction", index=INT, name=STRING, arguments=ANY)
_MESSAGE = struct(
    "api.Message",
    role=STRING,
    content=STRING,
    thinking=STRING,
    images=_IMAGES,
    tool_calls=array("[]api.ToolCall", struct("api.ToolCall", id=STRING, function=_FUNCTION)),
    tool_name=STRING,
    tool_call_id=STRING,
)
_GENERATION = {
    "model": STRING,
    "stream": BOOL,
    "format": ANY,
    "keep_alive": ANY,
    "options": MAP,
    "think": ANY,
    "truncate": BOOL,
    "shift": BOOL,
    "logprobs": BOOL,
    "top_logprobs": INT,
}
_KINDS: dict[type[Wire], Kind] = {
    ChatRequest: struct(
        "ChatRequest", messages=array("[]api.Message", _MESSAGE), tools=array("api.Tools", _TOOL), **_GENERATION
    ),
    GenerateRequest: struct(
        "GenerateRequest",
        prompt=STRING,
        suffix=STRING,
        system=STRING,
        template=STRING,
        context=array("[]int", INT),
        raw=BOOL,
        images=_IMAGES,
        **_GENERATION,
    ),
    EmbedRequest: struct(
        "EmbedRequest", model=STRING, input=ANY, truncate=BOOL, dimensions=INT, keep_alive=ANY, options=MAP
    ),
    EmbeddingsRequest: struct("EmbeddingRequest", model=STRING, prompt=STRING, keep_alive=ANY, options=MAP),
    ShowRequest: struct(
        "ShowRequest", model=STRING, name=STRING, verbose=BOOL, system=STRING, template=STRING, options=MAP
    ),
}
_BODIES: dict[type[Wire], Body[Any]] = {kind: Body(kind, go) for kind, go in _KINDS.items()}


def decode(body: bytes, kind: type[Request]) -> Request:
    """Return the request. Raises InvalidRequest with the words of Ollama's own decoder."""
    request: Request = _BODIES[kind].decode(body)
    return request
