"""How Go reads and writes what JSON does not define: durations, base64, quoted strings.

Ollama is written in Go, and clients match on its error texts (contract 1.7, 3.1, 3.4).
"""

from __future__ import annotations

import binascii
import re
from functools import lru_cache

from ollama_openai_proxy.errors import InvalidRequest

_UNITS = {"ns": 1, "us": 10**3, "µs": 10**3, "μs": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9}
_PART = re.compile(r"([0-9]*)(\.[0-9]*)?([^0-9.]*)")
_LONGEST = 2**63  # nanoseconds: a duration is an int64
_MAX_DURATION = 100  # characters
_QUOTED = re.compile(r'["\\]')
_SIMPLE = {"\a": "\\a", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\v": "\\v"}
_SIMPLE |= {"\\": "\\\\", '"': '\\"'}
_BASE64 = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_NOT_BASE64 = re.compile(rb"[^A-Za-z0-9+/\r\n]")
_LINE_ENDS = re.compile(rb"[\r\n]*")


def quote(text: str) -> str:
    """Return the text as `%q` prints it."""
    if text.isprintable() and not _QUOTED.search(text):
        return f'"{text}"'
    return '"' + "".join(map(_quoted, text)) + '"'


def _quoted(char: str) -> str:
    if char in _SIMPLE:
        return _SIMPLE[char]
    if char.isprintable():
        return char
    code = ord(char)
    return f"\\x{code:02x}" if code < 0x80 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


@lru_cache(maxsize=64)  # a client says the same with each request; what is too long fails, and is not kept
def parse_duration(text: str) -> float:
    """Return the seconds of a duration such as `1h30m`. Raises InvalidRequest."""
    sign, rest = (-1, text[1:]) if text[:1] == "-" else (1, text.removeprefix("+"))
    if rest == "0":
        return 0.0
    nanoseconds = 0.0
    invalid = InvalidRequest(f"time: invalid duration {quote(text[:_MAX_DURATION])}")
    if not rest or len(text) > _MAX_DURATION:
        raise invalid
    while rest:
        match = _PART.match(rest)
        if not match or not (match[1] or len(match[2] or "") > 1):
            raise invalid
        if not match[3]:
            raise InvalidRequest(f"time: missing unit in duration {quote(text)}")
        if match[3] not in _UNITS:
            raise InvalidRequest(f"time: unknown unit {quote(match[3])} in duration {quote(text)}")
        nanoseconds += float(f"{match[1] or 0}{match[2] or ''}") * _UNITS[match[3]]
        rest = rest[match.end() :]
        if nanoseconds > _LONGEST:
            raise invalid
    return sign * nanoseconds / 1e9


def decode_base64(text: str) -> bytes:
    """Return the bytes of standard, padded base64; line ends are skipped. Raises InvalidRequest."""
    check_base64(text)
    return binascii.a2b_base64(text)


def check_base64(text: str) -> None:
    """Check that `decode_base64` takes the text, in a third of its time. Raises InvalidRequest."""
    data = text.encode("utf-8", "replace")
    # Python's own decoder takes what is no base64 among it, and padding that nothing needs.
    rest = data.translate(None, _BASE64)
    digits = len(data) - len(rest)
    padding = rest.replace(b"\r", b"").replace(b"\n", b"")
    complete = padding in (b"", b"=", b"==") and (digits + len(padding)) % 4 == 0
    if not complete or b"=" in data.rstrip(b"=\r\n"):
        raise InvalidRequest(f"illegal base64 data at input byte {_corrupt_byte(data)}")


def _corrupt_byte(data: bytes) -> int:
    """Return where Go's decoder gives up."""
    found = _NOT_BASE64.search(data)
    position = found.start() if found else len(data)
    digits = position - data.count(b"\r", 0, position) - data.count(b"\n", 0, position)
    quantum = digits % 4
    if not found:
        return position - quantum
    if data[position : position + 1] != b"=" or quantum < 2:
        return position
    position = _after_line_ends(data, position + 1)
    if quantum == 2:
        if position == len(data):
            return position
        if data[position : position + 1] != b"=":
            return position - 1
        position = _after_line_ends(data, position + 1)
    return position


def _after_line_ends(data: bytes, position: int) -> int:
    match = _LINE_ENDS.match(data, position)
    return match.end() if match else position
