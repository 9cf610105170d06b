"""A backend that must never be what is waited for: it answers with bytes made beforehand.

    python -m benchmarks.bench.upstream PORT

Each event of a stream is a write of its own, in a turn of the event loop of its own; those that are paced have a timer
each. The finish reason, the usage and `[DONE]` are one write. `POST /_plan` with a `Plan` in JSON says what is answered
from then on. It speaks HTTP/1.0 to who does, and ends with its standard input.
"""

from __future__ import annotations

import asyncio
import re
import sys
import time
from functools import partial
from typing import NamedTuple, cast

import msgspec
import uvloop
from benchmarks.bench import answers
from benchmarks.bench.loads import PROMPT, Plan

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_CLOSE = re.compile(rb"\r\nconnection: *close", re.IGNORECASE)
_TEXT = PROMPT.strip().encode()
_END = b"0\r\n\r\n"


class Script(NamedTuple):
    """What is answered, ready to be written. `single`: to who asks for one embedding after the other.

    Events and the end of a stream: by whether they are chunked, which HTTP/1.0 does not know.
    """

    plan: Plan
    whole: bytes
    single: bytes
    events: dict[bool, list[bytes]]
    end: dict[bool, bytes]

    @classmethod
    def of(cls, plan: Plan) -> Script:
        events, end = answers.stream(plan), answers.stream_end(plan)
        return cls(
            plan,
            _whole(answers.whole(plan)),
            _whole(answers.whole(msgspec.structs.replace(plan, batch=min(plan.batch, 1)))),
            {True: [_chunk(event, paced=plan.pause > 0) for event in events], False: events},
            {True: _chunk(end) + _END, False: end},
        )


class Backend:
    """What all connections share."""

    def __init__(self) -> None:
        self.models = _whole(answers.models())
        self.script = Script.of(Plan())


class Connection(asyncio.Protocol):
    """Answers one request after the other."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._buffer = b""
        self._close = False
        self._timer: asyncio.Handle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._write = self._transport.write
        self._loop = asyncio.get_running_loop()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._timer:
            self._timer.cancel()

    def data_received(self, data: bytes) -> None:
        self._buffer = data = self._buffer + data if self._buffer else data
        end = data.find(b"\r\n\r\n")
        if end < 0:
            return
        found = _LENGTH.search(data, 0, end)
        if found and len(data) < end + 4 + int(found[1]):
            return
        self._buffer = b""
        old = data.find(b" HTTP/1.0\r", 0, end) > 0
        self._close = old or _CLOSE.search(data, 0, end) is not None
        self._answer(data, data[end + 4 :], chunked=not old)

    def _answer(self, data: bytes, body: bytes, *, chunked: bool) -> None:
        script = self._backend.script
        if data.startswith(b"POST /_plan"):
            self._backend.script = Script.of(msgspec.json.decode(body, type=Plan))
            self._whole(_whole(b"{}"))
        elif data.startswith(b"GET"):
            self._whole(self._backend.models)
        elif b'"stream":true' in body or b'"stream": true' in body:
            self._stream(script, chunked=chunked)
        else:
            self._whole(script.whole if _is_batch(body) else script.single)

    def _whole(self, answer: bytes) -> None:
        self._write(answer)
        if self._close:
            self._transport.close()

    def _stream(self, script: Script, *, chunked: bool) -> None:
        framing = b"Transfer-Encoding: chunked" if chunked else b"Connection: close"
        self._write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n%s\r\n\r\n" % framing)
        events, end = script.events[chunked], script.end[chunked]
        if script.plan.pause:
            self._paced(events, end, self._loop.time(), script.plan.pause, 0)
        else:
            self._next(events, end, 0)

    def _next(self, events: list[bytes], end: bytes, place: int) -> None:
        """Write one event, and the next in the next turn of the loop."""
        if place == len(events):
            self._whole(end)
            return
        event = events[place]
        self._write(event)
        self._timer = self._loop.call_soon(self._next, events, end, place + 1)

    def _paced(self, events: list[bytes], end: bytes, began: float, pause: float, place: int) -> None:
        """Write one event, and set the timer of the next: by the beginning, so that being late does not add up."""
        if place == len(events):
            self._whole(end)
            return
        self._write(events[place] % (place, time.monotonic_ns()))
        due = began + pause * (place + 1)
        self._timer = self._loop.call_at(due, self._paced, events, end, began, pause, place + 1)


def _chunk(event: bytes, *, paced: bool = False) -> bytes:
    """Return an event in the framing of HTTP/1.1; a paced one is a format, of the same size when it is filled."""
    size = len(event % (0, 0)) if paced else len(event)
    return b"%x\r\n%s\r\n" % (size, event)


def _is_batch(body: bytes) -> bool:
    """Whether there is more than one text in a request for embeddings; of no interest for others."""
    return body.find(_TEXT, body.find(_TEXT) + 1) >= 0


def _whole(body: bytes) -> bytes:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    return head % len(body) + body


async def main() -> None:
    """Serve until standard input ends, which it does with whoever started this."""
    loop = asyncio.get_running_loop()
    backend, ended = Backend(), asyncio.Event()
    loop.add_reader(sys.stdin.fileno(), ended.set)
    server = await loop.create_server(partial(Connection, backend), "127.0.0.1", int(sys.argv[1]), backlog=4096)
    await ended.wait()
    server.close()


if __name__ == "__main__":
    uvloop.run(main())
