"""What JSON text needs on its way through."""

from __future__ import annotations

from typing import Any

# U+2028 and U+2029 in UTF-8 share their first two bytes; U+0085 is the third that some readers of
# lines (the official Python SDK among them) take for the end of one.
_SEPARATORS = ((b"\xe2\x80\xa8", b"\\u2028"), (b"\xe2\x80\xa9", b"\\u2029"), (b"\xc2\x85", b"\\u0085"))


def escape_separators(json: bytes) -> bytes:
    """Return the JSON without raw U+0085, U+2028 and U+2029, which can only stand in strings."""
    if not json.isascii():
        for raw, escaped in _SEPARATORS:
            json = json.replace(raw, escaped)
    return json


def mend(value: Any) -> Any:
    """Return the JSON value with U+FFFD for halves of surrogate pairs, which UTF-8 can't hold."""
    if isinstance(value, str):
        return value if value.isascii() else value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, dict):
        return {mend(key): mend(item) for key, item in value.items()}
    if isinstance(value, list):
        return [mend(item) for item in value]
    return value
