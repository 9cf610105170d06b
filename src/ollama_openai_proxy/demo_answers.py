"""What the embedded backend says: pure and deterministic.

An answer is a tuple of deltas in the shape of OpenAI's streamed chat chunks. A streamed reply sends them one by one, a
plain reply joins them, so both say the same, and one delta is one completion token.
"""

import base64
import binascii
import itertools
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

import msgspec

from ollama_openai_proxy.demo_values import digest, fill

JsonObject = dict[str, Any]
# A tool, and the name in the words after it.
Mention = tuple[str, str | None]
Token = TypeVar("Token")
Count = Annotated[int, msgspec.Meta(ge=1)]

NOTE = (
    "This is the embedded demo backend: it has no model and only says your words back. "
    "Set OPENAI_API_BASE_URL to the address of an OpenAI-compatible server to talk to a real one."
)


class BadImageError(ValueError):
    """An image that is neither a data: URL with valid base64 nor an http(s) address."""


class ImageUrl(msgspec.Struct):
    url: str


class Part(msgspec.Struct):
    type: str
    text: str = ""
    image_url: ImageUrl | None = None


class Message(msgspec.Struct):
    role: str
    content: str | list[Part] | None = None

    @property
    def text(self) -> str:
        if isinstance(self.content, list):
            return "\n".join(part.text for part in self.content if part.text)
        return self.content or ""

    @property
    def images(self) -> list[str]:
        parts = self.content if isinstance(self.content, list) else []
        return [part.image_url.url for part in parts if part.image_url]


class Function(msgspec.Struct):
    name: str
    parameters: JsonObject | None = None


class Tool(msgspec.Struct):
    function: Function


class JsonSchema(msgspec.Struct):
    name: str
    schema: JsonObject | None = None


class ResponseFormat(msgspec.Struct):
    type: str
    json_schema: JsonSchema | None = None


class Reasoning(msgspec.Struct):
    enabled: bool | None = None
    effort: str | None = None


class StreamOptions(msgspec.Struct):
    include_usage: bool = False


class ChatRequest(msgspec.Struct):
    """The fields that change the answer; all others are accepted and ignored."""

    model: str
    messages: Annotated[list[Message], msgspec.Meta(min_length=1)]
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_tokens: Count | None = None
    max_completion_tokens: Count | None = None
    stop: str | list[str] | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, msgspec.Meta(ge=0, le=20)] | None = None
    tools: list[Tool] | None = None
    tool_choice: str | Tool | None = None
    parallel_tool_calls: bool | None = None
    response_format: ResponseFormat | None = None
    reasoning_effort: str | None = None
    reasoning: Reasoning | None = None
    chat_template_kwargs: JsonObject | None = None

    @property
    def prompt(self) -> str:
        """The text of the last user message."""
        return next((message.text for message in reversed(self.messages) if message.role == "user"), "")


@dataclass(frozen=True, slots=True)
class Answer:
    deltas: tuple[JsonObject, ...]
    finish_reason: str
    usage: JsonObject


def answer(request: ChatRequest, *, thinks: bool) -> Answer:
    """`thinks` says whether the model thinks when the request does not say."""
    calls = _calls(request)
    text = "" if calls else cut_at_stop(_text(request), request.stop)
    thinking = f'The user said "{request.prompt}". I say it back.' if wants_thinking(request, default=thinks) else ""
    deltas: list[JsonObject] = [
        *({"reasoning_content": piece} for piece in pieces(thinking)),
        *({"content": piece} for piece in pieces(text)),
        *(delta for index, call in enumerate(calls) for delta in _call_deltas(request, index, call)),
    ]
    kept, finish_reason = cut_at_limit(deltas, request.max_completion_tokens or request.max_tokens)
    if calls and finish_reason == "stop":
        finish_reason = "tool_calls"
    usage = count_usage((message.text for message in request.messages), len(kept))
    if thinking:
        reasoning_tokens = sum("reasoning_content" in delta for delta in kept)
        usage["completion_tokens_details"] = {"reasoning_tokens": reasoning_tokens}
    return Answer(tuple(kept), finish_reason, usage)


def join(deltas: Iterable[JsonObject]) -> JsonObject:
    """The message a reply carries when it is not streamed."""
    message: JsonObject = {"role": "assistant", "content": None}
    for delta in deltas:
        for key in delta.keys() - {"tool_calls"}:
            message[key] = (message.get(key) or "") + delta[key]
        for part in delta.get("tool_calls", ()):
            if "id" in part:
                call = {key: part[key] for key in ("id", "type")}
                message.setdefault("tool_calls", []).append(call | {"function": dict(part["function"])})
            else:
                message["tool_calls"][part["index"]]["function"]["arguments"] += part["function"]["arguments"]
    return message


def wants_thinking(request: ChatRequest, *, default: bool) -> bool:
    """Backends have three spellings of this switch; one "off" outweighs any "on"."""
    switches: list[bool | None] = [(request.chat_template_kwargs or {}).get("enable_thinking")]
    efforts = [request.reasoning_effort]
    if request.reasoning:
        switches.append(request.reasoning.enabled)
        efforts.append(request.reasoning.effort)
    switches += [effort != "none" for effort in efforts if effort is not None]
    said = [bool(switch) for switch in switches if switch is not None]
    return all(said) if said else default


