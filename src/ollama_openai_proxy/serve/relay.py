"""The way of a reply: what the upstream sends is translated and handed to the client in the turn in which it comes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from time import perf_counter_ns

from ollama_openai_proxy.errors import UpstreamError
from ollama_openai_proxy.observe.pulse import Pulse
from ollama_openai_proxy.observe.record import Record
from ollama_openai_proxy.serve.stepping import Rest, Steps, at_once
from ollama_openai_proxy.translate.events import note
from ollama_openai_proxy.translate.translator import Translator
from ollama_openai_proxy.upstream.reply import MAX_READ, Reply

# How long an answer that has its finish reason waits for a usage chunk that may never come.
FINISH_GRACE = 2.0

Put = Callable[[bytes, bool], Steps]
"""Returns what sends these bytes to the client, and, if that is told, nothing after them."""


class Relay:
    """Passes a reply on: several events of one read become one write.

    While the client has not taken what there was, nothing is read from the upstream.
    """

    def __init__(self, reply: Reply, translator: Translator, put: Put, record: Record, pulse: Pulse) -> None:
        self._reply = reply
        self._translator = translator
        self._put = put
        self._record = record
        self._pulse = pulse
        self._stopped = perf_counter_ns()  # when last all was done that there was to do
        self._begun = False
        self._over = False
        self._failure: BaseException | None = None
        self._rest: Rest | None = None  # of what the client has not taken yet
        self._pausing = False
        self._ending = False  # what is still to come is not waited for
        self._grace: asyncio.Handle | None = None
        self._turn: asyncio.Handle | None = None
        self._wake: asyncio.Future[None] | None = None

    async def run(self) -> None:
        """Return when all was sent. Raises UpstreamError, after what came before it."""
        self._reply.listen(self._arrived)
        self._arrived()
        try:
            while self._rest or not self._over:
                if self._rest is None:
                    await self._something()
                else:
                    await self._rest
                    self._rest = None
                    self._go_on()
        finally:
            self._let_go()
        if self._failure is not None:
            raise self._failure

    def _let_go(self) -> None:
        self._over = True
        if not self._translator.done:  # an answer ends with its last byte
            self._record.waited += perf_counter_ns() - self._stopped
        if self._grace is not None:
            self._grace.cancel()
        if self._turn is not None:
            self._turn.cancel()
        if self._rest is not None:
            self._rest.close()
            self._rest = None

    def _something(self) -> asyncio.Future[None]:
        self._wake = wake = asyncio.get_running_loop().create_future()
        return wake

    def _arrived(self) -> None:
        """Pass on what has come. Called by the reply."""
        if self._over or self._pausing or self._rest is not None:
            return
        began = perf_counter_ns()
        record = self._record
        record.waited += began - self._stopped
        try:
            self._pass_on(began - record.started)
        except Exception as error:  # noqa: BLE001  # it is for whoever waits, and no callback's
            self._failure, self._over = error, True
        self._stopped = perf_counter_ns()
        if self._over or self._rest is not None:
            if self._wake is not None and not self._wake.done():
                self._wake.set_result(None)
        elif self._translator.finishing and self._grace is None:
            self._grace = asyncio.get_running_loop().call_later(FINISH_GRACE, self._give_up)

    def _pass_on(self, elapsed: int) -> None:
        translator, reply = self._translator, self._reply
        while True:
            try:
                read = reply.take()
            except UpstreamError as error:
                read = self._cut(error)
            if read:
                out = translator.feed(read, elapsed)
            elif reply.whole or self._ending:
                out, self._over = translator.close(elapsed), True
            else:
                return
            if not self._begun and translator.begun:
                self._begun = True
                reply.begin()
            done = translator.done
            if out or done:
                self._rest = at_once(self._put(out, done))
            if done or translator.failure is not None:
                self._failure, self._over = translator.failure, True
            if self._over or self._waits(len(read), bool(out)):
                return

    def _cut(self, error: UpstreamError) -> bytes:
        """Return what is left of a reply that is cut short: nothing, if that is no error."""
        if not self._translator.finishing:
            raise error
        note(self._record.odd, "truncated_after_finish")
        self._ending = True  # the answer was whole, only its trailing facts are missing
        return b""

    def _waits(self, size: int, wrote: bool) -> bool:
        """Whether what comes next has to wait: for the client, for others, or because there is nothing."""
        reply = self._reply
        if self._rest is not None:
            reply.hold()
            return True
        if wrote and self._pulse.rest:
            reply.hold()
            self._turn = asyncio.get_running_loop().call_later(self._pulse.rest, self._go_on)
        elif size == MAX_READ:
            reply.hold()
            self._turn = asyncio.get_running_loop().call_soon(self._go_on)
        else:
            return not (reply.pieces or reply.whole or reply.failure or reply.packed)
        self._pausing = True
        return True

    def _give_up(self) -> None:
        self._ending = True
        self._arrived()

    def _go_on(self) -> None:
        if not self._over:
            self._pausing = False
            self._reply.go_on()
            self._arrived()
