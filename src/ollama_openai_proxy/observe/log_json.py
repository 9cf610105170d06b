"""A log line for machines: one JSON object, ASCII only, so that no locale and no reader can break it."""

from __future__ import annotations

import logging
import socket
from collections.abc import Mapping
from datetime import UTC, datetime
from math import modf
from typing import Any

import msgspec
from pythonjsonlogger.json import JsonEncoder, JsonFormatter

from ollama_openai_proxy.observe.log_fields import Line, facts_of, message_of
from ollama_openai_proxy.observe.tracebacks import describe, summary

MAX_LINE = 16 * 1024  # characters; Docker's log drivers cut what is longer
_CUTS = (4096, 1024, 256)  # characters of each text in a line that is too long, until it fits


class JsonLines(JsonFormatter):
    """Makes lines. Which host, version and environment they come from is in each."""

    def __init__(self, *, version: str = "", environment: str = "") -> None:
        super().__init__()
        known = {"host": socket.gethostname(), "version": version, "environment": environment}
        self._source = {name: value for name, value in known.items() if value}
        self._clock = _Clock()
        self._encoder = _Encoder(ensure_ascii=True, allow_nan=False)

    def format(self, record: logging.LogRecord) -> str:
        """Return the line. That of an exchange takes the short way, to the same text."""
        return (isinstance(record, Line) and self._plain(record)) or super().format(record)

    def _plain(self, line: Line) -> str:
        """Return the line of an exchange, "" if anything in it would be spelled in another way here."""
        head = {"time": self._clock.text(line.created), "level": line.levelname, "logger": line.name}
        try:
            encoded = msgspec.json.encode({**head, "message": line.msg, **line.facts, **self._source})
        except (OverflowError, UnicodeEncodeError):  # a large number, half a pair of surrogates
            return ""
        if b"\x7f" in encoded or not encoded.isascii() or len(encoded) > MAX_LINE // 2:
            return ""
        return msgspec.json.format(encoded, indent=0).decode()

    def add_fields(self, log_data: dict[str, Any], record: logging.LogRecord, message_dict: Mapping[str, Any]) -> None:
        """Put the fields of a line in their order."""
        log_data["time"] = self._clock.text(record.created)
        log_data["level"] = record.levelname
        log_data["logger"] = record.name
        log_data["message"] = "" if isinstance(record.msg, dict) else message_of(record)
        log_data.update(facts_of(record))
        log_data.update(message_dict)  # a message that is itself an object, and the traceback
        if not log_data.get("exc_info", True):
            del log_data["exc_info"]
        log_data.update(self._source)

    def formatException(self, ei: Any) -> str:  # noqa: N802  # logging's name
        """Return the traceback, without what foreign exceptions say."""
        return "" if ei[1] is None else describe(ei[1])

    def jsonify_log_record(self, log_data: dict[str, Any]) -> str:
        """Return the line. Texts are cut when it would be too long."""
        line = self._encoder.encode(log_data)
        for size in _CUTS:
            if len(line) <= MAX_LINE:
                break
            line = self._encoder.encode({name: _cut(value, size) for name, value in log_data.items()})
        return line


class _Encoder(JsonEncoder):
    def default(self, o: Any) -> Any:
        return summary(o) if isinstance(o, BaseException) else super().default(o)


class _Clock:
    """Writes times as RFC 3339 does, in UTC. The text of the last second is kept."""

    def __init__(self) -> None:
        self._second = -1.0
        self._text = ""

    def text(self, seconds: float) -> str:
        """Return the time, in milliseconds, of which parts are left out."""
        fraction, second = modf(seconds)
        microseconds = round(fraction * 1e6)
        if microseconds == 1_000_000:
            microseconds, second = 0, second + 1
        if second != self._second:
            self._second, self._text = second, datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S")
        return f"{self._text}.{microseconds // 1000:03}Z"


def _cut(value: Any, size: int) -> Any:
    """Return a text without its middle: a traceback ends with what it is about."""
    if isinstance(value, str) and len(value) > size:
        return f"{value[: size // 2]}...{value[-size // 2 :]}"
    return value
