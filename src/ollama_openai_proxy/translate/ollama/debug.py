"""`_debug_render_only`: what would be asked of the model, told and not asked (contract 3.11).

The backend makes the prompt that its model gets, and nobody else knows how. A plain prompt is told as it is; the
messages of a chat are told one after the other, each image as a mark.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import count
from typing import Any

import msgspec

from ollama_openai_proxy.translate.ollama.reply import CHAT, Shape
from ollama_openai_proxy.translate.ollama.request import Completion
from ollama_openai_proxy.translate.ollama.times import timestamp
from ollama_openai_proxy.translate.text import escape_separators


def debug_answer(shape: Shape, completion: Completion, model: str, now: int) -> bytes:
    """Return the answer: `model` is the client's name, `now` the time in nanoseconds since 1970."""
    text, images = _rendered(completion.body)
    info: dict[str, Any] = {"rendered_template": text}
    if images:
        info["image_count"] = images
    answer: dict[str, Any] = {"model": model, "created_at": timestamp(now)}
    answer |= {"message": {"role": "", "content": ""}} if shape is CHAT else {"response": ""}
    return escape_separators(msgspec.json.encode(answer | {"done": False, "_debug_info": info}))


def _rendered(body: Mapping[str, Any]) -> tuple[str, int]:
    """Return the text, and how many images or sounds it has marks of."""
    if "messages" not in body:
        return body["prompt"] + body.get("suffix", ""), 0
    marks = count()
    said = [f"{message['role']}: {_content(message['content'], marks)}\n" for message in body["messages"]]
    return "".join(said), next(marks)


def _content(content: Any, marks: Iterator[int]) -> str:
    if isinstance(content, list):
        return "".join(part["text"] if "text" in part else f"[img-{next(marks)}]" for part in content)
    return content or ""
