"""What the chunks of one completion add up to, as events."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ollama_openai_proxy.errors import UpstreamBroken
from ollama_openai_proxy.translate.events import (
    NO_USAGE,
    Event,
    Finish,
    Logprobs,
    Odd,
    TextDelta,
    ThinkingDelta,
    note,
)
from ollama_openai_proxy.translate.openai import usage
from ollama_openai_proxy.translate.openai.errors import Secrets, stream_error
from ollama_openai_proxy.translate.openai.logprobs import entries
from ollama_openai_proxy.translate.openai.thinktags import ThinkTags, may_open
from ollama_openai_proxy.translate.openai.toolcalls import ToolCalls
from ollama_openai_proxy.translate.openai.wire import Choice, Chunk, Message, ToolCall, native

TRUNCATED = "the upstream closed the stream before finishing"
EMPTY = "empty response from upstream"

# The finish reasons of generations that did not finish.
_FAILED = {"error": "the upstream failed while generating", "abort": "the upstream aborted the generation"}
_CALLED = frozenset({"tool_calls", "function_call"})


class Completion:
    """What the chunks of one completion add up to.

    `usage` is what the backend has said by now that it spent; `ended`: there was a `Finish`; `passive`: text has no
    think tag in front of it that could still be found.
    """

    __slots__ = (
        "_any",
        "_counted",
        "_has_content",
        "_odd",
        "_reason",
        "_secrets",
        "_tags",
        "_terminated",
        "_tools",
        "ended",
        "passive",
        "usage",
    )

    def __init__(self, secrets: Secrets, odd: Odd, *, passive: bool = False) -> None:
        """`odd` counts what a backend says otherwise than it should."""
        self._secrets = secrets
        self._odd = odd
        self._tools: ToolCalls | None = None  # most replies have none
        self._tags: ThinkTags | None = None  # nor anything that may be a tag
        self.passive = passive
        self._reason = ""
        self.usage = NO_USAGE
        self._has_content = False
        self._terminated = False
        self._any = False
        self._counted = False  # by a chunk that says nothing else
        self.ended = False

    @property
    def finishing(self) -> bool:
        """Whether the finish reason is known and only trailing facts are awaited."""
        return (bool(self._reason) or self._terminated) and not self.ended

    @property
    def holds(self) -> bool:
        """Whether text was or is held back, for a think tag that it may be part of."""
        return self._tags is not None

    @property
    def open(self) -> bool:
        """Whether nothing has been said of an end."""
        return not (self._reason or self._terminated or self.ended)

    def add(self, chunk: Chunk, out: list[Event], data: bytes) -> None:
        """Append what a chunk says; `data` is the JSON that it was read from."""
        if chunk.error:
            raise stream_error(chunk.error, self._secrets)
        if chunk.object == "error":
            raise stream_error({"message": chunk.message, "code": chunk.code}, self._secrets)
        choices = chunk.choices or native(data)
        for choice in choices:
            if not choice.index or choice.index == "0":  # others answer what nobody asked
                self._any = True
                if self._reason:
                    self._late_choice(choice, out)
                else:
                    self._choice(choice, out)
        if chunk.usage or chunk.timings:
            if chunk.usage:
                self._note_usage(chunk.usage, alone=not choices)
            self.usage = usage.merge(self.usage, chunk.usage, chunk.timings)
            self._terminated = self._terminated or (self._has_content and not choices)
            if self._reason and chunk.usage and not choices:  # the last of all facts
                self.end(out)
        elif not choices:
            note(self._odd, "no_choices")

    def end(self, out: list[Event]) -> None:
        """Finish: all that can follow has come, or nothing more will."""
        if self.ended:
            return
        if not self._any:
            raise UpstreamBroken(EMPTY, outcome="up_empty")
        self.ended = True
        self._note_reason()
        if self._tools:
            self._tools.close()
        if self._tags:
            out.extend(self._tags.close())
        if self.usage != NO_USAGE:
            out.append(self.usage)
        out.append(Finish(self._reason or "stop"))

    def cut(self, out: list[Event]) -> None:
        """The bytes ended: finish if the backend had said so, fail if not."""
        if self._reason or self._terminated:
            self.end(out)
        elif not self.ended:
            broken = UpstreamBroken(TRUNCATED, outcome="up_truncated")
            raise broken if self._any else UpstreamBroken(EMPTY, outcome="up_empty")

    def _note_usage(self, said: Any, *, alone: bool) -> None:
        if not usage.is_plain(said):
            note(self._odd, "bad_usage")
        if alone and self._counted:
            note(self._odd, "dup_usage")
        self._counted = self._counted or alone

    def _note_reason(self) -> None:
        calls = self._tools is not None and self._tools.begun
        if not self._reason:
            note(self._odd, "finish_missing")
        elif self._reason in _CALLED:
            if not calls:
                note(self._odd, "finish_mismatch")
        elif calls and self._reason == "stop":
            note(self._odd, "finish_mismatch")

    def _late_choice(self, choice: Choice, out: list[Event]) -> None:
        before = len(out)
        self._choice(choice, out)
        if len(out) > before:
            note(self._odd, "late_content")

    def _choice(self, choice: Choice, out: list[Event]) -> None:
        if choice.logprobs and (found := entries(choice.logprobs)):
            out.append(Logprobs(found))
        message = choice.delta or choice.message
        if message:
            self._message(message, out)
        elif choice.text and isinstance(choice.text, str):
            self._has_content = True
            out.append(TextDelta(choice.text))
        elif choice.text is None:
            note(self._odd, "no_delta")
        reason = choice.finish_reason
        if reason and isinstance(reason, str):
            if failed := _FAILED.get(reason.lower()):
                raise UpstreamBroken(failed, outcome="up_midstream_error")
            if self._reason:
                note(self._odd, "dup_finish")
            self._reason = reason

    def _message(self, message: Message, out: list[Event]) -> None:
        thinks = message.reasoning_content or message.reasoning or message.thinking or message.reasoning_details
        if thinks and (thinking := _thinking(message)):
            self._has_content = True
            if _is_doubled(message):
                note(self._odd, "reasoning_alias")
            out.append(ThinkingDelta(thinking))
        content = message.content
        if content:
            self._has_content = True
            if type(content) is not str:
                out.extend(_parts(content))
            elif self.passive or not (self._tags or may_open(content)):
                self.passive = True
                out.append(TextDelta(content))
            else:
                self._look_for_tags(content, out)
        if message.refusal and isinstance(message.refusal, str):
            self._has_content = True
            out.append(TextDelta(message.refusal))
        if message.tool_calls:
            self._has_content = True
            self._call_tools(message.tool_calls, out)
        elif message.function_call:
            self._has_content = True
            self._call_tools([ToolCall(index=0, function=message.function_call)], out)

    def _look_for_tags(self, content: str, out: list[Event]) -> None:
        tags = self._tags = self._tags or ThinkTags()
        out.extend(tags.feed(content))
        self.passive = tags.passive

    def _call_tools(self, fragments: list[ToolCall], out: list[Event]) -> None:
        tools = self._tools = self._tools or ToolCalls(self._odd)
        out.extend(tools.add(fragments))


def _thinking(message: Message) -> str:
    """Return the reasoning, which some backends send under two names at once."""
    for value in (message.reasoning_content, message.reasoning, message.thinking):
        if value and isinstance(value, str):
            return value
    details = message.reasoning_details
    if not isinstance(details, list):
        return ""
    return "".join(_string(part, "text") or _string(part, "summary") for part in details)


def _is_doubled(message: Message) -> bool:
    """Whether the reasoning came under two names; details beside it are OpenRouter's usual way."""
    if message.reasoning_content:
        return bool(message.reasoning or message.thinking)
    return bool(message.reasoning and message.thinking)


def _parts(content: Any) -> Iterator[Event]:
    """Yield content that comes as a list of parts: text, and with Mistral thinking, itself in parts."""
    for part in content if isinstance(content, list) else ():
        if isinstance(part, dict) and (thought := part.get("thinking")):
            pieces = thought if isinstance(thought, list) else [thought]
            if thinking := "".join(_string(piece, "text") for piece in pieces):
                yield ThinkingDelta(thinking)
        elif text := _string(part, "text"):
            yield TextDelta(text)


def _string(part: Any, key: str) -> str:
    value = part.get(key) if isinstance(part, dict) else part
    return value if isinstance(value, str) else ""
