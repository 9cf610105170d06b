"""Replies of a backend, decoded to events and translated to a client's bytes, without a socket."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from ollama_openai_proxy.errors import UpstreamError
from ollama_openai_proxy.translate.events import (
    Event,
    Finish,
    Logprobs,
    Pieces,
    TextDelta,
    ThinkingDelta,
    ToolCallDelta,
    Usage,
)
from ollama_openai_proxy.translate.ollama.reply import CHAT, Reply, ReplyEncoder, Shape
from ollama_openai_proxy.translate.openai.reply import decoder_for
from ollama_openai_proxy.translate.translator import ReplyTranslator

SSE = "text/event-stream"
JSON = "application/json"
DONE = "[DONE]"
# The request arrives at 2023-11-14T22:13:20Z, the upstream is asked after 1 ms, everything comes at 5 ms.
ARRIVED = 1_700_000_000 * 10**9
OPENED = 1_000_000
ELAPSED = 5_000_000
CREATED_AT = "2023-11-14T22:13:20.005Z"


def sse(*chunks: object) -> bytes:
    """One event for each chunk: an object as JSON, text as it is."""
    lines = [chunk if isinstance(chunk, str) else json.dumps(chunk, ensure_ascii=False) for chunk in chunks]
    return "".join(f"data: {line}\n\n" for line in lines).encode()


def delta(content: object = None, finish: object = None, **fields: object) -> dict[str, Any]:
    """A chunk with the delta of a message."""
    return {"choices": [{"index": 0, "delta": {"content": content, **fields}, "finish_reason": finish}]}


def tools(*fragments: object, finish: object = None) -> dict[str, Any]:
    """A chunk with fragments of tool calls."""
    return delta(tool_calls=list(fragments), finish=finish)


STOP = delta(finish="stop")


@dataclass
class Told:
    """What a reply says in the end."""

    text: str = ""
    thinking: str = ""
    calls: list[tuple[str, str, str]] = field(default_factory=list)  # id, name, arguments
    logprobs: list[dict[str, Any]] = field(default_factory=list)
    usage: tuple[int | None, int | None] | None = None
    reason: str | None = None


def decode(*reads: bytes, content_type: str = SSE, secrets: tuple[str, ...] = ()) -> list[Event]:
    """Return the events of a reply that ends after these reads. Raises UpstreamError."""
    decoder = decoder_for(content_type, reads[0] if reads else b"", secrets)
    events: list[Event] = []
    for read in reads:
        decoder.feed(read, events)
    decoder.close(events)
    return events


def tell(events: Iterable[Event]) -> Told:
    """Add the events up, and check what their order promises: one `Finish`, last, after the only `Usage`."""
    told = Told()
    for event in events:
        assert told.reason is None, "an event after Finish"
        assert told.usage is None or isinstance(event, Finish), "a delta after Usage"
        match event:
            case TextDelta(text):
                assert text
                told.text += text
            case ThinkingDelta(text):
                assert text
                told.thinking += text
            case Pieces():
                texts = event.texts()
                assert all(texts)
                assert len(texts) == event.count
                told.text += "" if event.thinking else "".join(texts)
                told.thinking += "".join(texts) if event.thinking else ""
            case ToolCallDelta(call, call_id, name, arguments):
                assert call <= len(told.calls)
                before = told.calls.pop(call) if call < len(told.calls) else ("", "", "")
                told.calls.insert(call, (before[0] + call_id, before[1] + name, before[2] + arguments))
            case Logprobs(entries):
                told.logprobs += entries
            case Usage(prompt, completion):
                told.usage = (prompt, completion)
            case Finish(reason):
                told.reason = reason
    return told


def told(*chunks: object, done: bool = True) -> Told:
    """Return what a stream of these chunks says, `[DONE]` after them."""
    return tell(decode(sse(*chunks, *([DONE] if done else []))))


Call = tuple[str, str, str]
Fragment = tuple[Any, Any, Any, Any]  # index, id, name, arguments; None for what is left out


def written(fragment: Fragment) -> dict[str, Any]:
    """The fragment as it comes over the wire."""
    index, call_id, name, arguments = fragment
    function = {"name": name, "arguments": arguments}
    fields = {"index": index, "id": call_id, "function": {k: v for k, v in function.items() if v is not None}}
    return {key: value for key, value in fields.items() if value is not None}


def calls_of(*fragments: Fragment, together: bool = True) -> list[Call]:
    """The calls that a stream of these fragments tells."""
    parts = [written(fragment) for fragment in fragments]
    chunks = [tools(*parts)] if together else [tools(part) for part in parts]
    return told(*chunks, STOP).calls


@dataclass(frozen=True)
class Replayed:
    """What a client was sent, the error record included."""

    output: bytes
    failure: UpstreamError | None
    done: bool

    @property
    def lines(self) -> list[dict[str, Any]]:
        """The NDJSON records; each line ends, and none is blank."""
        assert self.output == b"" or self.output.endswith(b"\n")
        assert b"\n\n" not in self.output
        return [json.loads(line) for line in self.output.splitlines()]

    @property
    def body(self) -> dict[str, Any]:
        """The whole object, which has no line feed."""
        assert b"\n" not in self.output
        body: dict[str, Any] = json.loads(self.output)
        return body


def replay(
    reads: Iterable[bytes],
    content_type: str = SSE,
    *,
    shape: Shape = CHAT,
    streamed: bool = True,
    top_logprobs: int | None = None,
    secrets: tuple[str, ...] = (),
) -> Replayed:
    """Translate a reply that ends after these reads, as an exchange does: it stops at the end or a failure."""
    reply = Reply(shape, "m", ARRIVED, streamed=streamed, top_logprobs=top_logprobs)
    translator = ReplyTranslator(ReplyEncoder(reply), secrets)
    translator.open(content_type, OPENED)
    output = b""
    for read in reads:
        output += translator.feed(read, ELAPSED)
        if translator.failure or translator.done:
            break
    else:
        output += translator.close(ELAPSED)
    if translator.failure:
        output += translator.failed(translator.failure)
    return Replayed(output, translator.failure, translator.done)
