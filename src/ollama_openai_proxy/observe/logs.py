"""Log lines: one JSON object each, on standard output."""

from __future__ import annotations

import logging
import sys
import time
from typing import Any, TextIO

from pythonjsonlogger.json import JsonFormatter

from ollama_openai_proxy.observe.record import Record, request_id

_exchanges = logging.getLogger("ollama_openai_proxy.exchange")



def log_exchange(record: Record) -> None:
    """Write the one line of an exchange. It holds nothing of what was asked or answered."""
    # What trails after a whole answer is no part of it.
    end = record.last_byte if record.outcome == "ok" else None
    fields: dict[str, Any] = {
        "request_id": record.request_id,
        "method": record.method,
        "path": record.path[:128],
        "model": record.model[:128],
        "status": record.status,
        "outcome": record.outcome or "internal",
        "bytes_in": record.bytes_in,
        "bytes_out": record.bytes_out,
        "duration_ms": _milliseconds((end or time.perf_counter_ns()) - record.started),
    }
    if record.first_byte is not None:
        fields["first_byte_ms"] = _milliseconds(record.first_byte - record.started)
    _exchanges.info("exchange", extra=fields)


def configure(level: str, stream: TextIO | None = None) -> None:
    """Send every logger's lines, uvicorn's and Python's warnings included, to one stream."""
    handler = logging.StreamHandler(stream or sys.stdout)
    handler.setFormatter(_formatter())
    handler.addFilter(_add_request_id)
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    logging.captureWarnings(capture=True)
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = name != "uvicorn.access"  # log_exchange says it better
    for name in ("asyncio", "uvicorn.error"):  # our own lines tell of start and stop
        logging.getLogger(name).setLevel(logging.WARNING)


def _formatter() -> logging.Formatter:
    return JsonFormatter(
        ["levelname", "name", "message"],
        rename_fields={"levelname": "level", "name": "logger"},
        timestamp="time",
        json_ensure_ascii=True,
    )


def _add_request_id(line: logging.LogRecord) -> bool:
    if (current := request_id.get()) and not hasattr(line, "request_id"):
        line.request_id = current
    return True


def _milliseconds(nanoseconds: int) -> float:
    return round(nanoseconds / 1e6, 3)
