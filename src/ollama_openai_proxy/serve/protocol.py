"""How the requests of a client are read: by uvicorn's parser, with the limits that it lacks, strict where it is not."""

from __future__ import annotations

import asyncio
from typing import Any, NoReturn, cast

import httptools
from uvicorn.config import Config
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT
from uvicorn.server import ServerState

from ollama_openai_proxy.serve import heads
from ollama_openai_proxy.serve.connection import Connection, Gate
from ollama_openai_proxy.serve.cycle import Cycle
from ollama_openai_proxy.serve.heads import Refusal

# How many requests are taken before the first of them is answered.
_MAX_PIPELINED = 8
# What a body in chunks may have beside its bytes: in all (half of that may be what follows it), and with each chunk.
_CHUNKS_EXCESS = 16 * 1024
_CHUNK_EXCESS = 64
# How much the parser is given at a time while it counts: it does not tell where in that a request ends.
_PIECE = _CHUNKS_EXCESS // 2


class _Stop(Exception):
    """Nothing more is read from this connection."""


_EXPECTED = (_Stop, httptools.HttpParserInvalidURLError)


class ClientProtocol(Connection):
    """A connection of a client, whose requests are read strictly and within limits."""

    def __init__(
        self, gate: Gate, config: Config, server_state: ServerState, app_state: dict[str, Any], **loop: Any
    ) -> None:
        super().__init__(gate, config, server_state, app_state, **loop)
        self.url = b""
        self.headers = []
        self.cycle: Cycle = None  # type: ignore[assignment]  # none before the first request, as in uvicorn
        self._max_headers = gate.limits.headers
        self._refusal: Refusal | None = None  # why the parser was stopped
        self._in_head = True  # of a request, or between two
        self._complete = False  # whether a request became whole with what came last
        self._seen = 0  # bytes of the head, then of a body in chunks
        self._last = False  # whether nothing may follow this request
        self._plain_head = b""  # of a request that asked for another protocol, without that
        self._chunked = False
        self._body_size = 0
        self._chunks = 0

    def _read(self, data: bytes) -> None:
        start = 0
        while len(data) - start > _PIECE and (self._in_head or self._chunked):
            self._complete = False
            self._feed(data[start : start + _PIECE])
            start += _PIECE
            if self._deaf:
                self._discard(len(data) - start)
                return
        self._complete = False
        self._feed(data[start:])

    def _feed(self, data: bytes) -> None:
        self._seen += len(data)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._go_on(data[upgrade.args[0] :])
        except httptools.HttpParserError as error:
            if isinstance(error, httptools.HttpParserCallbackError) and not isinstance(error.__context__, _EXPECTED):
                raise  # a mistake of ours, not of the client
            if not self._deaf:
                self._refuse(self._refusal or heads.MALFORMED)
        else:
            if self._seen or not self._complete:  # else it was a whole request
                self._check()

    def _go_on(self, rest: bytes) -> None:
        """Read a request as what it is without another protocol, which the parser would leave its body to."""
        head, self._plain_head = self._plain_head, b""
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
        self._in_head, self._seen = True, 0
        self._feed(head + rest)

    def _check(self) -> None:
        """Look at what the parser took, and at what it has not told yet."""
        if not self._in_head:
            if self._exceeds():
                self._refuse(heads.MALFORMED)
        elif self._seen > self._limits.header_size:
            self._refuse(heads.TOO_BIG)
        elif self._deadline is None or self._keeps:  # a head has begun
            self._arm_head()

    def _exceeds(self) -> bool:
        """Whether a body in chunks has too much beside its bytes: extensions, trailers."""
        return self._chunked and self._seen - self._body_size > _CHUNKS_EXCESS + self._chunks * _CHUNK_EXCESS

    # What the parser calls, with one request after another.

    def on_message_begin(self) -> None:
        if self._last or len(self.pipeline) >= _MAX_PIPELINED:
            self.cycle.keep_alive = False
            self._go_deaf()
            raise _Stop
        if self._complete:
            self._seen = 1  # how much of it came with the end of the one before is not known, but that it began
        self.url = b""
        self.headers = []
        self.expect_100_continue = False

    def on_url(self, url: bytes) -> None:
        self.url += url
        if len(self.url) > self._limits.url_size:
            self._stop(heads.LONG_URL)

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._in_head:
            return  # a trailer, which is not to change what was asked
        name = name.lower()
        if name in heads.DECISIVE:
            if refusal := heads.refusal_of_header(name, value):
                self._stop(refusal)
            self.expect_100_continue = self.expect_100_continue or name == b"expect"
            self._chunked = self._chunked or name == b"transfer-encoding"
        if len(self.headers) >= self._max_headers:
            self._stop(heads.TOO_BIG)
        self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        method, version = self.parser.get_method(), self.parser.get_http_version()
        if refusal := heads.refusal_of(method, version, self.headers):
            self._stop(refusal)
        if self._chunked or self._complete or self._seen > self._limits.header_size:
            self._measure(method)
        if self.parser.should_upgrade():
            self._plain_head = heads.without_upgrade(method, self.url, version, self.headers)
            return
        if not self.url.startswith(b"/"):
            self._take_target(version)
        if version == "1.0":
            self.expect_100_continue = False  # RFC 9110, 10.1.1
        self._last = not self.parser.should_keep_alive()
        self._in_head = False
        self._body_size = self._chunks = 0
        self._disarm()
        self._take(method.decode("ascii"), version)

    def _take(self, method: str, version: str) -> None:
        """Answer a request, after those that came before."""
        path, raw_path, query = heads.parts_of(self.url)
        scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": version,
            "server": self.server,
            "client": self.client,
            "scheme": self.scheme,
            "method": method,
            "root_path": "",
            "path": path,
            "raw_path": raw_path,
            "query_string": query,
            "headers": self.headers,
            "state": self.app_state.copy(),
        }
        before = self.cycle
        self.cycle = cycle = Cycle(
            scope,
            cast("asyncio.Transport", self._outlet),
            self.flow,
            self.server_state.default_headers,
            self.on_response_complete,
            logger=self.logger,
            expect_100_continue=self.expect_100_continue,
            keep_alive=version != "1.0" and not self._last,
        )
        if before is None or before.response_complete:
            self._start_asgi_task(cycle, self.app)
        else:
            self.pipeline.appendleft((cycle, self.app))

    def on_chunk_header(self) -> None:
        self._chunks += 1

    def on_body(self, body: bytes) -> None:
        self._body_size += len(body)
        cycle = self.cycle
        if not cycle.response_complete and cycle.hold(body) > HIGH_WATER_LIMIT:
            self.flow.pause_reading()

    def on_message_complete(self) -> None:
        if self._plain_head:
            return
        if self._exceeds():
            self._stop(heads.MALFORMED)
        self._in_head = self._complete = True
        self._seen = 0
        self._chunked = False
        cycle = self.cycle
        if not cycle.response_complete:
            cycle.more_body = False
            cycle.message_event.set()
        if self._deadline is not None:  # that of a body which was still coming when its answer was sent
            self._keep()

    def _measure(self, method: bytes) -> None:
        """Leave of what was seen what came after the head."""
        size = len(method) + len(self.url) + len(b"  HTTP/1.1\r\n\r\n")
        size += sum(len(name) + len(value) + len(b": \r\n") for name, value in self.headers)
        if size > self._limits.header_size:
            self._stop(heads.TOO_BIG)
        self._seen = max(0, self._seen - size)

    def _stop(self, refusal: Refusal) -> NoReturn:
        self._refusal = refusal
        raise _Stop

    def _take_target(self, version: str) -> None:
        target = heads.target_of(self.url)
        if target is None:
            self._stop(heads.BAD_TARGET)
        if target.host and not heads.with_host(self.headers, target.host, version):
            self._stop(heads.OTHER_HOST)
        self.url = target.path

    # What becomes of what is wrong.

    def _refuse(self, refusal: Refusal) -> None:
        """Answer in the place of the request that is being read; nothing of it or after it is looked at."""
        in_body, answering = not self._in_head, self._answering
        self._go_deaf()
        self._gate.on_refused(refusal.reason)
        if answering is None or answering.response_complete:
            self._close() if in_body else self._answer(refusal)
        elif in_body and answering is self.cycle:
            answering.leave()
            self._close() if answering.response_started else self._answer(refusal)
        else:  # others are to be answered first
            if in_body:
                self.pipeline.popleft()  # the one that is wrong
            last = self.pipeline[0][0] if self.pipeline else answering
            last.keep_alive = False

    def _on_late_head(self) -> None:
        if self._seen:
            self._refuse(heads.TOO_SLOW)
        else:  # it has asked nothing
            self._gate.on_refused(heads.TOO_SLOW.reason)
            self._close()

    def _sends(self) -> bool:
        return not self._in_head
