"""The uvicorn server: how connections are taken, what a start tells, and how it ends."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from functools import partial
from typing import NamedTuple, cast

import uvicorn
from starlette.types import ASGIApp

from ollama_openai_proxy.limits import ClientLimits
from ollama_openai_proxy.serve.connection import Gate
from ollama_openai_proxy.serve.descriptors import allowed
from ollama_openai_proxy.serve.lifecycle import Lifecycle
from ollama_openai_proxy.serve.protocol import ClientProtocol
from ollama_openai_proxy.serve.sockets import BACKLOG, address, listen

# What the last words to clients may take, at the end, before their connections are aborted.
_FLUSH_SECONDS = 1.0  # less than LAST_WORDS of an exchange
_LOOK_SECONDS = 0.1
_log = logging.getLogger(__name__)
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Drain(NamedTuple):
    """Seconds, both from the signal: until no more requests are taken (None: as long as somebody
    may need it), and until those that still run are ended."""

    delay: float | None = None
    timeout: float = 60.0


class Server(uvicorn.Server):
    """A uvicorn server that tells when it listens, and that drains when a signal ends it.

    First it goes on as ever, but for its readiness and for a `Connection: close` in each reply;
    after a delay it closes its listeners and waits for what runs; what is not ready in time gets an
    error. A second signal ends it at once.
    """

    def __init__(
        self,
        app: ASGIApp,
        lifecycle: Lifecycle | None = None,
        drain: Drain | None = None,
        limits: ClientLimits | None = None,
        *,
        handle_signals: bool = True,
        supervised: bool = False,
    ) -> None:
        """`lifecycle`: that of the application, None for one which is only a part of the process.

        To a supervised server a second SIGTERM says nothing new, for systemd sends one to each process beside
        that of the supervisor, who sends SIGINT to make it hurry.
        """
        self._lifecycle = lifecycle or Lifecycle()
        limits = limits or ClientLimits()
        gate = Gate(limits, self._lifecycle.refused, allowed(limits.connections))
        if lifecycle and gate.connections < limits.connections:
            _log.warning("the system's limit of open files leaves room for %d connections", gate.connections)
        self._protocol = partial(ClientProtocol, gate)
        super().__init__(
            uvicorn.Config(
                app,
                http=cast("type[asyncio.Protocol]", self._protocol),
                ws="none",
                lifespan="on",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
            )
        )
        self._handle_signals = handle_signals
        self._on_term = self.drain if supervised else self.stop
        self._drain = drain or Drain()
        self._draining: asyncio.Task[None] | None = None
        self._ending: asyncio.Task[None] | None = None
        self._exits = asyncio.Event()
        self.listening = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            where = ", ".join(map(address, sockets or ()))
            self._lifecycle.change("ready", address=where)
            self.listening.set()

    async def main_loop(self) -> None:
        """Wait for the end; once a second there is a new date. uvicorn's own wakes ten times as often."""
        while not await self.on_tick(0):
            with suppress(TimeoutError):
                async with asyncio.timeout(1):
                    await self._exits.wait()

    def _exit(self) -> None:
        self.should_exit = True
        self._exits.set()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        closing = asyncio.create_task(self._close_idle())
        try:
            await self._take_who_waits(sockets or ())
            await super().shutdown(sockets)
        finally:
            closing.cancel()
        self._lifecycle.change("stopped", code=0)

    async def _take_who_waits(self, listeners: Iterable[socket.socket]) -> None:
        """Accept the connections that the system holds already: with the listener it would reset them."""
        made = partial(
            self._protocol, config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )
        for listener in listeners:
            with suppress(OSError):  # nobody waits any more
                for _ in range(BACKLOG):
                    taken, _ = listener.accept()
                    taken.setblocking(False)  # a socket's way
                    await asyncio.get_running_loop().connect_accepted_socket(made, taken)

    async def _close_idle(self) -> None:
        """Close the connections that carry nothing, for one may have come just before the listener was closed."""
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            for connection in list(self.server_state.connections):
                connection.shutdown()

    def drain(self) -> None:
        """Begin to drain, unless that was done."""
        if self._draining is None:
            # At once, and not when the task first runs: readiness is asked meanwhile.
            delay = self._lifecycle.delay(self._drain.delay) if self.started else 0.0
            delay = min(delay, self._drain.timeout)
            self._lifecycle.change("draining", delay=delay, timeout=self._drain.timeout)
            self._draining = asyncio.create_task(self._drained(delay))

    def stop(self) -> None:
        """Begin to drain; the second time, end at once."""
        if self._draining is None:
            self.drain()
        elif self._ending is None:
            self._draining.cancel()
            self._ending = asyncio.create_task(self._ended())

    async def _drained(self, delay: float) -> None:
        deadline = asyncio.get_running_loop().time() + self._drain.timeout
        await asyncio.sleep(delay)
        self._exit()
        await asyncio.sleep(deadline - asyncio.get_running_loop().time())
        await self._ended()

    async def _ended(self) -> None:
        self._exit()
        self._lifecycle.cut()
        await asyncio.sleep(_FLUSH_SECONDS)
        for connection in list(self.server_state.connections):
            if connection.transport:
                connection.transport.abort()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Take signals in the loop; uvicorn's own way raises them again after the end."""
        before = {number: signal.getsignal(number) for number in _SIGNALS} if self._handle_signals else {}
        if before.get(signal.SIGHUP) == signal.SIG_IGN:  # which nohup asks for
            del before[signal.SIGHUP]
        signals = list(before)
        loop = asyncio.get_running_loop()
        for number in signals:
            loop.add_signal_handler(number, self.stop if number == signal.SIGINT else self._on_term)
        try:
            yield
        finally:
            # None of them may fall between the handlers.
            signal.pthread_sigmask(signal.SIG_BLOCK, signals)
            for number in signals:
                loop.remove_signal_handler(number)
                signal.signal(number, before[number] or signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, signals)
            for task in (self._draining, self._ending):
                if task:
                    task.cancel()


@asynccontextmanager
async def serving(
    app: ASGIApp,
    lifecycle: Lifecycle | None = None,
    listener: socket.socket | None = None,
    limits: ClientLimits | None = None,
) -> AsyncIterator[str]:
    """Serve an application while the block lasts, on a loopback socket of its own if none is given; yield its URL."""
    listener = listener or listen("127.0.0.1", 0)
    server = Server(app, lifecycle, Drain(0, 1), limits, handle_signals=False)
    task = asyncio.create_task(server.serve(sockets=[listener]))
    listening = asyncio.create_task(server.listening.wait())
    try:
        await asyncio.wait({task, listening}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            raise RuntimeError("the application does not start")
        yield f"http://{address(listener)}"
    finally:
        listening.cancel()
        server.stop()
        await task
