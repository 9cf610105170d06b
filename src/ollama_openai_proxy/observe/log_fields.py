"""What a log line says, before it is put as JSON or for people."""

from __future__ import annotations

import logging
from typing import Any

from pythonjsonlogger.core import RESERVED_ATTRS

from ollama_openai_proxy.errors import ProxyError
from ollama_openai_proxy.observe.record import request_id
from ollama_openai_proxy.observe.tracebacks import summary, without_texts

# The attributes that each LogRecord has, the names of our own, and uvicorn's copy of its message with colours.
_NO_FACTS = frozenset({*RESERVED_ATTRS, "taskName", "color_message", "asctime"}) | {
    *("time", "level", "logger", "host", "version", "environment")
}


class Line(logging.LogRecord):
    """The line of an exchange. Its facts are texts, numbers and tables of these.

    There is one for each request: it is made without a look at who called, and shown without a look for its facts
    among all that each line has.
    """

    __slots__ = ("facts",)

    def __init__(self, logger: str, facts: dict[str, Any]) -> None:
        super().__init__(logger, logging.INFO, "logs.py", 0, "exchange", None, None)
        self.facts = facts
        self.__dict__.update(facts)


def message_of(line: logging.LogRecord) -> str:
    """Return the message, without what an exception or an argument of a callback says."""
    if isinstance(line.msg, BaseException):
        return summary(line.msg)
    if isinstance(line.args, tuple) and any(isinstance(arg, BaseException) for arg in line.args):
        return str(line.msg) % tuple(_text(arg) if isinstance(arg, BaseException) else arg for arg in line.args)
    message = line.getMessage()
    if line.name == "asyncio":
        # After the first line and a bracket come values: a task's result, a callback's arguments.
        return message.partition("\n")[0].partition("(")[0]
    return without_texts(message).strip("\n") if "\n" in message else message


def facts_of(line: logging.LogRecord) -> dict[str, Any]:
    """Return the fields that this line has beyond those of every line."""
    if isinstance(line, Line):
        return {**line.facts}
    facts = {name: value for name, value in line.__dict__.items() if name not in _NO_FACTS}
    if "request_id" not in facts and (current := request_id.get()):
        facts["request_id"] = current
    return facts


def _text(error: BaseException) -> str:
    return error.message if isinstance(error, ProxyError) else summary(error)
