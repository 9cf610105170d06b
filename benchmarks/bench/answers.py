"""What the scripted backend answers: bytes, made before the first request comes."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Sequence

from benchmarks.bench.loads import DIMENSIONS, MODELS, Plan

TEXT = "A short answer of some words."
PIECE = " token"
STAMP = "@%05d.%020d;"
"""Place and nanoseconds of the monotonic clock."""
CITIES = ("Lisbon", "Reykjavik")

_CHUNK = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1700000000, "model": "bench"}
_USAGE = {"prompt_tokens": 5, "completion_tokens": 6, "total_tokens": 11}
_VECTORS = 16
_FRAGMENT = 4


def stream(plan: Plan) -> list[bytes]:
    """Return the events of a stream; those of a paced one are formats for place and time, in a fixed width."""
    if plan.tools:
        return [*map(_event, _calls())]
    content = STAMP if plan.pause else PIECE
    return [_event(_choice({"content": content}))] * plan.events


def stream_end(plan: Plan) -> bytes:
    """Return what follows the last event: the finish reason, the usage and the end, in one write."""
    finish = _choice({}, "tool_calls" if plan.tools else "stop")
    return _event(finish) + _event({**_CHUNK, "choices": [], "usage": _USAGE}) + b"data: [DONE]\n\n"


def whole(plan: Plan) -> bytes:
    """Return the body of an answer that is not streamed."""
    if plan.batch:
        return _embeddings(plan.batch)
    message = {"role": "assistant", "content": TEXT}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    return _json({**_CHUNK, "object": "chat.completion", "choices": [choice], "usage": _USAGE})


def models() -> bytes:
    """Return the list of models: `bench`, and so many others."""
    names = ["bench", *(f"bench-{number:03}" for number in range(1, MODELS))]
    found = [{"id": name, "object": "model", "created": 1700000000, "owned_by": "bench"} for name in names]
    return _json({"object": "list", "data": found})


def _embeddings(batch: int) -> bytes:
    chance = random.Random(1)  # noqa: S311  # numbers to carry, no secret
    vectors = [_unit([chance.gauss(0, 1) for _ in range(DIMENSIONS)]) for _ in range(min(batch, _VECTORS))]
    data = [{"object": "embedding", "index": at, "embedding": vectors[at % len(vectors)]} for at in range(batch)]
    usage = {"prompt_tokens": 17 * batch, "total_tokens": 17 * batch}
    return _json({"object": "list", "data": data, "model": "bench", "usage": usage})


def _unit(vector: Sequence[float]) -> list[float]:
    """Return the vector with length 1, as nearly all models' are, in the digits of a float32."""
    length = math.hypot(*vector)
    return [round(value / length, 9) for value in vector]


def _calls() -> Sequence[dict[str, object]]:
    """Return two calls of a tool, their arguments in fragments."""
    found: list[dict[str, object]] = []
    for index, city in enumerate(CITIES):
        function = {"name": "get_weather", "arguments": ""}
        found.append({"index": index, "id": f"call_{index}", "type": "function", "function": function})
        arguments = json.dumps({"city": city, "unit": "celsius", "days": 3})
        fragments = (arguments[start : start + _FRAGMENT] for start in range(0, len(arguments), _FRAGMENT))
        found += [{"index": index, "function": {"arguments": fragment}} for fragment in fragments]
    return [_choice({"tool_calls": [call]}) for call in found]


def _choice(delta: object, finish: str | None = None) -> dict[str, object]:
    return {**_CHUNK, "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}


def _event(chunk: dict[str, object]) -> bytes:
    return b"data: " + _json(chunk) + b"\n\n"


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
