"""A log line for machines: one JSON object, ASCII only, so that no locale and no reader can break it."""

from __future__ import annotations

import logging
import socket
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from pythonjsonlogger.json import JsonEncoder, JsonFormatter

from ollama_openai_proxy.observe.log_fields import facts_of, message_of
from ollama_openai_proxy.observe.tracebacks import describe, summary

MAX_LINE = 16 * 1024  # characters; Docker's log drivers cut what is longer
_CUTS = (4096, 1024, 256)  # characters of each text in a line that is too long, until it fits


class JsonLines(JsonFormatter):
    """Makes lines. Which host, version and environment they come from is in each."""

    def __init__(self, *, version: str = "", environment: str = "") -> None:
        super().__init__()
        known = {"host": socket.gethostname(), "version": version, "environment": environment}
        self._source = {name: value for name, value in known.items() if value}
        self._encoder = _Encoder(ensure_ascii=True, allow_nan=False)

    def add_fields(self, log_data: dict[str, Any], record: logging.LogRecord, message_dict: Mapping[str, Any]) -> None:
        """Put the fields of a line in their order."""
        log_data["time"] = _time(record.created)
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


def _time(seconds: float) -> str:
    """RFC 3339, in UTC."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _cut(value: Any, size: int) -> Any:
    """Return a text without its middle: a traceback ends with what it is about."""
    if isinstance(value, str) and len(value) > size:
        return f"{value[: size // 2]}...{value[-size // 2 :]}"
    return value
