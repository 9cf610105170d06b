"""What Python would print by itself becomes log lines."""

from __future__ import annotations

import logging
import sys
import threading
from types import TracebackType

_log = logging.getLogger("ollama_openai_proxy")


def install() -> None:
    """Log warnings, and exceptions that nobody caught or could catch."""
    logging.captureWarnings(capture=True)
    sys.excepthook = _uncaught
    threading.excepthook = _uncaught_in_thread
    sys.unraisablehook = _unraisable


def _uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        _log.critical("interrupted")
    else:
        _log.critical("uncaught exception", exc_info=(kind, error, trace))


def _uncaught_in_thread(what: threading.ExceptHookArgs) -> None:
    if what.exc_value is None or issubclass(what.exc_type, SystemExit):
        return
    name = what.thread.name if what.thread else "unknown"
    _log.error("uncaught exception in thread %s", name, exc_info=(what.exc_type, what.exc_value, what.exc_traceback))


def _unraisable(what: sys.UnraisableHookArgs) -> None:
    """What is raised while an object is deleted, say. Of the object only the name: it may show what it holds."""
    place = getattr(what.object, "__qualname__", None) or type(what.object).__qualname__
    error = what.exc_value
    _log.error(
        "exception that can't be raised, in %s",
        place,
        exc_info=(type(error), error, what.exc_traceback) if error is not None else None,
    )
