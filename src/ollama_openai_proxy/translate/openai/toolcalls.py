"""Which tool call a fragment belongs to.

OpenAI numbers its calls with `index` and sends `id` and `name` once. Others leave the index out or
always send 0, send the id late, with every fragment or never, repeat the name or cut it in two, and
send arguments as an object. Here all of that becomes `ToolCallDelta`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from ollama_openai_proxy.errors import UpstreamBroken
from ollama_openai_proxy.translate.events import Odd, ToolCallDelta, note
from ollama_openai_proxy.translate.openai.wire import INVALID, Function, ToolCall

MAX_CALLS = 512
TOO_MANY = "the upstream called too many tools"
# What tells how deep JSON is: brackets, and strings, in which brackets are none.
_TOKENS = re.compile(r'["\\{}\[\]]')


class _Call:
    """What has been seen of one call."""

    def __init__(self, number: int, index: int | None) -> None:
        self.number = number
        self.index = index
        self.id = ""
        self.name = ""
        self.arguments: list[str] = []
        self._balance = _Balance()
        self._weighed = 0  # how many of the arguments

    def is_complete(self) -> bool:
        """Whether the arguments are JSON already, so that more of them must be another call's.

        Each piece is looked at once: with the name on every fragment this is asked for every fragment.
        """
        self._balance.add("".join(self.arguments[self._weighed :]))
        self._weighed = len(self.arguments)
        return self._balance.is_even


class _Balance:
    """Whether what was opened in a JSON text has been closed."""

    def __init__(self) -> None:
        self._depth = 0
        self._in_string = False
        self._escapes = False  # what comes next
        self._begun = False

    @property
    def is_even(self) -> bool:
        return self._begun and self._depth <= 0 and not self._in_string

    def add(self, text: str) -> None:
        self._begun = self._begun or bool(text.strip())
        at = 0
        if self._escapes and text:
            at, self._escapes = 1, False
        while match := _TOKENS.search(text, at):
            at = match.end()
            found = match[0]
            if found == "\\":
                if self._in_string:
                    self._escapes = at == len(text)
                    at += 1
            elif found == '"':
                self._in_string = not self._in_string
            elif not self._in_string:
                self._depth += 1 if found in "{[" else -1


class ToolCalls:
    """Routes fragments to calls: by id, then by index, then to the one that was last."""

    def __init__(self, odd: Odd) -> None:
        """`odd` counts what a reader has to guess."""
        self._calls: list[_Call] = []
        self._odd = odd

    @property
    def begun(self) -> bool:
        """Whether there is a call."""
        return bool(self._calls)

    def close(self) -> None:
        """No more comes."""
        for call in self._calls:
            if not call.id:
                note(self._odd, "tool_no_id")

    def add(self, fragments: list[ToolCall]) -> Iterator[ToolCallDelta]:
        for fragment in fragments:
            function = fragment.function or Function()
            name = function.name if isinstance(function.name, str) else ""
            call_id = fragment.id if isinstance(fragment.id, str) else ""
            arguments = _text(function.arguments)
            if arguments and type(function.arguments) is not str:
                note(self._odd, "tool_bad_args")
            if not (call_id or name or arguments):
                continue  # it says nothing yet, not even that there is a call
            call = self._route(call_id, _index(fragment.index), name, arguments)
            if name and not call.name and (call.id or call.arguments):
                note(self._odd, "tool_late_name")
            if delta := _append(call, call_id, name, arguments):
                yield delta

    def _route(self, call_id: str, index: int | None, name: str, arguments: str) -> _Call:
        call = self._known(call_id, index, name) or self._candidate(index)
        if call is None or _starts_another(call, call_id, index, name, arguments):
            if len(self._calls) == MAX_CALLS:
                raise UpstreamBroken(TOO_MANY)
            if index is None:
                note(self._odd, "tool_no_index")
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
