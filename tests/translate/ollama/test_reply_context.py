"""`context` in the replies of `/api/generate` (contract 5.7)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ollama_openai_proxy.translate.events import (
    Event,
    Finish,
    Logprobs,
    TextDelta,
    ThinkingDelta,
    ToolCallDelta,
    Usage,
)
from ollama_openai_proxy.translate.ollama.context import Conversation, Turn, decode
from ollama_openai_proxy.translate.ollama.reply import GENERATE, ContextEncoder, Reply

PROMPT = Turn("user", "Hi")
TOKEN = {"token": "lo", "logprob": -1}
EVENTS: list[Event] = [
    ThinkingDelta("hm"),
    TextDelta("Hel"),
    TextDelta("lo"),
    Logprobs([TOKEN]),
]


def objects(*events: Event, streamed: bool) -> list[dict[str, Any]]:
    reply = Reply(GENERATE, "M", 0, streamed=streamed, top_logprobs=0)
    encoder = ContextEncoder(reply, Conversation([PROMPT]))
    out: list[bytes] = []
    for event in events:
        encoder.encode([event], 5, out)
    return [json.loads(line) for line in b"".join(out).splitlines()]


@pytest.mark.parametrize("streamed", [True, False])
def test_last_object_has_the_context(streamed: bool) -> None:
    """Contract 5.7: the last object alone has a context: the prompt and the answer without its thinking."""
    *lines, last = objects(*EVENTS, Usage(3, 2), Finish("stop"), streamed=streamed)
    assert not any("context" in line for line in lines)
    assert bool(lines) is streamed
    assert decode(last["context"]) == [PROMPT, Turn("assistant", "Hello")]


def test_order_of_keys() -> None:
    """Contract 5.7: the context stands between the reason and the metrics, calls of tools stand behind them."""
    call = ToolCallDelta(0, "a", "f", "{}")
    (whole,) = objects(*EVENTS, call, Usage(3, 2), Finish("stop"), streamed=False)
    assert list(whole) == [
        "model",
        "created_at",
        "response",
        "thinking",
        "done",
        "done_reason",
        "context",
        "total_duration",
        "load_duration",
        "prompt_eval_count",
        "prompt_eval_duration",
        "eval_count",
        "eval_duration",
        "tool_calls",
        "logprobs",
    ]
    *_, line, last = objects(ToolCallDelta(0, "a", "f", "{}"), Logprobs([TOKEN]), Finish("stop"), streamed=True)
    assert list(line) == ["model", "created_at", "response", "done", "tool_calls", "logprobs"]
    assert "tool_calls" not in last
