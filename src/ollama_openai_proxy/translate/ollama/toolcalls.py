"""Tool calls as Ollama sends them: whole, all of a turn at once, arguments as an object (contract 3.6)."""

from __future__ import annotations

import json
from typing import Any, NoReturn

import msgspec

from ollama_openai_proxy.errors import UpstreamBroken
from ollama_openai_proxy.translate.events import ToolCallDelta
from ollama_openai_proxy.translate.text import mend

INVALID = "model returned invalid tool arguments"


class ToolCallCollector:
    """Gathers the pieces of a turn's calls."""

    def __init__(self) -> None:
        self._calls: dict[int, tuple[list[str], list[str], list[str]]] = {}

    def add(self, delta: ToolCallDelta) -> None:
        ids, names, arguments = self._calls.setdefault(delta.call, ([], [], []))
        ids.append(delta.id)
        names.append(delta.name)
        arguments.append(delta.arguments)

    def finish(self) -> bytes:
        """Return the JSON array of the calls, b"" when there are none. Raises UpstreamBroken."""
        if not self._calls:
            return b""
        used = {"".join(ids) for ids, _, _ in self._calls.values()}
        calls = []
        for index, (ids, names, arguments) in enumerate(self._calls.values()):
            call_id = "".join(ids) or _free_id(index, used)
            function = {"index": index, "name": _name(names), "arguments": _arguments("".join(arguments))}
            calls.append({"id": call_id, "function": function})
        self._calls.clear()
        return msgspec.json.encode(calls)


def _free_id(index: int, used: set[str]) -> str:
    """Return an id for a call that the backend gave none: clients send it back with the result."""
    while (call_id := f"call_{index:08d}") in used:
        index += 1
    used.add(call_id)
    return call_id


def _name(pieces: list[str]) -> str:
    name = "".join(pieces)
    if not name:
        raise UpstreamBroken("model called a tool without a name")
    return name


def _arguments(text: str) -> dict[str, Any]:
    """Return the object that the text is. Some backends encode it twice, or write null for none."""
    value = _parse(text) if text.strip() else {}
    if isinstance(value, str):
        value = _parse(value) if value.strip() else {}
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise UpstreamBroken(INVALID)
    return {str(key): item for key, item in mend(value).items()}


def _parse(text: str) -> Any:
    try:
        return json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError):
        raise UpstreamBroken(INVALID) from None


def _refuse(constant: str) -> NoReturn:
    raise ValueError(constant)
