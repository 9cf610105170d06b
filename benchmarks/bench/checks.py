"""Whether an answer is the right one. A peer that answers wrongly gets no numbers."""

from __future__ import annotations

import json
from typing import Any

from benchmarks.bench import answers
from benchmarks.bench.loads import DIMENSIONS, MODELS, Front, Load
from benchmarks.bench.replies import Head

_SHOWN = 160
_SLACK = 400  # bytes by which answers to the same question may differ: times and ids


def problem(load: Load, front: Front, head: Head, body: bytes) -> str:
    """Return what is wrong with an answer, "" if nothing. `body`: without the framing of chunks."""
    if head.status != 200:
        return f"status {head.status}: {_shown(body)}"
    if load.streamed:
        return _stream(load, front, body)
    try:
        return _whole(load, front, json.loads(body))
    except (ValueError, KeyError, TypeError, IndexError):
        return f"another answer: {_shown(body)}"


def alike(body: bytes, first: bytes) -> bool:
    """Whether an answer can pass for the same as one that was looked at closely, by its size."""
    return abs(len(body) - len(first)) <= _SLACK


def _stream(load: Load, front: Front, body: bytes) -> str:
    done = body.rstrip().endswith(b"data: [DONE]") if front == "openai" else b'"done":true' in _last(body)
    if not done:
        return f"no last record: {_shown(body[-_SHOWN:])}"
    if load.plan.tools:
        return _tools(front, load, body)
    token = b"@" if load.plan.pause else answers.PIECE.encode()
    came = body.count(token)
    return "" if came == load.plan.events else f"{came} events of {load.plan.events}"


def _tools(front: Front, load: Load, body: bytes) -> str:
    """Look for each fragment, or for what the calls ask for where they are put together again."""
    if front == "openai":
        wanted, came = len(answers.stream(load.plan)), body.count(b'"tool_calls":')
    else:
        wanted, came = len(answers.CITIES), sum(body.count(b'"%s"' % city.encode()) for city in answers.CITIES)
    return "" if came >= wanted else f"{came} of {wanted} tool calls: {_shown(body)}"


def _whole(load: Load, front: Front, value: dict[str, Any]) -> str:
    if load.kind == "models":
        return _counted("models", len(value["models" if front == "ollama" else "data"]), MODELS)
    if load.kind == "embed":
        vectors = value["embeddings"] if front == "ollama" else [one["embedding"] for one in value["data"]]
        numbers = {len(vector) for vector in vectors}
        if numbers != {DIMENSIONS} or not isinstance(vectors[-1][-1], float):
            return f"vectors of {sorted(numbers)} numbers"
        return _counted("vectors", len(vectors), load.plan.batch)
    message = value["message"] if front == "ollama" else value["choices"][0]["message"]
    return "" if message["content"] == answers.TEXT else f"another answer: {str(message)[:_SHOWN]}"


def _counted(what: str, came: int, wanted: int) -> str:
    return "" if came == wanted else f"{came} {what} of {wanted}"


def _last(body: bytes) -> bytes:
    """Return the last line, without the spaces that some put after colons."""
    return body.rstrip().rpartition(b"\n")[2].replace(b": ", b":")


def _shown(body: bytes) -> str:
    return body[:_SHOWN].decode(errors="replace").replace("\n", " ").strip()
