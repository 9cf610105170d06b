"""A relay between a reply that comes over a wire in memory and a client who takes it when the test says so."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from ollama_openai_proxy.deadlines import Deadlines, Timeouts
from ollama_openai_proxy.observe.metrics import Metrics
from ollama_openai_proxy.observe.pulse import Pulse
from ollama_openai_proxy.observe.record import Record
from ollama_openai_proxy.serve.relay import Relay
from ollama_openai_proxy.translate.ollama.reply import CHAT, ReplyEncoder
from ollama_openai_proxy.translate.ollama.reply import Reply as Told
from ollama_openai_proxy.translate.translator import ReplyTranslator
from ollama_openai_proxy.upstream.reply import Reply
from support.wire import Wire

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
END = b"0\r\n\r\n"


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


class Client:
    """Takes what it is sent; each piece once `gate` is set."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.gate.set()
        self.pieces: list[bytes] = []
        self.last = False
        self.error: Exception | None = None
        self.stopped = 0

    async def put(self, body: bytes, last: bool) -> None:
        assert not self.last
        self.pieces.append(body)
        self.last = last
        try:
            await self.gate.wait()
        except BaseException:
            self.stopped += 1
            raise
        if self.error:
            raise self.error

    @property
    def said(self) -> str:
        lines = [json.loads(line) for line in b"".join(self.pieces).splitlines()]
        return "".join(line["message"]["content"] for line in lines)


class Scene:
    """A reply that comes over a wire, the client whom it is for, and the relay between them."""

    def __init__(self, translator: ReplyTranslator | None = None, *, head: bytes = HEAD) -> None:
        self.wire = Wire()
        self.reply = Reply(self.wire.connection, Deadlines(Timeouts(), streamed=True), 2**30)
        self.wire.connection.ask(b"GET / HTTP/1.1\r\n\r\n", b"", self.reply)
        self.wire.arrive(head)
        self.translator = translator or ReplyTranslator(ReplyEncoder(Told(CHAT, "m", arrived=0, streamed=True)))
        self.translator.open("text/event-stream", 0)
        self.client = Client()
        self.record = Record("1")
        self.pulse = Pulse(Metrics(version="0"))
        self.relay = Relay(self.reply, self.translator, self.client.put, self.record, self.pulse)
        self.task: asyncio.Task[None] | None = None

    async def begin(self) -> None:
        self.task = asyncio.create_task(self.relay.run())
        await asyncio.sleep(0)

    async def ended(self) -> None:
        assert self.task
        await asyncio.wait_for(self.task, 5)


@asynccontextmanager
async def relayed(translator: ReplyTranslator | None = None) -> AsyncIterator[Scene]:
    """Yield a relay that runs."""
    scene = Scene(translator)
    await scene.begin()
    yield scene
    assert scene.task
    scene.task.cancel()
    with suppress(asyncio.CancelledError, Exception):
        await scene.task
    scene.reply.close()
