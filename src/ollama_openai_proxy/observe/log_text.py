"""A log line for people: the time here, how bad, what, and the rest as `name=value`.

Whatever a client chose is shown with its control characters escaped: it forges no line and sends no
terminal a command.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from typing import Any, TextIO

from ollama_openai_proxy.observe.log_fields import facts_of, message_of
from ollama_openai_proxy.observe.tracebacks import describe

MAX_TEXT = 2048  # characters of a message or a value
_LEVELS = {"WARNING": "WARN", "CRITICAL": "FATAL"}
_COLOURS = {"DEBUG": "2", "INFO": "32", "WARN": "33", "ERROR": "31", "FATAL": "1;31"}
_OURS = "ollama_openai_proxy"


class TextLines(logging.Formatter):
    """Makes lines, with colours if there is a terminal that shows them."""

    def __init__(self, *, colour: bool = False) -> None:
        super().__init__()
        self._colour = colour

    def format(self, record: logging.LogRecord) -> str:
        """Return one line, and a traceback on indented lines of its own."""
        facts = facts_of(record)
        level = _LEVELS.get(record.levelname, record.levelname)
        message = _message(record, facts)
        if not record.name.startswith(_OURS):
            facts["logger"] = record.name
        parts = [
            self._paint(time.strftime("%H:%M:%S", time.localtime(record.created)), "2"),
            self._paint(f"{level:<5}", _COLOURS.get(level, "0")),
            message,
            *(self._paint(f"{escape(str(name))}=", "2") + _value(value) for name, value in facts.items()),
        ]
        line = " ".join(parts)
        if record.exc_info and (error := record.exc_info[1]) is not None:
            line += "".join(f"\n    {escape(code)}" for code in describe(error).splitlines())
        return line

    def _paint(self, text: str, colour: str) -> str:
        return f"\x1b[{colour}m{text}\x1b[0m" if self._colour else text


def is_wanted(environ: Mapping[str, str], stream: TextIO | None) -> bool:
    """Whether a line to `stream` is for people, while the settings are not known to be valid."""
    asked = environ.get("LOG_FORMAT", "").strip().strip("\"'").lower()
    return asked == "text" or (not asked and stream is not None and stream.isatty())


def escape(text: str) -> str:
    """Return a text of at most MAX_TEXT characters that stays in its line and is all seen."""
    if len(text) > MAX_TEXT:
        text = f"{text[:MAX_TEXT]}..."
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


def _message(record: logging.LogRecord, facts: dict[str, Any]) -> str:
    """Return the message; that of an exchange or of a change of state is made of the facts, which are taken away."""
    message = message_of(record)
    if message == "exchange" and "dur_ms" in facts:
        if not facts.get("client_gone"):
            facts.pop("client_gone", None)
        words = [facts.pop(name, "") for name in ("method", "route", "path", "model", "status", "outcome")]
        return " ".join([*(_value(word) for word in words if word != ""), f"{facts.pop('dur_ms'):.1f} ms"])
    if message == "lifecycle" and "state" in facts:
        message = str(facts.pop("state")).replace("_", " ")
    return escape(message)


def _value(value: Any) -> str:
    if isinstance(value, dict):
        return ",".join(f"{escape(str(name))}:{_value(inner)}" for name, inner in value.items())
    text = escape(str(value))
    return text if text and not {*text} & {*' ="'} else '"' + text.replace('"', '\\"') + '"'
