"""What backends send, as their vendors document it (https://platform.openai.com/docs/api-reference/chat/streaming)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from support.scripted import Chunk, End, Send, Status, Step

SSE = Status(200, "Content-Type: text/event-stream", "Transfer-Encoding: chunked")
DONE = b"data: [DONE]\n\n"


def event(payload: object) -> bytes:
    return b"data: " + json.dumps(payload).encode() + b"\n\n"


def delta(**fields: object) -> bytes:
    return event({"object": "chat.completion.chunk", "choices": [{"index": 0, "delta": fields, "finish_reason": None}]})


def text(content: str) -> bytes:
    return delta(content=content)


def finish(reason: str = "stop") -> bytes:
    return event({"object": "chat.completion.chunk", "choices": [{"index": 0, "delta": {}, "finish_reason": reason}]})


def usage(prompt: int = 3, completion: int = 2) -> bytes:
    counts = {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}
    return event({"object": "chat.completion.chunk", "choices": [], "usage": counts})


def streamed(*events: bytes) -> Sequence[Step]:
    """Each event in a chunk of its own, then the end."""
    return (SSE, *map(Chunk, events), End())


def body(payload: Any, status: int = 200, *headers: str) -> Sequence[Step]:
    """A JSON body, or bytes as they are, with its length."""
    data = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    lines = headers or ("Content-Type: application/json",)
    return (Status(status, *lines, f"Content-Length: {len(data)}"), Send(data))


def completion(content: str = "Hi", reason: str = "stop") -> dict[str, Any]:
    """A chat completion that is not streamed."""
    message = {"role": "assistant", "content": content}
    return {
        "object": "chat.completion",
        "choices": [{"index": 0, "message": message, "finish_reason": reason}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5},
    }


# A whole answer, streamed: "Hi", 3 tokens in, 2 out.
HI = streamed(text("Hi"), finish(), usage(), DONE)
