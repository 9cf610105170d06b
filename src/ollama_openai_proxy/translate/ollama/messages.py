"""A conversation, from Ollama's messages to those of a chat completion (contract 3.5, 3.6, 11.3)."""

from __future__ import annotations

from typing import Any

from ollama_openai_proxy.errors import InvalidRequest
from ollama_openai_proxy.translate.ollama.calls import OpenCalls, arguments_of
from ollama_openai_proxy.translate.ollama.media import content
from ollama_openai_proxy.translate.ollama.wire import Message, ToolCall

# `developer` is OpenAI's, `control` is Granite's way of asking for thought.
_USUAL = frozenset({"system", "user", "assistant", "tool", "developer", "control"})
_TALKS = _USUAL - {"tool"}
_OPEN = "<think>"
_CLOSE = "</think>"


def conversation(messages: list[Message], *, strip_thoughts: bool = False) -> list[dict[str, Any]]:
    """Return the messages of a chat completion. Raises InvalidRequest.

    An assistant's past `thinking` is kept under that name, which no backend knows: `openai/request.py` says it in the
    words of those that want it, and leaves it out for the others. `strip_thoughts`: leave out what stands between think
    tags in the assistant's turns before the last of the user's, as Ollama does for some models (contract 5.8).
    """
    if plain := None if strip_thoughts else _plain(messages):
        return plain
    history = _History(messages)
    last = _last_question(messages) if strip_thoughts else 0
    for at, message in enumerate(messages):
        history.add(message, strip_thoughts=at < last)
    history.answer_open_calls()
    return history.messages


def _plain(messages: list[Message]) -> list[dict[str, Any]] | None:
    """Return the messages where each is but a role and a text, as in most conversations."""
    plain: list[dict[str, Any]] = []
    for message in messages:
        if message.role not in _TALKS or message.images or message.tool_calls or message.thinking:
            return None
        plain.append({"role": message.role, "content": message.content or ""})
    return plain


def user_message(text: str, images: list[str | None] | None) -> dict[str, Any]:
    """Return a user's turn."""
    return {"role": "user", "content": content(text, images)}


class _History:
    """Keeps tool calls and their results together.

    Most clients send neither ids nor names back, and a chat completion wants each call answered
    once, by its id: ids are made up and matched by id, then by name, then by order.
    """

    def __init__(self, messages: list[Message]) -> None:
        self.messages: list[dict[str, Any]] = []
        self._open: OpenCalls | None = None  # None: no turn with calls since the last that was answered
        # Ids that were sent, and so are never made up; those of calls are each used once.
        self._taken = {call.id for message in messages for call in message.tool_calls or () if call.id}
        self._used: set[str] = set()
        self._made = 0
        self._shown: list[dict[str, Any]] = []  # what is the user's of results, until the last of them is there

    def add(self, message: Message, *, strip_thoughts: bool = False) -> None:
        role = message.role
        if role not in _USUAL and not (role := _role(message)):
            raise InvalidRequest("invalid message role")
        if role == "tool":
            self._add_result(message)
        elif role == "assistant" and self._calls_more(message):
            self.messages[-1]["tool_calls"] += self._calls(message)
        else:
            self.answer_open_calls()
            text = message.content or ""
            if role == "assistant":
                self._add_answer(message, _without_thoughts(text) if strip_thoughts else text)
            else:
                self._append({"role": role, "content": content(text, message.images)})

    def answer_open_calls(self) -> None:
        """Fill the gaps: a call without a result is refused by most backends. Then show what results held of media."""
        if self._open is not None:
            for call_id in self._open.left():
                self.messages.append({"role": "tool", "tool_call_id": call_id, "content": ""})
            self._open = None
        if self._shown:
            only_text = len(self._shown) == 1 and self._shown[0].get("text")
            self.messages.append({"role": "user", "content": only_text or self._shown})
            self._shown = []

    def _add_answer(self, message: Message, text: str) -> None:
        answer: dict[str, Any] = {"role": "assistant", "content": content(text, message.images)}
        if message.thinking:
            answer["thinking"] = message.thinking
        if calls := self._calls(message):
            answer["content"] = answer["content"] or None
            answer["tool_calls"] = calls
        self.messages.append(answer)

    def _calls_more(self, message: Message) -> bool:
        """Whether this turn is but more calls of the one before: who keeps a stream line by line has them apart."""
        said = message.content or message.thinking or message.images
        return bool(message.tool_calls) and not said and bool(self.messages) and "tool_calls" in self.messages[-1]

    def _append(self, message: dict[str, Any]) -> None:
        """Add a message, or join it to the one before: LangChain.js sends a text and its images apart."""
        before = self.messages[-1] if self.messages else None
        if before and message["role"] == before["role"] == "user" and (_is_media(message) or _is_media(before)):
            before["content"] = [*_parts(before["content"]), *_parts(message["content"])]
        else:
            self.messages.append(message)

    def _calls(self, message: Message) -> list[dict[str, Any]]:
        return [self._call(call) for call in message.tool_calls or () if not _is_nothing(call)]

    def _call(self, call: ToolCall) -> dict[str, Any]:
        function = call.function
        name = (function and function.name) or ""
        if self._open is None:
            self._open = OpenCalls()
        call_id = call.id if call.id and call.id not in self._used else self._new_id()
        self._used.add(call_id)
        self._open.add(call_id, name, sent_as=call.id or "")
        return {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments_of(call)}}

    def _new_id(self) -> str:
        while (call_id := f"call_{self._made:08d}") in self._taken:
            self._made += 1
        self._made += 1
        return call_id

    def _add_result(self, message: Message) -> None:
        """Add a result. Images in it become the user's, who alone may send them to most backends."""
        call_id = self._open and self._open.take(
            message.tool_call_id, message.tool_name, exactly=message.tool_call_id in self._taken
        )
        if call_id is None:
            self._add_stray(content(message.content or "", message.images))
            return
        if message.images:
            self._shown += _parts(content("", message.images))
        result = {"role": "tool", "tool_call_id": call_id, "content": message.content or ""}
        if message.tool_name:
            result["name"] = message.tool_name
        self.messages.append(result)

    def _add_stray(self, said: str | list[dict[str, Any]]) -> None:
        """Add a result that no open call has asked for: the model may still read it, as the user's.

        Where others are waited for, it stands behind them: in between it would end the turn.
        """
        if self._open and self._open.left():
            self._shown += _parts(said)
        else:
            self.answer_open_calls()
            self._append({"role": "user", "content": said})


def _role(message: Message) -> str:
    return (message.role or "").strip().lower()


def _last_question(messages: list[Message]) -> int:
    return max((at for at, message in enumerate(messages) if _role(message) == "user"), default=0)


def _is_nothing(call: ToolCall) -> bool:
    """Whether the call was null."""
    function = call.function
    return not (call.id or (function and (function.name or bytes(function.arguments))))


def _is_media(message: dict[str, Any]) -> bool:
    """Whether the message is images or audio without a word."""
    said = message["content"]
    return isinstance(said, list) and said[0]["type"] != "text"


def _parts(said: str | list[dict[str, Any]]) -> list[dict[str, Any]]:
    if isinstance(said, str):
        return [{"type": "text", "text": said}] if said else []
    return said


def _without_thoughts(text: str) -> str:
    """Return what follows the thoughts that open the text; thoughts without an end leave nothing."""
    start = text.lstrip()
    return start.partition(_CLOSE)[2].lstrip() if start.startswith(_OPEN) else text
