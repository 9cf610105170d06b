"""How Go reads and writes what JSON does not define: durations, base64, quoted strings.

Ollama is written in Go, and clients match on its error texts (contract 1.7, 3.1, 3.4).
"""

from __future__ import annotations

import binascii
import re

from ollama_openai_proxy.errors import InvalidRequest

_UNITS = {"ns": 1, "us": 10**3, "µs": 10**3, "μs": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9}
_PART = re.compile(r"(\d*)(\.\d*)?([^\d.]*)")
_SIMPLE = {"\a": "\\a", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\v": "\\v"}
_SIMPLE |= {"\\": "\\\\", '"': '\\"'}
_BASE64 = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")


def quote(text: str) -> str:
    """Return the text as `%q` prints it."""
    return '"' + "".join(map(_quoted, text)) + '"'


def _quoted(char: str) -> str:
    if char in _SIMPLE:
        return _SIMPLE[char]
    if char.isprintable():
        return char
    code = ord(char)
    return f"\\x{code:02x}" if code < 0x80 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def parse_duration(text: str) -> float:
    """Return the seconds of a duration such as `1h30m`. Raises InvalidRequest."""
    sign, rest = (-1, text[1:]) if text[:1] == "-" else (1, text.removeprefix("+"))
    if rest == "0":
        return 0.0
    nanoseconds = 0.0
    invalid = InvalidRequest(f"time: invalid duration {quote(text[:100])}")
    if not rest:
        raise invalid
    while rest:
        match = _PART.match(rest)
        if not match or not (match[1] or len(match[2] or "") > 1):
            raise invalid
        if not match[3]:
            raise InvalidRequest(f"time: missing unit in duration {quote(text[:100])}")
        if match[3] not in _UNITS:
            raise InvalidRequest(f"time: unknown unit {quote(match[3][:100])} in duration {quote(text[:100])}")
        nanoseconds += float(f"{match[1] or 0}{match[2] or ''}") * _UNITS[match[3]]
        rest = rest[match.end() :]
    return sign * nanoseconds / 1e9


def decode_base64(text: str) -> bytes:
    """Return the bytes of standard, padded base64; line ends are skipped. Raises InvalidRequest."""
    try:
        return binascii.a2b_base64(text.encode("ascii"), strict_mode=True) if text else b""
    except (UnicodeEncodeError, binascii.Error):
        pass
    joined = text.replace("\r", "").replace("\n", "")
    if joined != text:
        try:
            return binascii.a2b_base64(joined.encode("ascii"), strict_mode=True)
        except (UnicodeEncodeError, binascii.Error):
            pass
    raise InvalidRequest(f"illegal base64 data at input byte {_corrupt_byte(text)}")


def _corrupt_byte(text: str) -> int:
    """Return where Go's decoder gives up: at a wrong character, or at the quantum that is short."""
    data = text.encode("utf-8", "replace").decode("latin-1")
    position, quantum, start = 0, 0, 0
    for position, char in enumerate(data):
        if char in "\r\n":
            continue
        if char in _BASE64:
            start = start if quantum else position
            quantum = (quantum + 1) % 4
        elif char == "=" and quantum >= 2:
            return _corrupt_padding(data, position, quantum)
        else:
            return position
    return start if quantum else len(data)


def _corrupt_padding(data: str, position: int, quantum: int) -> int:
    """Return where the padding that begins at `position` goes wrong."""
    rest = [index for index in range(position + 1, len(data)) if data[index] not in "\r\n"]
    if quantum == 2:
        if not rest:
            return len(data)
        if data[rest[0]] != "=":
            return rest[0]
        rest = rest[1:]
    return rest[0] if rest else len(data)
