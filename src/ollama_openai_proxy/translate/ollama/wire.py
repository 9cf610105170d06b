"""Ollama's requests as they come over the wire (contract 5).

Absent and null both mean "not set". Nothing has a default: what the client did not send is not
sent on. `Raw` parts are passed through as they are.
"""

from __future__ import annotations

from collections.abc import Sized
from typing import Annotated, Any, TypeVar

from msgspec import Meta, Raw, field

from ollama_openai_proxy.errors import InvalidRequest
from ollama_openai_proxy.translate.ollama.decoding import Body, Wire
from ollama_openai_proxy.translate.ollama.gojson import ANY, BOOL, INT, MAP, STRING, Kind, array, struct
from ollama_openai_proxy.translate.ollama.golang import check_base64
from ollama_openai_proxy.translate.ollama.tools import read

UNSET = Raw(b"")
# More than any honest request has of each (reliability B4, B12).
MAX_MESSAGES = 10_000
MAX_TOOLS = 512
MAX_IMAGES = 256
MAX_NAME = 256  # characters of a model's name
Int = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]  # Go's


class ToolCallFunction(Wire):
    index: Int | None = None
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


class ModelRequest(Wire):
    """What all requests have."""

    model: str | None = None


Asked = TypeVar("Asked", bound=ModelRequest)


class ChatRequest(ModelRequest):
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
    top_logprobs: Int | None = None
    debug_render_only: bool | None = field(default=None, name="_debug_render_only")


class GenerateRequest(ModelRequest):
    prompt: str | None = None
    suffix: str | None = None
    system: str | None = None
    template: str | None = None
    context: list[Int] | None = None
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
    top_logprobs: Int | None = None
    debug_render_only: bool | None = field(default=None, name="_debug_render_only")


class EmbedRequest(ModelRequest):
    input: Any = None
    truncate: bool | None = None
    dimensions: Int | None = None
    keep_alive: Any = None
    options: dict[str, Any] | None = None


class EmbeddingsRequest(ModelRequest):
    prompt: str | None = None
    keep_alive: Any = None
    options: dict[str, Any] | None = None


class ShowRequest(ModelRequest):
    name: str | None = None
    verbose: bool | None = None
    system: str | None = None
    template: str | None = None
    options: dict[str, Any] | None = None


_IMAGES = array("[]api.ImageData", Kind("api.ImageData", str))
_TOOL = Kind("api.Tool", dict)
_FUNCTION = struct("api.ToolCallFunction", index=INT, name=STRING, arguments=ANY)
MESSAGE = struct(
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
    "_debug_render_only": BOOL,
}
_KINDS: dict[type[ModelRequest], Kind] = {
    ChatRequest: struct(
        "ChatRequest", messages=array("[]api.Message", MESSAGE), tools=array("api.Tools", _TOOL), **_GENERATION
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
_BODIES: dict[type[ModelRequest], Body[Any]] = {kind: Body(kind, go) for kind, go in _KINDS.items()}


def decode(body: bytes, kind: type[Asked]) -> Asked:
    """Return the request, its tools as a chat completion has them.

    Raises InvalidRequest with the words of Ollama's own decoder.
    """
    request: Asked = _BODIES[kind].decode(body)
    _check_name(request.model)
    if isinstance(request, ChatRequest):
        _check_number("messages", request.messages, MAX_MESSAGES)
        _check_number("tools", request.tools, MAX_TOOLS)
        _check_images([image for message in request.messages or () if message.images for image in message.images])
        if request.tools:
            request.tools = read(request.tools)
    elif isinstance(request, GenerateRequest):
        _check_images(request.images)
    elif isinstance(request, ShowRequest):
        _check_name(request.name)
    return request


def _check_name(name: str | None) -> None:
    if name and len(name) > MAX_NAME:
        raise InvalidRequest("invalid model name")


def _check_number(name: str, values: Sized | None, most: int) -> None:
    if values and len(values) > most:
        raise InvalidRequest(f"too many {name}: at most {most} are taken")


def _check_images(images: list[str | None] | None) -> None:
    """Check all images: Go decodes them with the body, before anything is asked of the request."""
    if images:
        _check_number("images", images, MAX_IMAGES)
        for image in images:
            check_base64(image or "")
