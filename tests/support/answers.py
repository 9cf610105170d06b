"""Answers of backends, byte for byte, in every framing that HTTP/1 has (RFC 9112, 6 and 7)."""

from __future__ import annotations

import gzip

from support.replies import DONE, finish, text
from support.wire import Answer

EVENTS = (text("Hé"), finish(), DONE)
LIST = b'{"object":"list","data":[{"id":"m"}]}'


def chunked(*chunks: bytes, extension: bytes = b"", trailer: bytes = b"") -> tuple[tuple[bytes, bool], ...]:
    """Return the parts of a chunked body."""
    framed = (((b"%x%b\r\n" % (len(chunk), extension), False), (chunk, True), (b"\r\n", False)) for chunk in chunks)
    return (*(part for parts in framed for part in parts), (b"0\r\n%b\r\n" % trailer, False))


_PACKED = gzip.compress(b"".join(EVENTS), mtime=0)
# As vLLM behind uvicorn sends it, llama.cpp's own server, nginx before either, and OpenAI.
ANSWERS: dict[str, Answer] = {
    "a length": Answer(
        b"HTTP/1.1 200 OK\r\ndate: Mon, 01 Jan 2024 00:00:00 GMT\r\nserver: uvicorn\r\n"
        b"content-length: %d\r\ncontent-type: application/json\r\n\r\n" % len(LIST),
        ((LIST, True),),
        headers=(("server", "uvicorn"), ("content-type", "application/json")),
    ),
    "chunks": Answer(
        b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nTransfer-Encoding: chunked\r\n\r\n",
        chunked(*EVENTS),
        headers=(("content-type", "text/event-stream; charset=utf-8"),),
    ),
    "chunks with extensions and a trailer": Answer(
        b"HTTP/1.1 200 OK\r\nTrailer: X-Took\r\nTransfer-Encoding: chunked\r\n\r\n",
        chunked(*EVENTS, extension=b';a="b"', trailer=b"X-Took: 1\r\n"),
        headers=(("trailer", "X-Took"),),
    ),
    "until it closes": Answer(
        b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n",
        tuple((event, True) for event in EVENTS),
        headers=(("connection", "close"),),
        kept=False,
        until_close=True,
    ),
    "HTTP/1.0": Answer(b"HTTP/1.0 200 OK\r\n\r\n", ((LIST, True),), kept=False, until_close=True),
    "HTTP/1.0 with a length": Answer(
        b"HTTP/1.0 200 OK\r\nContent-Length: %d\r\n\r\n" % len(LIST), ((LIST, True),), kept=False
    ),
    "HTTP/1.0 that keeps": Answer(
        b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: %d\r\n\r\n" % len(LIST), ((LIST, True),)
    ),
    "interim heads before it": Answer(
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\nContent-Length: 7\r\n\r\n"
        b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(LIST),
        ((LIST, True),),
        headers=(("content-length", str(len(LIST))),),
    ),
    "no content": Answer(b"HTTP/1.1 204 No Content\r\nServer: a\r\n\r\n", (), 204, (("server", "a"),)),
    "an empty body": Answer(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", ()),
    "no chunk but the last": Answer(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", chunked()),
    "an error that closes": Answer(
        b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 3\r\nConnection: close\r\nContent-Length: 4\r\n\r\n",
        ((b"busy", True),),
        503,
        (("retry-after", "3"),),
        kept=False,
    ),
    "packed": Answer(
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n",
        chunked(_PACKED[:25], _PACKED[25:]),
        headers=(("content-encoding", "gzip"),),
    ),
}
