"""A backend that does what the name of the model says, and counts what becomes of it.

    python -m benchmarks.soak.upstream PORT

`short`                answers at once
`slow-MS`              answers after so many milliseconds
`tokens-COUNT-MS`      streams tokens of a ledger, that of the last message's content, so far apart
`cut-COUNT-MS`         the same, but breaks off instead of ending
`flood-BYTES-COUNT`    streams so many events of so many bytes, as fast as they are taken
`status-CODE`          answers with an error
`junk`                 answers with what is no HTTP
`hang`                 never answers

`GET /_stats` tells of it all. It ends with its standard input.
"""

from __future__ import annotations

import asyncio
import json
import socket
import sys
import time
from collections import Counter
from collections.abc import Callable
from typing import Any, cast

import uvloop
from benchmarks.soak.ledger import Chain

_SEND_BUFFER = 64 * 1024  # so that what was sent is about what was taken
_EVENT = '{"id":"c-1","object":"chat.completion.chunk","created":1700000000,"model":"soak","choices":[%s]%s}'
_DELTA = '{"index":0,"delta":{"content":"%s"},"finish_reason":null}'
_FINISH = _EVENT % ('{"index":0,"delta":{},"finish_reason":"stop"}', "")
_USAGE = _EVENT % ("", ',"usage":{"prompt_tokens":5,"completion_tokens":6}')
_WHOLE = (
    b'{"id":"c-1","object":"chat.completion","created":1700000000,"model":"soak","choices":[{"index":0,"message":'
    b'{"role":"assistant","content":"A short answer."},"finish_reason":"stop"}],'
    b'"usage":{"prompt_tokens":5,"completion_tokens":6,"total_tokens":11}}'
)
_MODELS = b'{"object":"list","data":[{"id":"short","object":"model","created":1700000000,"owned_by":"soak"}]}'


class Statistics:
    """`live`: requests that are neither answered nor given up; `most`: the most of them at a time."""

    def __init__(self) -> None:
        self.connections = self.live = self.most = self.aborted = 0
        self.requests: Counter[str] = Counter()
        self.sent: Counter[str] = Counter()

    def picture(self) -> bytes:
        return json.dumps(vars(self)).encode()


class Backend(asyncio.Protocol):
    """A connection: one request after the other."""

    def __init__(self, statistics: Statistics) -> None:
        self._statistics = statistics
        self._buffer = b""
        self._model = ""
        self._answering = False
        self._step: Callable[[], None] | None = None  # what goes on when there is room again
        self._full = False
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(high=_SEND_BUFFER)
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)
        self._statistics.connections += 1

    def connection_lost(self, exc: Exception | None) -> None:
        self._statistics.connections -= 1
        self._statistics.aborted += self._answering
        self._end()

    def pause_writing(self) -> None:
        self._full = True

    def resume_writing(self) -> None:
        self._full = False
        if self._step:
            self._step()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, separator, body = self._buffer.partition(b"\r\n\r\n")
        if not separator or len(body) < _length(head):
            return
        self._buffer = b""
        if head.startswith(b"GET"):
            self._transport.write(_whole(self._statistics.picture() if b"/_stats" in head else _MODELS))
        else:
            self._begin(json.loads(body))

    def _begin(self, body: dict[str, Any]) -> None:
        self._model, statistics = body["model"], self._statistics
        statistics.requests[self._model] += 1
        statistics.live += 1
        statistics.most = max(statistics.most, statistics.live)
        self._answering = True
        kind, *numbers = self._model.split("-")
        first, second = [*map(int, numbers), 0, 0][:2]
        if kind in ("tokens", "cut"):
            self._head()
            self._token(Chain(body["messages"][-1]["content"]), first, second / 1000)
        elif kind == "flood":
            self._head()
            self._flood(_chunked(_EVENT % (_DELTA % ("x" * first), "")), second)
        elif kind == "status":
            self._write(_whole(b'{"error":{"message":"as asked"}}', first))
            self._end()
        elif kind == "junk":
            self._write(b"SSH-2.0-nothing\r\n\r\n")
            self._break_off()
        elif kind != "hang":
            self._after(first / 1000, lambda: self._short(streamed=bool(body.get("stream"))))

    def _short(self, *, streamed: bool) -> None:
        if streamed:
            self._head()
            self._write(_chunked(_EVENT % (_DELTA % "A short answer.", "")))
            self._finish()
        else:
            self._write(_whole(_WHOLE))
            self._end()

    def _token(self, chain: Chain, left: int, pause: float) -> None:
        if not left and self._model.startswith("cut"):
            self._break_off()
            return
        if not left:
            self._finish()
            return
        self._write(_chunked(_EVENT % (_DELTA % chain.token(time.monotonic_ns()), "")))
        self._step = lambda: self._after(pause, lambda: self._token(chain, left - 1, pause))
        if not self._full:
            self._step()

    def _flood(self, event: bytes, left: int) -> None:
        while left and not self._full:
            self._write(event)
            left -= 1
        self._step = lambda: self._flood(event, left)
        if not left:
            self._finish()

    def _after(self, seconds: float, do: Callable[[], None]) -> None:
        self._timer = asyncio.get_running_loop().call_later(seconds, do)

    def _head(self) -> None:
        self._write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")

    def _finish(self) -> None:
        self._write(_chunked(_FINISH) + _chunked(_USAGE) + _chunked("[DONE]") + b"0\r\n\r\n")
        self._end()

    def _break_off(self) -> None:
        self._end()
        self._transport.close()

    def _write(self, data: bytes) -> None:
        self._statistics.sent[self._model] += len(data)
        self._transport.write(data)

    def _end(self) -> None:
        self._statistics.live -= self._answering
        self._answering = False
        self._step = None
        if self._timer:
            self._timer.cancel()


def _chunked(data: str) -> bytes:
    event = f"data: {data}\n\n".encode()
    return b"%x\r\n%s\r\n" % (len(event), event)


def _whole(body: bytes, status: int = 200) -> bytes:
    head = b"HTTP/1.1 %d Told\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    return head % (status, len(body)) + body


def _length(head: bytes) -> int:
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return int(line[15:])
    return 0


async def main() -> None:
    """Serve until standard input ends, which it does with whoever started this."""
    loop = asyncio.get_running_loop()
    statistics, ended = Statistics(), asyncio.Event()
    loop.add_reader(sys.stdin.fileno(), ended.set)
    server = await loop.create_server(lambda: Backend(statistics), "127.0.0.1", int(sys.argv[1]), backlog=4096)
    await ended.wait()
    server.close()


if __name__ == "__main__":
    uvloop.run(main())
