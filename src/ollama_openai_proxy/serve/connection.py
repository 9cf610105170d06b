"""How the connection of a client begins and ends: its places, its deadlines, who takes nothing, who is turned away."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from contextlib import suppress
from typing import Any, cast

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from ollama_openai_proxy.limits import ClientLimits
from ollama_openai_proxy.serve import heads
from ollama_openai_proxy.serve.cycle import Cycle
from ollama_openai_proxy.serve.heads import Refusal
from ollama_openai_proxy.serve.plain import Plain
from ollama_openai_proxy.serve.stall import StallWatch, reset, unread

# What is still read and thrown away when the answer was sent, and for how many seconds: a client that sends before it
# reads would find its connection reset, and no answer.
LINGER_SECONDS = 5.0
_LINGER_BYTES = 64 * 1024 * 1024
# The same of what came too early, while others are answered.
_EARLY_BYTES = 256 * 1024
# For so many at a time of those that were one connection too many, and so much shorter.
_TURNED_AWAY = 32
_TURNED_AWAY_SECONDS = 1.0
_NEVER = float("inf")


class Gate:
    """What the connections of one server share: their limits, who counts what they are refused, how many linger."""

    def __init__(self, limits: ClientLimits, on_refused: Callable[[str], None], connections: int) -> None:
        """`on_refused` is told the reason; `connections`: how many there may be."""
        self.limits = limits
        self.on_refused = on_refused
        self.connections = connections
        self.turned_away = 0


class Outlet:
    """What an answer is written to: the transport, but that the connection decides how it ends."""

    def __init__(self, transport: asyncio.Transport, close: Callable[[], None]) -> None:
        self.write = transport.write
        self.is_closing = transport.is_closing
        self.close = close


class Connection(HttpToolsProtocol):
    """A connection of a client, of which a deadline ends whatever the client does not go on with.

    There is one deadline at a time: for the head of a request, for the rest of a body whose answer was sent, for the
    next request, or for the end of one that is deaf, which throws away what comes. Most of them are moved or lifted
    long before they are reached, with each request; the timer is left where it is until it fires.
    """

    def __init__(
        self, gate: Gate, config: Config, server_state: ServerState, app_state: dict[str, Any], **loop: Any
    ) -> None:
        super().__init__(config, server_state, app_state, **loop)
        self._gate = gate
        self._limits = gate.limits
        self._outlet: Outlet | None = None
        self._stall: StallWatch | None = None
        self._deadline: float | None = None  # in the loop's time
        self._on_deadline: Callable[[], None] | None = None
        self._keeps = False  # whether it is that of the next request
        self._timer: asyncio.TimerHandle | None = None
        self._looks = _NEVER  # when the timer fires: uvloop's handles of what is due at once can't tell
        self._answering: Cycle | None = None
        self._deaf = False
        self._discarded = 0
        self._waits = False  # among those that were turned away

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        stream = cast("asyncio.Transport", transport)  # uvloop's is none by its class
        if len(self.connections) >= self._gate.connections:
            self.transport = stream
            self._turn_away()
            return
        super().connection_made(stream)
        self._outlet = Outlet(stream, self._part)
        self._stall = StallWatch(stream, self._limits.write_timeout, self._on_stall)
        self._arm_head()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._waits:
            self._gate.turned_away -= 1
            self._waits = False
        self._disarm()
        self._on_deadline = None  # it would hold on to all of this
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._stall:
            self._stall.end()
            self._stall = None
        if self._outlet:
            self._outlet.close = self.transport.close  # not ours: it would hold on to all of this
        self.pipeline.clear()  # nobody is there to take the answers
        answering = self._answering
        if answering is not None and not answering.response_complete:
            answering.leave()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._deaf:
            self._discard(len(data))
        else:
            self._read(data)

    def _read(self, data: bytes) -> None:
        """Take what the client sent."""
        raise NotImplementedError

    def _on_late_head(self) -> None:
        """The head of a request is not whole in time."""
        raise NotImplementedError

    def _sends(self) -> bool:
        """Whether more is to come of a request."""
        raise NotImplementedError

    # The end of those who are answered.

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._answering = cast("Cycle", cycle)
        if cycle.scope["http_version"] == "1.0":
            app = Plain(app, cycle)
        task = self.loop.create_task(self._run(cycle, app))
        self.tasks.add(task)

    async def _run(self, cycle: RequestResponseCycle, app: Any) -> None:
        try:
            await cycle.run_asgi(app)
        finally:  # not by a callback, which takes a turn of the loop; nobody cancels a task that has not begun
            self.tasks.discard(cast("asyncio.Task[None]", asyncio.current_task()))
            if self._stall and self.transport.is_closing() and self.transport.get_write_buffer_size():
                self._stall.begin()

    def _part(self) -> None:
        """Close it behind an answer: at once, or when the client has sent what it still sends, or soon."""
        self._flush()
        if self.transport.is_closing() or not (self._deaf or self._sends() or unread(self.transport)):
            self.transport.close()
            return
        self._go_deaf()
        self.flow.resume_reading()
        self._linger(LINGER_SECONDS, self._close)

    def _flush(self) -> None:
        if self._answering is not None:
            self._answering.flush()

    def on_response_complete(self) -> None:
        self.server_state.total_requests += 1
        if self._lingers or self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
        elif self._sends():
            self._arm(LINGER_SECONDS, self._close)  # the rest of its body may still come
        elif self._deadline is None:  # else another head has begun
            self._keep()

    def pause_writing(self) -> None:
        super().pause_writing()
        if self._stall:
            self._stall.full()

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._stall:
            self._stall.free()

    def _on_stall(self) -> None:
        self._gate.on_refused("write_timeout")
        if self._answering is not None:
            # Whoever answers tells it from a client that leaves. uvicorn's type knows no keys but its own.
            cast("dict[str, Any]", self._answering.scope)["stalled"] = True

    def shutdown(self) -> None:
        """End it, unless a request has come that nobody has read yet: its client would see a reset."""
        if self._deaf or not unread(self.transport):  # else the server asks again in a moment
            super().shutdown()

    def _keep(self) -> None:
        """Wait for another request."""
        self._arm(self._limits.keep_alive, self._close)
        self._keeps = True

    def _close(self) -> None:
        """Close it when all is sent, or when nothing more of it is taken."""
        self._flush()
        self.transport.close()
        if self._stall:
            self._stall.begin()

    # The end of those who are not.

    def _turn_away(self) -> None:
        self._deaf = True
        self._gate.on_refused(heads.TOO_MANY.reason)
        self._answer(heads.TOO_MANY, _TURNED_AWAY_SECONDS)
        if self._gate.turned_away < _TURNED_AWAY:
            self._gate.turned_away += 1
            self._waits = True
        else:
            self.transport.close()

    def _answer(self, refusal: Refusal, linger: float = LINGER_SECONDS) -> None:
        """Say why, and close: our side at once, the other one when the client does, or soon."""
        if self.transport.is_closing():
            return
        self.transport.write(heads.answer(refusal, self.server_state.default_headers, secrets.token_hex(16)))
        self._linger(linger, self._give_up)

    def _linger(self, seconds: float, end: Callable[[], None]) -> None:
        with suppress(OSError):  # it has left
            self.transport.write_eof()
        self._arm(seconds, end)

    @property
    def _lingers(self) -> bool:
        return self._deaf and self._deadline is not None

    def _go_deaf(self) -> None:
        self._deaf = True
        self._disarm()

    def _discard(self, size: int) -> None:
        self._discarded += size
        if self._deadline is None:  # it does not end before those that were asked first are answered
            if self._discarded > _EARLY_BYTES:
                self.flow.pause_reading()
        elif self._discarded > _LINGER_BYTES:
            self._give_up()

    def _give_up(self) -> None:
        """Close it now."""
        if self.transport.get_write_buffer_size():
            reset(self.transport)
        else:
            self.transport.close()

    # The deadline.

    def _arm_head(self) -> None:
        self._arm(self._limits.header_timeout, self._on_late_head)

    def _arm(self, seconds: float, end: Callable[[], None]) -> None:
        self._deadline = deadline = self.loop.time() + seconds
        self._on_deadline = end
        self._keeps = False
        if deadline < self._looks:
            self._wait(deadline)

    def _wait(self, until: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer, self._looks = self.loop.call_at(until, self._look), until

    def _look(self) -> None:
        self._timer, self._looks = None, _NEVER
        if self._deadline is None or self._on_deadline is None:
            return
        if self._deadline > self.loop.time():
            self._wait(self._deadline)
        else:
            self._disarm()
            self._on_deadline()

    def _disarm(self) -> None:
        self._deadline = None
        self._keeps = False
