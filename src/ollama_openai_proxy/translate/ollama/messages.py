"""A conversation, from Ollama's messages to those of a chat completion (contract 3.4 to 3.6, 11.3)."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import msgspec

from ollama_openai_proxy.errors import InvalidRequest
from ollama_openai_proxy.translate.ollama.golang import decode_base64
from ollama_openai_proxy.translate.ollama.wire import Message, ToolCall

# `developer` is OpenAI's, `control` is Granite's way of asking for thought.
ROLES = frozenset({"system", "user", "assistant", "tool", "developer", "control"})

# What the runner behind Ollama says, without asking one.
NO_IMAGE = "Failed to load image or audio file"

_SIGNATURES = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"BM", "image/bmp"),
    (b"II*\x00", "image/tiff"),
    (b"MM\x00*", "image/tiff"),
)
_ANY = ("", "")
_ISO_BRANDS = {b"avif": "image/avif", b"avis": "image/avif", b"heic": "image/heic", b"heix": "image/heic"}


def conversation(messages: list[Message]) -> list[dict[str, Any]]:
    """Return the messages of a chat completion. Raises InvalidRequest."""
    history = _History(messages)
    for message in messages:
        history.add(message)
    history.answer_open_calls()
    return history.messages


def user_message(text: str, images: list[str | None] | None) -> dict[str, Any]:
    """Return a user's turn."""
    return {"role": "user", "content": _content(text, images)}


class _History:
    """Keeps tool calls and their results together.

    Most clients send neither ids nor names back, and a chat completion wants each call answered
    once, by its id: ids are made up and matched by id, then by name, then by order.
    """

    def __init__(self, messages: list[Message]) -> None:
        self.messages: list[dict[str, Any]] = []
        self._open = _OpenCalls()
        self._taken = {call.id for message in messages for call in message.tool_calls or () if call.id}
        self._made = 0

    def add(self, message: Message) -> None:
        role = (message.role or "").lower()
        if role not in ROLES:
            raise InvalidRequest("invalid message role")
        if role == "tool":
            self._add_result(message)
            return
        self.answer_open_calls()
        added: dict[str, Any] = {"role": role, "content": _content(message.content or "", message.images)}
        if message.tool_calls:
            added["content"] = added["content"] or None
            added["tool_calls"] = [self._call(call) for call in message.tool_calls]
        self.messages.append(added)

    def answer_open_calls(self) -> None:
        """Fill the gaps: a call without a result is refused by most backends."""
        for call_id in self._open.left():
            self.messages.append({"role": "tool", "tool_call_id": call_id, "content": ""})
        self._open = _OpenCalls()

    def _call(self, call: ToolCall) -> dict[str, Any]:
        function = call.function
        name = (function and function.name) or ""
        call_id = call.id or self._new_id()
        self._open.add(call_id, name)
        arguments = _arguments(bytes(function.arguments) if function else b"")
        return {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}

    def _new_id(self) -> str:
        while (call_id := f"call_{self._made:08d}") in self._taken:
            self._made += 1
        self._made += 1
        return call_id

    def _add_result(self, message: Message) -> None:
        content = _content(message.content or "", message.images)
        call_id = self._open.take(message.tool_call_id, message.tool_name)
        if call_id is None:  # a result that nobody asked for: the model may still read it
            self.messages.append({"role": "user", "content": content})
        else:
            result = {"role": "tool", "tool_call_id": call_id, "content": content}
            self.messages.append(result | ({"name": message.tool_name} if message.tool_name else {}))


@dataclass(slots=True)
class _Call:
    id: str
    answered: bool = False


class _OpenCalls:
    """The calls without a result, first come first: by id, by name, and all of them.

    A call stays in the queues that it was not taken from, and is passed over there: finding each
    takes the same time, however many there are.
    """

    def __init__(self) -> None:
        self._queues: dict[tuple[str, str | None], deque[_Call]] = {}

    def add(self, call_id: str, name: str) -> None:
        call = _Call(call_id)
        for key in (("id", call_id), ("name", name), _ANY):
            self._queues.setdefault(key, deque()).append(call)

    def take(self, call_id: str | None, name: str | None) -> str | None:
        """Return the id of the call that a result belongs to."""
        keys = (("id", call_id), ("name", name), _ANY)
        call = next((call for key in keys for call in self._waiting(key)), None)
        if call is None:
            return None
        call.answered = True
        return call.id

    def left(self) -> list[str]:
        """Return the ids of the calls that have no result yet."""
        return [call.id for call in self._waiting(_ANY)]

    def _waiting(self, key: tuple[str, str | None]) -> Iterator[_Call]:
        queue = self._queues.get(key, deque())
        while queue:
            call = queue.popleft()
            if not call.answered:
                yield call


def _arguments(raw: bytes) -> str:
    """Return a call's arguments as JSON text, unchanged."""
    raw = raw.strip()
    if raw in (b"", b"null"):
        return "{}"
    if raw.startswith(b'"'):
        raise InvalidRequest("Value looks like object, but can't find closing '}' symbol")
    if not raw.startswith(b"{"):
        raise InvalidRequest("Value is not object")
    return raw.decode()


def _content(text: str, images: list[str | None] | None) -> str | list[dict[str, Any]]:
    parts = [_media_part(image) for image in images or () if image]
    if not parts:
        return text
    return [{"type": "text", "text": text}, *parts] if text else parts


def _media_part(image: str) -> dict[str, Any]:
    data = decode_base64(image)
    encoded = image.replace("\r", "").replace("\n", "")
    audio = _audio_format(data)
    if audio:
        return {"type": "input_audio", "input_audio": {"data": encoded, "format": audio}}
    return {"type": "image_url", "image_url": {"url": msgspec.Raw(f'"data:{_image_type(data)};base64,{encoded}"')}}


def _image_type(data: bytes) -> str:
    for signature, media_type in _SIGNATURES:
        if data.startswith(signature):
            return media_type
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    if data[4:8] == b"ftyp" and data[8:12] in _ISO_BRANDS:
        return _ISO_BRANDS[data[8:12]]
    raise InvalidRequest(NO_IMAGE)


def _audio_format(data: bytes) -> str | None:
    """Return the format of audio, which Ollama takes in `images` too (contract 3.4)."""
    if data[:4] == b"RIFF" and data[8:12] == b"WAVE":
        return "wav"
    is_mpeg = len(data) > 1 and data[0] == 0xFF and data[1] & 0xE0 == 0xE0 and data[1] & 0x06
    return "mp3" if data.startswith(b"ID3") or is_mpeg else None
