"""How many values a JSON text holds, told without reading them: what a request costs goes by that, not by its bytes."""

from __future__ import annotations

import re

_SLICE = 1024 * 1024  # bytes: counting stops in the first slice that has too many
_STRING = re.compile(rb'"[^"]*"')
_BACKSLASHES = re.compile(rb"\\+")


def has_more(body: bytes, values: int) -> bool:
    """Return whether the text holds more values than so many: each follows a comma or opens an array or an object.

    The text need not be JSON.
    """
    if len(body) <= values or _marks(body) <= values:
        return False
    # Prompts hold commas and brackets too: now the strings are left out.
    found = start = 0
    within = False
    while start < len(body):
        end = _whole(body, start + _SLICE)
        rest = body[start:end].replace(b"\\\\", b"").replace(b'\\"', b"")
        if within:
            _, closed, rest = rest.partition(b'"')
            within = not closed
        rest, opened, _ = _STRING.sub(b"", rest).partition(b'"')
        within = within or bool(opened)
        found += _marks(rest)
        if found > values:
            return True
        start = end
    return False


def _marks(text: bytes) -> int:
    return text.count(b",") + text.count(b"[") + text.count(b"{")


def _whole(body: bytes, end: int) -> int:
    """Return the end of a slice, moved behind what a backslash before it escapes."""
    match = _BACKSLASHES.match(body, end - 1) if end < len(body) else None
    return match.end() + 1 if match else end
