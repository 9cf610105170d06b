"""The log: what is written, and how it gets to standard output and, if one is wanted, to a file."""

from __future__ import annotations

import logging
import sys
import time
from logging.handlers import QueueHandler
from queue import SimpleQueue
from typing import Any, Literal, TextIO

from ollama_openai_proxy.observe import hooks
from ollama_openai_proxy.observe.log_fields import Line
from ollama_openai_proxy.observe.log_file import LogFile
from ollama_openai_proxy.observe.log_json import JsonLines
from ollama_openai_proxy.observe.log_text import TextLines, escape
from ollama_openai_proxy.observe.log_writer import LineWriter, Output, Sink
from ollama_openai_proxy.observe.record import Record

Format = Literal["json", "text"]
State = Literal["starting", "ready", "not_ready", "draining", "stopped"]

_NAME = "ollama_openai_proxy"
_MAX_NAME = 128  # characters of what a client chose
_LAST_WORDS = 1.0  # seconds for what waits when the process ends

_exchanges = logging.getLogger(f"{_NAME}.exchange")
_lifecycle = logging.getLogger(f"{_NAME}.lifecycle")


class Logs:
    """The log that was configured."""

    def __init__(self, *writers: LineWriter) -> None:
        self._writers = writers

    @property
    def dropped(self) -> int:
        """How many lines were dropped, by the stream and by the file: they came too fast, or nobody took them."""
        return sum(writer.dropped for writer in self._writers)

    def put(self, line: str) -> None:
        """Queue a line. Calls must not overlap."""
        for writer in self._writers:
            writer.put(line)

    def close(self, seconds: float = _LAST_WORDS) -> None:
        """Write what waits, for at most so long. Lines that come later are still written, one by one."""
        deadline = time.monotonic() + seconds
        # The stream last: the file's last word may be that it can't be written, and that goes to the stream.
        for left, writer in reversed([*enumerate(self._writers, 1)]):
            writer.close(max(0.0, deadline - time.monotonic()) / left)


def configure(
    level: str,
    *,
    fmt: Format = "json",
    version: str = "",
    environment: str = "",
    stream: TextIO | None = None,
    colour: bool | None = None,
    file: LogFile | None = None,
) -> Logs:
    """Send every logger's lines, uvicorn's and all that Python itself would print included, to one stream.

    Without `colour`, text is coloured when the stream is a terminal. With `file` the same lines go there, too,
    without colour.
    """
    stream = sys.stdout if stream is None else stream
    formatter: logging.Formatter
    if fmt == "text":
        formatter = TextLines(colour=_is_terminal(stream) if colour is None else colour)
    else:
        formatter = JsonLines(version=version, environment=environment)
    handler = _Handler(formatter, stream, file)
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = name != "uvicorn.access"  # log_exchange says it better
    for name in ("asyncio", "uvicorn.error"):  # our own lines tell of start and stop
        logging.getLogger(name).setLevel(logging.WARNING)
    hooks.install()
    return handler.logs


def log_exchange(record: Record) -> None:
    """Write the one line of an exchange. It holds nothing of what was asked or answered."""
    if not _exchanges.isEnabledFor(logging.INFO):
        return
    first = record.first_byte
    tokens: dict[str, int] = {}
    if record.prompt_tokens is not None:
        tokens["prompt"] = record.prompt_tokens
    if record.completion_tokens is not None:
        tokens["completion"] = record.completion_tokens
    fields: dict[str, Any] = {
        "request_id": record.request_id,
        "front": record.front,
        "route": record.route,
        "path": "" if record.route else record.path[:_MAX_NAME],
        "method": record.method[:_MAX_NAME],
        "model": record.model[:_MAX_NAME],
        "upstream": record.upstream,
        "status": record.status,
        "outcome": record.outcome or "internal",
        "attempts": record.attempts,
        "ttft_ms": None if first is None else _milliseconds(first - record.started),
        "dur_ms": _milliseconds(record.duration),
        "in_bytes": record.bytes_in,
        "out_bytes": record.bytes_out,
        "tokens": tokens,
        "client_gone": record.client_gone,
        "err_class": record.error,
        "added_ms": _milliseconds(record.added) if record.added else None,
        "trace_id": record.trace_id,
    }
    fields = {name: value for name, value in fields.items() if value or value == 0}  # none, no text, no tokens
    _exchanges.handle(Line(_exchanges.name, fields))


def lifecycle(state: State, **facts: str | float | None) -> None:
    """Write the line of a change of state, with facts such as `reason`, `code` or `seconds`."""
    known = {name: value for name, value in facts.items() if value is not None}
    _lifecycle.info("lifecycle", extra={"state": state, **known})


def fail(
    message: str, *, fmt: Format = "json", version: str = "", environment: str = "", stream: TextIO | None = None
) -> None:
    """Write the one line of a start that failed, at once: no log needs to be configured."""
    if fmt == "text":
        line = f"ollama-openai-proxy: {escape(message)}"
    else:
        record = logging.LogRecord(_NAME, logging.CRITICAL, "", 0, message, None, None)
        line = JsonLines(version=version, environment=environment).format(record)
    deadline = time.monotonic() + _LAST_WORDS
    Output(sys.stderr if stream is None else stream).write(f"{line}\n", lambda: time.monotonic() < deadline)


class _Handler(QueueHandler):
    """Makes lines where they are logged, for what they tell of may change, and hands them to the writers.

    A QueueHandler, for it catches whatever an argument raises when it is shown.
    """

    def __init__(self, formatter: logging.Formatter, stream: TextIO | None, file: LogFile | None) -> None:
        super().__init__(SimpleQueue())
        self.formatter = formatter
        sinks: list[Sink] = [Output(stream), *([file] if file else ())]
        self.logs = Logs(*(LineWriter(sink, self._of_dropped) for sink in sinks))

    def prepare(self, record: logging.LogRecord) -> str:
        return f"{self.format(record)}\n"

    def enqueue(self, record: Any) -> None:
        self.logs.put(record)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  # logging's name
        """Say that a line could not be made, and whose it was."""
        place = f"{record.filename}:{record.lineno}"
        line = logging.LogRecord(
            record.name, record.levelno, "", 0, "a line that can't be shown, from %s", (place,), None
        )
        self.logs.put(self.prepare(line))

    def close(self) -> None:
        """Called by logging when the process ends."""
        self.logs.close()
        super().close()

    def _of_dropped(self, count: int) -> str:
        line = logging.LogRecord(_NAME, logging.WARNING, "", 0, "log lines were dropped", None, None)
        line.dropped = count
        return self.prepare(line)


def _is_terminal(stream: TextIO | None) -> bool:
    return stream is not None and not stream.closed and stream.isatty()


def _milliseconds(nanoseconds: int) -> float:
    return (nanoseconds + 500) // 1000 / 1000  # to a microsecond, for a third of what round() takes
