"""What the parser does not look at in the head of a request (RFC 9112), and the answer to one that is refused."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from functools import lru_cache
from http import HTTPStatus
from typing import NamedTuple
from urllib.parse import unquote

import httptools

Header = tuple[bytes, bytes]

# The headers that decide what becomes of a request before anybody else looks at it.
DECISIVE = frozenset({b"host", b"expect", b"transfer-encoding", b"upgrade"})

_HOST = re.compile(rb"(?:\[[\da-fA-F:.]+(?:%[\w.~-]+)?\]|[\w.~!$&'()*+,;=%-]*)(?::(\d{0,5}))?")
_MAX_PORT = 65535


class Refusal(NamedTuple):
    """Why a request is answered without being served. `reason`: the label of the figure that counts it."""

    status: int
    message: str
    reason: str = "bad_request"


MALFORMED = Refusal(400, "malformed HTTP request")
TOO_SLOW = Refusal(408, "request timeout", "header_timeout")
TOO_BIG = Refusal(431, "request header fields too large", "header_size")
LONG_URL = Refusal(414, "request URL too long", "header_size")
TOO_MANY = Refusal(503, "too many connections", "connections")
NO_METHOD = Refusal(405, "method not allowed")
NO_WEBSOCKET = Refusal(400, "websockets are not supported")
NO_VERSION = Refusal(505, "unsupported HTTP version")
BAD_HOST = Refusal(400, "malformed Host header")
BAD_TARGET = Refusal(400, "malformed request target")
OTHER_HOST = Refusal(403, "the Host header names another host than the URL")
UNKNOWN_CODING = Refusal(400, "unsupported transfer encoding")
UNKNOWN_EXPECTATION = Refusal(417, "unknown expectation")


class Target(NamedTuple):
    """What is asked for: a path with its query, and the host if the URL names one."""

    path: bytes
    host: bytes = b""


@lru_cache(maxsize=32)
def refusal_of_header(name: bytes, value: bytes) -> Refusal | None:
    """Return why a request with this decisive header is refused, None if it is not."""
    value = value.strip().lower()
    if name == b"host":
        return None if is_host(value) else BAD_HOST
    if name == b"expect":
        return None if value == b"100-continue" else UNKNOWN_EXPECTATION
    if name == b"transfer-encoding":
        return None if value == b"chunked" else UNKNOWN_CODING
    return NO_WEBSOCKET if b"websocket" in value else None


def refusal_of(method: bytes, version: str, headers: Sequence[Header]) -> Refusal | None:
    """Return why a request with these, whose headers are each good, is refused; None if it is not."""
    if method == b"CONNECT":
        return NO_METHOD
    if version == "1.1":
        return None
    if version != "1.0":
        return NO_VERSION if version == "2.0" else MALFORMED
    # It has no codings: whoever was in between may have read another body (RFC 9112, 6.1).
    return MALFORMED if any(name == b"transfer-encoding" for name, _ in headers) else None


def is_host(value: bytes) -> bool:
    """Whether it is a host, with or without a port, or nothing (RFC 9110, 7.2)."""
    match = _HOST.fullmatch(value)
    if match:
        return int(match[1] or 0) <= _MAX_PORT
    try:
        ipaddress.IPv6Address(value.decode("ascii"))  # which some clients write without brackets
    except ValueError:
        return False
    return b"%" not in value  # after it Python takes anything for a zone


def target_of(url: bytes) -> Target | None:
    """Return what a URL that is no mere path asks for, None if that is nothing (RFC 9112, 3.2)."""
    if url == b"*":
        return Target(url)
    try:
        parsed = httptools.parse_url(url)
    except httptools.HttpParserInvalidURLError:
        return None
    if (parsed.schema or b"").lower() not in (b"http", b"https") or not parsed.host or parsed.userinfo:
        return None
    host = b"[%b]" % parsed.host if b":" in parsed.host else parsed.host
    path = parsed.path or b"/"
    return Target(
        b"%b?%b" % (path, parsed.query) if parsed.query else path,
        b"%b:%d" % (host, parsed.port) if parsed.port else host,
    )


@lru_cache(maxsize=64)
def parts_of(url: bytes) -> tuple[str, bytes, bytes]:
    """Return a URL's path, the same as it was sent, and the query.

    Raises HttpParserInvalidURLError if it is none.
    """
    parsed = httptools.parse_url(url)
    path = parsed.path.decode("ascii")
    return (unquote(path) if "%" in path else path), parsed.path, parsed.query or b""


def with_host(headers: list[Header], host: bytes, version: str) -> bool:
    """Let the host of a URL be that of the headers, too. Return False if they name another one."""
    given = [value for name, value in headers if name == b"host"]
    if not given and version == "1.0":  # which needs none; a later version without one is refused
        headers.append((b"host", host))
    return all(_plain(value) == _plain(host) for value in given)


def _plain(host: bytes) -> bytes:
    return host.strip().lower().removesuffix(b":80")


def answer(refusal: Refusal, headers: Sequence[Header], request_id: str) -> bytes:
    """Return the response to who is refused, in the shape of Ollama's errors; the connection ends with it."""
    body = b'{"error":"%b"}' % refusal.message.encode()
    lines = [
        f"HTTP/1.1 {refusal.status} {HTTPStatus(refusal.status).phrase}".encode(),
        *(b"%b: %b" % header for header in headers),
        b"content-type: application/json; charset=utf-8",
        b"content-length: %d" % len(body),
        b"connection: close",
        b"x-request-id: %b" % request_id.encode(),
    ]
    if refusal.status == HTTPStatus.SERVICE_UNAVAILABLE:
        lines.append(b"retry-after: 1")
    if refusal.status == HTTPStatus.METHOD_NOT_ALLOWED:
        lines.append(b"allow: GET, HEAD, POST, DELETE, OPTIONS")
    return b"\r\n".join((*lines, b"", body))


def without_upgrade(method: bytes, url: bytes, version: str, headers: Sequence[Header]) -> bytes:
    """Return the head of a request as it is without the wish to speak another protocol."""
    lines = [b"%b: %b" % header for header in headers if header[0] != b"upgrade"]
    return b"\r\n".join((b"%b %b HTTP/%b" % (method, url, version.encode()), *lines, b"", b""))
