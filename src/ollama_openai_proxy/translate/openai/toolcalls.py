"""Which tool call a fragment belongs to.

OpenAI numbers its calls with `index` and sends `id` and `name` once. Others leave the index out or
always send 0, send the id late, with every fragment or never, repeat the name or cut it in two, and
send arguments as an object. Here all of that becomes `ToolCallDelta`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from ollama_openai_proxy.errors import UpstreamBroken
from ollama_openai_proxy.translate.events import ToolCallDelta
from ollama_openai_proxy.translate.openai.wire import INVALID, Function, ToolCall


class _Call:
    """What has been seen of one call."""

    def __init__(self, number: int, index: int | None) -> None:
        self.number = number
        self.index = index
        self.id = ""
        self.name = ""
        self.arguments: list[str] = []

    def is_complete(self) -> bool:
        """Whether the arguments are JSON already, so that more of them must be another call's."""
        try:
            json.loads("".join(self.arguments))
        except (ValueError, RecursionError):
            return False
        return True


class ToolCalls:
    """Routes fragments to calls: by id, then by index, then to the one that was last."""

    def __init__(self) -> None:
        self._calls: list[_Call] = []

    def add(self, fragments: list[ToolCall]) -> Iterator[ToolCallDelta]:
        for fragment in fragments:
            function = fragment.function or Function()
            name = function.name if isinstance(function.name, str) else ""
            call_id = fragment.id if isinstance(fragment.id, str) else ""
            arguments = _text(function.arguments)
            if not (call_id or name or arguments):
                continue  # it says nothing yet, not even that there is a call
            call = self._route(call_id, _index(fragment.index), name, arguments)
            if delta := _append(call, call_id, name, arguments):
                yield delta

    def _route(self, call_id: str, index: int | None, name: str, arguments: str) -> _Call:
        call = self._known(call_id, index, name) or self._candidate(index)
        if call is None or _starts_another(call, call_id, index, name, arguments):
            call = _Call(len(self._calls), index)
            self._calls.append(call)
        return call

    def _known(self, call_id: str, index: int | None, name: str) -> _Call | None:
        same = [call for call in reversed(self._calls) if call_id and call.id == call_id]
        for call in same:
            if call.index == index:
                return call
        if not same or (name and index is not None and same[0].index is not None):
            return None  # an index of its own and a name: the backend gives every call the same id
        return same[0]

    def _candidate(self, index: int | None) -> _Call | None:
        if index is None:
            return self._calls[-1] if self._calls else None
        # The last of that index: backends that always send 0 mean the one they are at.
        return next((call for call in reversed(self._calls) if call.index in (index, None)), None)


def _starts_another(call: _Call, call_id: str, index: int | None, name: str, arguments: str) -> bool:
    """Whether a fragment opens a new call instead of continuing the one it seems to belong to."""
    if call_id and call.id and call_id != call.id:
        # A new id with a name is a new call; without one it is a backend that makes up ids.
        return bool(name)
    if not name or not call.name:
        return False
    if name != call.name:
        # A name in two pieces comes before any argument, and with an index or the id.
        return bool(call.arguments) or (index is None and not call_id)
    if not arguments and call.id:
        return False  # the name again, and nothing else: another call would have its own id
    return (not arguments or arguments.lstrip().startswith("{")) and call.is_complete()


def _append(call: _Call, call_id: str, name: str, arguments: str) -> ToolCallDelta | None:
    new_id = "" if call.id else call_id
    new_name = "" if name == call.name else name
    call.id += new_id
    call.name += new_name
    if arguments:
        call.arguments.append(arguments)
    if not (new_id or new_name or arguments):
        return None
    return ToolCallDelta(call.number, new_id, new_name, arguments)


def _index(value: Any) -> int | None:
    if isinstance(value, str) and value.isdecimal() and len(value) < 10:
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _text(arguments: Any) -> str:
    if isinstance(arguments, str):
        return arguments
    try:
        return "" if arguments is None else json.dumps(arguments, ensure_ascii=False)
    except RecursionError:  # a little less deep than what can't be read
        raise UpstreamBroken(INVALID) from None
