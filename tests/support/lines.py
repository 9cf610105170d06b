"""Log lines as an operator reads them; afterwards logging is as it was before."""

from __future__ import annotations

import io
import json
import logging
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ollama_openai_proxy.observe.logs import Logs, configure

LOGGERS = ("uvicorn", "uvicorn.error", "uvicorn.access", "asyncio")


class Lines:
    """The stream that is written to. Reading it ends the writing, so that all that was said is there."""

    def __init__(self) -> None:
        self.stream = io.StringIO()
        self.logs: Logs | None = None

    def text(self) -> str:
        if self.logs:
            self.logs.close(10)
        return self.stream.getvalue()

    def read(self) -> list[dict[str, Any]]:
        text = self.text()
        assert not text or text.endswith("\n")
        return [json.loads(line) for line in text.split("\n")[:-1]]

    def only(self) -> dict[str, Any]:
        (line,) = self.read()
        return line


@contextmanager
def logged(level: str = "info", **options: Any) -> Iterator[Lines]:
    """Configure the log, to a stream in memory if no other is given."""
    lines = Lines()
    with as_before():
        lines.logs = configure(level, **{"stream": lines.stream, **options})
        try:
            yield lines
        finally:
            lines.logs.close(10)


@contextmanager
def as_before() -> Iterator[None]:
    """Take back what `configure` changes when the block ends."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    root.handlers.clear()  # `configure` would close them
    kept = {name: (logging.getLogger(name).level, logging.getLogger(name).propagate) for name in LOGGERS}
    hooks = sys.excepthook, threading.excepthook, sys.unraisablehook
    try:
        with warnings.catch_warnings():  # which keeps what shows them
            logging.captureWarnings(capture=False)
            yield
            logging.captureWarnings(capture=False)
    finally:
        sys.excepthook, threading.excepthook, sys.unraisablehook = hooks
        for handler in root.handlers:
            handler.close()
        root.handlers[:] = handlers
        root.setLevel(level)
        for name, (own_level, propagate) in kept.items():
            logging.getLogger(name).setLevel(own_level)
            logging.getLogger(name).propagate = propagate