def pieces(text: str) -> list[str]:
    """Words with the space before them, as tokens are; long words in several pieces."""
    return re.findall(r"\s*\S{1,12}|\s+", text)


def cut_at_stop(text: str, stop: str | list[str] | None) -> str:
    stops = [stop] if isinstance(stop, str) else stop or []
    return min((text.partition(mark)[0] for mark in stops if mark), key=len, default=text)


def cut_at_limit(tokens: list[Token], limit: int | None) -> tuple[list[Token], str]:
    return (tokens, "stop") if limit is None or limit >= len(tokens) else (tokens[:limit], "length")


def count_usage(texts: Iterable[str], completion_tokens: int) -> JsonObject:
    prompt_tokens = sum(len(text.split()) for text in texts)
    return {
        "prompt_tokens": prompt_tokens,
        "completion_tokens": completion_tokens,
        "total_tokens": prompt_tokens + completion_tokens,
    }


def completion(prompt: str, suffix: str | None) -> str:
    """The text of a legacy completion; with a suffix, of what belongs in between."""
    return f'Between "{prompt}" and "{suffix}".' if suffix else _echo(prompt)


def _echo(said: str, *more: str) -> str:
    opening = f"You said: {said}" if said.strip() else "You said nothing."
    return "\n\n".join((opening, *more, NOTE))


def _text(request: ChatRequest) -> str:
    results = [message.text for message in itertools.takewhile(_is_result, reversed(request.messages))]
    wanted = request.response_format
    if wanted and wanted.type == "json_schema" and wanted.json_schema:
        return _json(fill(wanted.json_schema.schema or {}, name_in(request.prompt) or "example"))
    if wanted and wanted.type == "json_object":
        return _json({"you_said": request.prompt})
    if results:
        return "\n".join(f"The tool said: {result}" for result in reversed(results))
    user = next((message for message in reversed(request.messages) if message.role == "user"), None)
    return _echo(request.prompt, *_sight(user.images if user else []))


def _is_result(message: Message) -> bool:
    return message.role == "tool"


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _sight(images: list[str]) -> Iterator[str]:
    if images:
        noun = "image" if len(images) == 1 else "images"
        yield f"I see {len(images)} {noun}: {'; '.join(map(_describe, images))}."


def _describe(url: str) -> str:
    if url.startswith(("http://", "https://")):
        return url
    header, comma, data = url.partition(",")
    if not (comma and header.startswith("data:") and header.endswith(";base64")):
        raise BadImageError("Invalid image: expected an http(s) address or a data: URL in base64.")
    try:
        size = len(base64.b64decode(data, validate=True))
    except binascii.Error as error:
        raise BadImageError(f"Invalid image: {error}.") from error
    return f"{header.removeprefix('data:').removesuffix(';base64')}, {size} {'byte' if size == 1 else 'bytes'}"


def name_in(text: str) -> str | None:
    """The first word in upper case that does not begin a sentence: likely what the question is about."""
    return next((word for word in re.findall(r"(?<=[\w,:;] )[^\W\d_]\w+", text) if word[0].isupper()), None)


def _calls(request: ChatRequest) -> list[JsonObject]:
    """One call for each mention of a tool in the prompt, with the name that follows the mention as its words."""
    tools = {tool.function.name: tool.function for tool in request.tools or ()}
    if not tools or request.tool_choice == "none" or _is_result(request.messages[-1]):
        return []
    longest_first = sorted(map(re.escape, tools), key=len, reverse=True)
    mentions = list(re.finditer(rf"(?<![\w-])(?:{'|'.join(longest_first)})(?![\w-])", request.prompt))
    bounds = [*(mention.start() for mention in mentions), len(request.prompt)]
    asked = [
        (mention.group(), name_in(request.prompt[mention.end() - 1 : end]))
        for mention, end in zip(mentions, bounds[1:], strict=True)
    ]
    word = name_in(request.prompt) or "example"
    chosen = _chosen(request, asked, list(tools))
    return [
        {"name": name, "arguments": _json(fill({**(tools[name].parameters or {}), "type": "object"}, after or word))}
        for name, after in (chosen[:1] if request.parallel_tool_calls is False else chosen)
    ]


def _chosen(request: ChatRequest, asked: list[Mention], names: list[str]) -> list[Mention]:
    match request.tool_choice:
        case Tool(function=Function(name=wanted)) if wanted in names:
            return [(name, after) for name, after in asked if name == wanted] or [(wanted, None)]
        case "required":
            return asked or [(names[0], None)]
    return asked


def _call_deltas(request: ChatRequest, index: int, call: JsonObject) -> Iterator[JsonObject]:
    # The length of the history keeps the ids of one conversation apart.
    seed = f"{len(request.messages)} {index} {call}"
    opening = {"id": f"call_{digest(seed.encode())}", "type": "function"}
    yield {"tool_calls": [{"index": index, **opening, "function": {"name": call["name"], "arguments": ""}}]}
    for fragment in re.findall(r"(?s).{1,5}", call["arguments"]):
        yield {"tool_calls": [{"index": index, "function": {"arguments": fragment}}]}
