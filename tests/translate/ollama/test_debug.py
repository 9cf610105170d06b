"""`_debug_render_only` (contract 3.11)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ollama_openai_proxy.translate.ollama.debug import debug_answer
from ollama_openai_proxy.translate.ollama.reply import CHAT, GENERATE
from ollama_openai_proxy.translate.ollama.request import Completion

NOW = 1_704_067_200 * 10**9
IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}


def answer(body: dict[str, Any]) -> bytes:
    return debug_answer(GENERATE, Completion(body, {}, None), "M", NOW)


def info(body: dict[str, Any]) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(answer(body))["_debug_info"]
    return told


def test_generate() -> None:
    """The object for a generation, in its order."""
    assert answer({"messages": [{"role": "user", "content": "Hi"}]}) == (
        b'{"model":"M","created_at":"2024-01-01T00:00:00Z","response":"","done":false,'
        b'"_debug_info":{"rendered_template":"user: Hi\\n"}}'
    )


def test_chat() -> None:
    """The object for a chat has a message with neither role nor content."""
    body = {"messages": [{"role": "system", "content": "S"}, {"role": "assistant", "content": None}]}
    assert debug_answer(CHAT, Completion(body, {}, None), "M", NOW) == (
        b'{"model":"M","created_at":"2024-01-01T00:00:00Z","message":{"role":"","content":""},"done":false,'
        b'"_debug_info":{"rendered_template":"system: S\\nassistant: \\n"}}'
    )


@pytest.mark.parametrize(("body", "text"), [({"prompt": "a"}, "a"), ({"prompt": "a", "suffix": "b"}, "ab")])
def test_plain_prompt(body: dict[str, Any], text: str) -> None:
    """A prompt that needs no template is told as it is."""
    assert info(body) == {"rendered_template": text}


def test_images() -> None:
    """Images are marks, counted over the whole conversation."""
    messages = [
        {"role": "user", "content": [{"type": "text", "text": "two: "}, IMAGE, IMAGE]},
        {"role": "user", "content": [IMAGE]},
    ]
    assert info({"messages": messages}) == {
        "rendered_template": "user: two: [img-0][img-1]\nuser: [img-2]\n",
        "image_count": 3,
    }


def test_line_separators() -> None:
    """Rule R4: some clients split lines at U+2028."""
    assert b"\\u2028" in answer({"prompt": "a\u2028b"})
