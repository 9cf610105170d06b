"""The rules on a request's head, and the answer to one that breaks them."""

from __future__ import annotations

import json

import httptools
import pytest

from ollama_openai_proxy.serve import heads
from ollama_openai_proxy.serve.heads import Target, answer, is_host, refusal_of, refusal_of_header, target_of, with_host


@pytest.mark.parametrize(
    ("host", "good"),
    {
        b"": True,
        b"localhost": True,
        b"a_b.example.:65535": True,
        b"[fe80::1%eth0]:80": True,
        b"2001:db8::7": True,
        b"%41": True,
        b"a:65536": False,
        b"a/": False,
        b"a?": False,
        b"a#": False,
        b"a@b": False,
        b"a b": False,
        b"\xe9": False,
        b"[a": False,
        b"a:b:c": False,
        b"localhost\n": False,
    }.items(),
)
def test_t22_a8_is_host(host: bytes, good: bool) -> None:
    """T22, A8: a host is a name or an address, and a port of a number, or nothing at all (RFC 9110, 7.2)."""
    assert is_host(host) is good


@pytest.mark.parametrize(
    ("name", "value", "refusal"),
    [
        (b"host", b"a b", heads.BAD_HOST),
        (b"host", b"a", None),
        (b"expect", b"100-Continue", None),
        (b"expect", b"200", heads.UNKNOWN_EXPECTATION),
        (b"transfer-encoding", b"Chunked ", None),
        (b"transfer-encoding", b"gzip, chunked", heads.UNKNOWN_CODING),
        (b"upgrade", b"h2c", None),
        (b"upgrade", b"h2c, WebSocket", heads.NO_WEBSOCKET),
    ],
)
def test_decisive_header(name: bytes, value: bytes, refusal: heads.Refusal | None) -> None:
    """A8, A12, A7, A18: what a header alone decides."""
    assert refusal_of_header(name, value) == refusal


@pytest.mark.parametrize(
    ("method", "version", "headers", "refusal"),
    [
        (b"GET", "1.1", [], None),
        (b"GET", "1.0", [], None),
        (b"POST", "1.1", [(b"transfer-encoding", b"chunked")], None),
        (b"POST", "1.0", [(b"transfer-encoding", b"chunked")], heads.MALFORMED),
        (b"TRACE", "1.1", [], None),
        (b"CONNECT", "1.1", [], heads.NO_METHOD),
        (b"GET", "2.0", [], heads.NO_VERSION),
        (b"GET", "0.9", [], heads.MALFORMED),
    ],
)
def test_whole_head(method: bytes, version: str, headers: list[heads.Header], refusal: heads.Refusal | None) -> None:
    """A7, A18: what method, version and headers decide together."""
    assert refusal_of(method, version, headers) == refusal


@pytest.mark.parametrize(
    ("url", "target"),
    [
        (b"*", Target(b"*")),
        (b"http://a", Target(b"/", b"a")),
        (b"http://a:8080/b?c=d", Target(b"/b?c=d", b"a:8080")),
        (b"HTTPS://a/b", Target(b"/b", b"a")),
        (b"http://[::1]:80/", Target(b"/", b"[::1]:80")),
        (b"http://u@a/", None),
        (b"ftp://a/", None),
        (b"http:///b", None),
        (b"a:443", None),
        (b"", None),
    ],
)
def test_a19_target(url: bytes, target: Target | None) -> None:
    """A19: a URL is a path, and a host if it names one; nothing else is asked for here (RFC 9112, 3.2)."""
    assert target_of(url) == target


@pytest.mark.parametrize(
    ("url", "parts"),
    [
        (b"/api/chat", ("/api/chat", b"/api/chat", b"")),
        (b"/a%20b%2Fc?d=%20", ("/a b/c", b"/a%20b%2Fc", b"d=%20")),
        (b"/?", ("/", b"/", b"")),
        (b"/a?b?c#d", ("/a", b"/a", b"b?c")),
        (b"/a#b?c", ("/a", b"/a", b"")),
        (b"*", ("*", b"*", b"")),
    ],
)
def test_parts_of_a_url(url: bytes, parts: tuple[str, bytes, bytes]) -> None:
    """An application is told the path, the path as it was sent, and the query; what follows a `#` is not sent."""
    assert heads.parts_of(url) == parts


def test_no_url() -> None:
    """What is no URL is none each time it is asked for."""
    for _ in range(2):
        with pytest.raises(httptools.HttpParserInvalidURLError):
            heads.parts_of(b"a b")


@pytest.mark.parametrize(
    ("given", "version", "same", "after"),
    [
        ([(b"host", b"A:80")], "1.1", True, [(b"host", b"A:80")]),
        ([(b"host", b"b")], "1.1", False, [(b"host", b"b")]),
        ([(b"host", b"a"), (b"host", b"b")], "1.1", False, [(b"host", b"a"), (b"host", b"b")]),
        ([], "1.1", True, []),
        ([], "1.0", True, [(b"host", b"a")]),
    ],
)
def test_a19_host_of_a_url(given: list[heads.Header], version: str, same: bool, after: list[heads.Header]) -> None:
    """A19: the host of a URL has to be that of the header; HTTP/1.0 may do without the header."""
    assert with_host(given, b"a", version) is same
    assert given == after


@pytest.mark.parametrize(("refusal", "extra"), [(heads.TOO_MANY, "retry-after: 1"), (heads.NO_METHOD, "allow: ")])
def test_answer(refusal: heads.Refusal, extra: str) -> None:
    """2.0: an error in Ollama's shape, with a request id and an end to the connection."""
    head, _, body = answer(refusal, [(b"date", b"now")], "some-id").partition(b"\r\n\r\n")
    start, *lines = head.decode().split("\r\n")
    assert start.startswith(f"HTTP/1.1 {refusal.status} ")
    assert json.loads(body) == {"error": refusal.message}
    assert {"date: now", "connection: close", "x-request-id: some-id", f"content-length: {len(body)}"} <= set(lines)
    assert any(line.startswith(extra) for line in lines)


def test_a18_without_upgrade() -> None:
    """A18: the same head without the wish for another protocol."""
    given = [(b"host", b"a"), (b"upgrade", b"h2c"), (b"connection", b"Upgrade")]
    head = heads.without_upgrade(b"POST", b"/x", "1.1", given)
    assert head == b"POST /x HTTP/1.1\r\nhost: a\r\nconnection: Upgrade\r\n\r\n"
