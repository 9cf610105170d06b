"""The heads of replies: what is made of them, and which are refused where the parser is lenient or knows no limit."""

from __future__ import annotations

from collections.abc import Sequence

MAX_HEAD = 64 * 1024
"""Bytes of a head, without its first line."""
MAX_HEADERS = 1024
MAX_INTERIM = 10
"""How many interim heads (100 Continue, 103 Early Hints) may come before the reply's own."""

Header = tuple[bytes, bytes]

_FRAME = 4  # bytes of a header beside its name and value: ": " and the line end
_VERSIONS = ("1.1", "1.0")
_NO_BODY = (204, 304)
_BLANKS = b" \t"  # around a value, of which they are no part (RFC 9110, 5.5); the parser leaves those behind it


class Head:
    """The status of a reply, and its headers as they came."""

    __slots__ = ("_raw", "coding", "content_type", "encoding", "has_length", "status")

    def __init__(self, status: int, raw: Sequence[Header]) -> None:
        self.status = status
        self._raw = raw
        self.content_type = ""
        self.encoding = ""
        """The values of `Content-Encoding`, in lower case."""
        self.coding = b""
        """Those of `Transfer-Encoding`."""
        self.has_length = status in _NO_BODY
        """Whether something other than the end of the connection tells where the body ends."""
        for name, value in raw:
            if len(name) in _DECISIVE:
                self._note(name.lower(), value)

    def _note(self, name: bytes, value: bytes) -> None:
        if name == b"content-type":
            self.content_type = self.content_type or value.strip(_BLANKS).decode("latin-1")
        elif name == b"content-length":
            self.has_length = True
        elif name == b"transfer-encoding":  # with a tab behind it the parser does not know it
            self.coding += b"," * bool(self.coding) + value.lower().rstrip(b" ")
            self.has_length = True
        elif name == b"content-encoding":
            self.encoding += ", " * bool(self.encoding) + value.strip(_BLANKS).decode("latin-1").lower()

    @property
    def headers(self) -> dict[str, str]:
        """The first value of each header, by its name in lower case."""
        raw = reversed(self._raw)
        return {name.decode("latin-1").lower(): value.strip(_BLANKS).decode("latin-1") for name, value in raw}

    def is_sound(self, version: str, seen: int) -> bool:
        """Whether anything is to be made of it. `version`: that of HTTP; `seen`: the bytes that it came in, or more."""
        if version not in _VERSIONS or (self.coding and self.coding != b"chunked"):
            return False
        return seen <= MAX_HEAD or sum(len(name) + len(value) + _FRAME for name, value in self._raw) <= MAX_HEAD


# The lengths of the names that are looked at: most others need not become lower case.
_DECISIVE = frozenset(map(len, ("content-type", "content-length", "transfer-encoding", "content-encoding")))
