"""A backend that costs nothing: it answers each request with bytes made beforehand.

python benchmarks/upstream.py PORT EVENTS [SECONDS BETWEEN EVENTS [ADDRESS]]
"""

from __future__ import annotations

import asyncio
import sys
from typing import cast

_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: %s\r\n%s\r\n\r\n"
_CHUNK = (
    b'data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1700000000,"model":"bench",'
    b'"choices":[{"index":0,"delta":{"content":" token"},"finish_reason":null}]}\n\n'
)
_FINISH = b'data: {"id":"chatcmpl-1","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'
_USAGE = b'data: {"id":"chatcmpl-1","choices":[],"usage":{"prompt_tokens":5,"completion_tokens":100}}\n\n'
_WHOLE = (
    b'{"id":"chatcmpl-1","object":"chat.completion","created":1700000000,"model":"bench","choices":[{"index":0,'
    b'"message":{"role":"assistant","content":"A short answer of some words."},"finish_reason":"stop"}],'
    b'"usage":{"prompt_tokens":5,"completion_tokens":6,"total_tokens":11}}'
)
_MODELS = b'{"object":"list","data":[{"id":"bench","object":"model","created":1700000000,"owned_by":"bench"}]}'


def _chunked(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


def _whole(body: bytes) -> bytes:
    return _HEAD % (b"application/json", b"Content-Length: %d" % len(body)) + body


class Backend(asyncio.Protocol):
    """Answers one request after the other."""

    def __init__(self, events: int, pause: float) -> None:
        self._events = events
        self._pause = pause
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, separator, body = self._buffer.partition(b"\r\n\r\n")
        if not separator or len(body) < _length(head):
            return
        self._buffer = b""
        if head.startswith(b"GET"):
            self._transport.write(_whole(_MODELS))
        elif b'"stream":true' in body:
            self._transport.write(_HEAD % (b"text/event-stream", b"Transfer-Encoding: chunked"))
            self._send(self._events)
        else:
            self._transport.write(_whole(_WHOLE))

    def _send(self, left: int) -> None:
        if self._transport.is_closing():
            return
        if not left:
            trailer = _chunked(_FINISH) + _chunked(_USAGE) + _chunked(b"data: [DONE]\n\n") + b"0\r\n\r\n"
            self._transport.write(trailer)
            return
        self._transport.write(_chunked(_CHUNK))
        loop = asyncio.get_running_loop()
        if self._pause:
            loop.call_later(self._pause, self._send, left - 1)
        else:
            loop.call_soon(self._send, left - 1)


def _length(head: bytes) -> int:
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return int(line[15:])
    return 0


async def main() -> None:
    port, events, *more = sys.argv[1:]
    pause, address = (more + ["0", "127.0.0.1"][len(more) :])[:2]
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Backend(int(events), float(pause)), address, int(port))
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
