"""What a log may tell of an exception.

Where it was raised is code, and the class is a name: both are written. The text of a foreign
exception may hold what was asked, answered or configured (`KeyError`, `ValueError` and a library's
own quote what they were given), so it is left out, unless it comes from a closed list: our own
messages, which are made fit for a client, what the interpreter says of names in code, and the system's words for
an error number.
"""

from __future__ import annotations

import os
import re
import textwrap
import traceback

from ollama_openai_proxy.errors import ProxyError

_FRAMES = 30  # of one traceback: those next to the failure
_CHAIN = 8  # exceptions that led to one another
_GROUP = 4  # exceptions of a group
_DEPTH = 2  # groups in groups
_OF_NAMES = (
    *(NameError, UnboundLocalError, ImportError, ModuleNotFoundError, AttributeError, RecursionError),
    *(SyntaxError, IndentationError),
)
_CAUSE = "\nThe above exception was the direct cause of the following exception:\n\n"
_CONTEXT = "\nDuring handling of the above exception, another exception occurred:\n\n"
_BEGINNING = "Traceback (most recent call last):"
_FRAME = re.compile(r'^[ \t]*File "[^"\n]*", line \d+, in \S+$', re.MULTILINE)


def describe(error: BaseException, depth: int = _DEPTH) -> str:
    """Return the traceback, with what led to it."""
    parts: list[str] = []
    current: BaseException | None = error
    while current is not None and len(parts) < 2 * _CHAIN:
        parts.append(_one(current, depth))
        is_cause = current.__cause__ is not None
        current = current.__cause__ or (None if current.__suppress_context__ else current.__context__)
        parts.append(_CAUSE if is_cause else _CONTEXT)
    return "".join(reversed(parts[:-1])).rstrip("\n")


def summary(error: BaseException) -> str:
    """Return the class, and the text if that is known to hold nothing of anybody's."""
    name = type(error).__qualname__
    if isinstance(error, ProxyError):
        return f"{name}: {error.message}"
    if type(error) in _OF_NAMES:
        return f"{name}: {error}"
    if isinstance(error, OSError) and isinstance(error.errno, int):
        return f"{name}: [Errno {error.errno}]" + (f" {os.strerror(error.errno)}" if error.errno > 0 else "")
    return f"{name} (text left out)"


def without_texts(message: str) -> str:
    """Return a message that holds a traceback with the places only: texts and places can't be told apart for sure."""
    before, _, after = message.partition(_BEGINNING)
    return "\n".join([before + _BEGINNING, *_FRAME.findall(after)]) if after else message


def _one(error: BaseException, depth: int) -> str:
    frames = traceback.format_list(traceback.extract_tb(error.__traceback__, limit=-_FRAMES))
    lines = [f"{_BEGINNING}\n" if frames else "", *frames, f"{summary(error)}\n"]
    if isinstance(error, BaseExceptionGroup) and depth:
        lines += [
            textwrap.indent(f"[{number}] {describe(inner, depth - 1)}\n", "  ")
            for number, inner in enumerate(error.exceptions[:_GROUP], start=1)
        ]
    return "".join(lines)
