"""Tool calls of past turns, and which result belongs to which (contract 3.6, 11.3)."""

from __future__ import annotations

from collections import defaultdict, deque
from dataclasses import dataclass

from ollama_openai_proxy.errors import InvalidRequest
from ollama_openai_proxy.translate.ollama.tools import NO_OBJECT
from ollama_openai_proxy.translate.ollama.wire import Message, ToolCall

_ANY = ("", "")


def check_arguments(messages: list[Message] | None) -> None:
    """Raise InvalidRequest for arguments that are no object: Ollama's decoder does not take them."""
    for message in messages or ():
        if message.tool_calls:
            for call in message.tool_calls:
                arguments_of(call)


def arguments_of(call: ToolCall) -> str:
    """Return the arguments as JSON text, unchanged. Raises InvalidRequest."""
    raw = bytes(call.function.arguments).strip() if call.function else b""
    if raw in (b"", b"null"):
        return "{}"
    if not raw.startswith(b"{"):
        raise InvalidRequest(NO_OBJECT)
    return raw.decode()


@dataclass(slots=True)
class _Call:
    id: str
    name: str
    sent_as: str
    answered: bool = False


class OpenCalls:
    """The calls of a turn that wait for a result, first come first: by id, by name, and all of them.

    A call stays in the queues that it was not taken from, and is passed over there: finding each
    takes the same time, however many there are.
    """

    def __init__(self) -> None:
        self._calls: list[_Call] = []
        self._queues: defaultdict[tuple[str, str | None], deque[_Call]] | None = None

    def add(self, call_id: str, name: str, *, sent_as: str = "") -> None:
        """Add a call; `sent_as` is the id by which the client knows it."""
        self._calls.append(_Call(call_id, name, sent_as or call_id))
        self._queues = None

    def take(self, call_id: str | None, name: str | None, *, exactly: bool = False) -> str | None:
        """Return the id of the call that a result belongs to; `exactly`: no other call than the one of that id."""
        if len(self._calls) == 1:  # nearly always: there is no other to find
            return _answered(self._calls[0]) if not exactly or call_id == self._calls[0].sent_as else None
        self._queues = self._queues or self._sorted()
        for key in (("id", call_id), ("name", name), _ANY)[: 1 if exactly else None]:
            queue = self._queues[key]
            while queue:
                if found := _answered(queue.popleft()):
                    return found
        return None

    def left(self) -> list[str]:
        """Return the ids of the calls that have no result yet."""
        return [call.id for call in self._calls if not call.answered]

    def _sorted(self) -> defaultdict[tuple[str, str | None], deque[_Call]]:
        queues: defaultdict[tuple[str, str | None], deque[_Call]] = defaultdict(deque)
        for call in self._calls:
            for key in (("id", call.sent_as), ("name", call.name), _ANY):
                queues[key].append(call)
        return queues


def _answered(call: _Call) -> str | None:
    """Take the call, and return its id, unless a result has taken it."""
    if call.answered:
        return None
    call.answered = True
    return call.id
