"""Tool calls as Ollama sends them: whole, all of a turn at once, arguments as an object (contract 3.6)."""

from __future__ import annotations

import hashlib
import json
from itertools import count
from typing import Any

import msgspec
from msgspec import Raw

from ollama_openai_proxy.errors import UpstreamBroken
from ollama_openai_proxy.translate.events import Odd, ToolCallDelta, note
from ollama_openai_proxy.translate.text import mend

_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
INVALID = "model returned invalid tool arguments"


class ToolCallCollector:
    """Gathers the pieces of a turn's calls."""

    def __init__(self, seed: int) -> None:
        """`seed` tells the turns of a conversation apart, so that no two calls get the same id."""
        self.odd: Odd = {}
        self._seed = seed
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
        # Clients send the id back with the result, so a call that the backend gave none gets one.
        free = (call_id for number in count() if (call_id := _id(self._seed, number)) not in used)
        calls = []
        taken = set()
        for index, (ids, names, arguments) in enumerate(self._calls.values()):
            call_id = "".join(ids)
            if not call_id or call_id in taken:  # some give all calls the same
                call_id = next(free)
            taken.add(call_id)
            function = {"index": index, "name": _name(names), "arguments": self._arguments("".join(arguments))}
            calls.append({"id": call_id, "function": function})
        self._calls.clear()
        return msgspec.json.encode(calls)

    def _arguments(self, text: str) -> Raw:
        """Return the object that the text is. Some backends encode it twice, or write null for none."""
        try:
            value = _parse(text)
            if isinstance(value, str):
                note(self.odd, "tool_bad_args")
                value = _parse(value)
            if value is None:
                value = {}
            if isinstance(value, dict):
                # By json, which refuses NaN and infinity: msgspec would write null.
                return Raw(json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode())
        except (ValueError, RecursionError):
            pass
        note(self.odd, "tool_bad_args")
        raise UpstreamBroken(INVALID)


def _id(seed: int, number: int) -> str:
    """Return an id of Ollama's form (contract 3.6): `call_` and eight digits or small letters."""
    value = int.from_bytes(hashlib.sha256(f"{seed} {number}".encode()).digest())
    return "call_" + "".join(_DIGITS[value // 36**place % 36] for place in range(8))


def _name(pieces: list[str]) -> str:
    name = "".join(pieces)
    if not name:
        raise UpstreamBroken("model called a tool without a name")
    return name


def _parse(text: str) -> Any:
    return mend(json.loads(text)) if text.strip() else None
