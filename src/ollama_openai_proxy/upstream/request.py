"""Requests to a backend, as bytes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from urllib.parse import quote, urlsplit

from ollama_openai_proxy.call import Call
from ollama_openai_proxy.upstream.heads import Header

_MOST = 64  # heads that are kept: paths are few, but a model's name may be part of one
_SAFE = "/%:@!$&'()*+,;=~?"


class Requests:
    """Writes the heads of requests. What each has is made once."""

    def __init__(
        self,
        base_url: str,
        host: bytes,
        headers: Mapping[str, str],
        *,
        prefix: bytes = b"",
        more: Iterable[Header] = (),
    ) -> None:
        """`host` is that of the Host header, `prefix` what stands before each path, `more` what else each has."""
        path = quote(urlsplit(base_url).path, _SAFE)
        self._base = path
        self._root = path.removesuffix("/v1")
        self._prefix = prefix
        lines = [b"Host: " + host, *(_line(name, value) for name, value in headers.items())]
        lines += [b"%b: %b" % header for header in more]
        self._lines = b"\r\n".join(lines)
        self._known: dict[tuple[str, bool, bool, bool], bytes] = {}

    def head(self, call: Call) -> bytes:
        """Return the head, with its blank line."""
        size = len(call.body)
        key = call.path, call.rooted, call.streamed, size > 0
        start = self._known.get(key)
        if start is None:
            if len(self._known) >= _MOST:
                self._known.clear()
            start = self._known[key] = self._start(call)
        head = b"%b\r\nContent-Length: %d" % (start, size) if size else start
        for name, value in call.headers:
            head += b"\r\n" + _line(name, value)
        return head + b"\r\n\r\n"

    def _start(self, call: Call) -> bytes:
        method = "POST" if call.body else "GET"
        path = quote((self._root if call.rooted else self._base) + call.path, _SAFE).encode()
        accept = b"text/event-stream" if call.streamed else b"application/json"
        first = b"%b %b%b HTTP/1.1" % (method.encode(), self._prefix, path)
        return b"\r\n".join((first, self._lines, b"Accept: " + accept))


def _line(name: str, value: str) -> bytes:
    """Return a header. Raises ValueError for what would be more than one."""
    line = f"{name}: {value}"
    if not line.isprintable():
        raise ValueError("a header holds control characters")
    return line.encode("latin-1")
