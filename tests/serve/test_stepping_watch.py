"""A client that leaves."""

from __future__ import annotations

import asyncio
import logging

import pytest
from starlette.types import Message
from uvicorn.protocols.http.flow_control import FlowControl

from ollama_openai_proxy.serve.cycle import Cycle
from ollama_openai_proxy.serve.stepping import Watch
from support.waiting import eventually, no_errors


class Client:
    """What a server tells of a client: messages now, and others when the test says so."""

    def __init__(self, *messages: str) -> None:
        self.messages: asyncio.Queue[str] = asyncio.Queue()
        self.say(*messages)
        self.asked = 0
        self.stopped = 0
        self.left = 0

    def say(self, *messages: str) -> None:
        for message in messages:
            self.messages.put_nowait(f"http.{message}")

    async def receive(self) -> Message:
        self.asked += 1
        try:
            return {"type": await self.messages.get()}
        except GeneratorExit:
            self.stopped += 1
            raise

    def on_left(self) -> None:
        self.left += 1


async def turns(count: int = 5) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_left_before_it_is_watched() -> None:
    """A client that has left is told at once, once, and nothing more is received."""
    client = Client("disconnect", "disconnect")
    watch = Watch(client.receive, client.on_left)
    assert (client.left, client.asked) == (1, 1)
    await turns()
    watch.close()
    assert (client.left, client.asked) == (1, 1)


@pytest.mark.parametrize("before", [(), ("request",), ("request",) * 5], ids=len)
async def test_leaves_later(before: tuple[str, ...]) -> None:
    """A client that leaves later is told then, once, whatever messages came before."""
    client = Client(*before)
    watch = Watch(client.receive, client.on_left)
    await turns(10)
    assert client.left == 0
    client.say(*before, "disconnect", "disconnect")
    await eventually(lambda: client.left)
    await turns(10)
    watch.close()
    assert (client.left, client.asked) == (1, 2 * len(before) + 1)


@pytest.mark.parametrize("later", [(), ("disconnect",), ("request", "disconnect")], ids=len)
async def test_closed_before_it_leaves(later: tuple[str, ...]) -> None:
    """Who does not watch any more is not told, and nothing waits for a message any more."""
    client = Client("request")
    with no_errors():
        watch = Watch(client.receive, client.on_left)
        await turns()
        watch.close()
        assert client.stopped == 1
        client.say(*later)
        await turns()
    assert client.left == 0
    assert client.messages.qsize() == len(later)


async def test_closed_as_it_leaves() -> None:
    """The message may be there already when the watch is closed: nobody is told."""
    client = Client()
    watch = Watch(client.receive, client.on_left)
    client.say("disconnect")
    watch.close()
    await turns()
    assert client.left == 0


async def test_closed_between_two_messages() -> None:
    """A watch that is closed before it asks for the next message asks for none."""
    client = Client("request", "disconnect")
    watch = Watch(client.receive, client.on_left)
    watch.close()
    await turns()
    assert (client.left, client.asked) == (0, 1)


async def test_closed_by_who_is_told() -> None:
    """Who is told may close the watch there and then, and once more."""
    client = Client()

    def on_left() -> None:
        client.on_left()
        watch.close()

    watch = Watch(client.receive, on_left)
    client.say("disconnect")
    await eventually(lambda: client.left)
    watch.close()
    assert client.left == 1


async def test_messages_that_never_end() -> None:
    """A server that always has another message leaves others their turns."""
    client = Client(*["request"] * 1000)
    watch = Watch(client.receive, client.on_left)
    await turns(10)
    assert client.asked < 100
    watch.close()


@pytest.mark.parametrize("closed", [False, True])
@pytest.mark.parametrize("more_body", [False, True])
async def test_client_of_a_cycle(more_body: bool, closed: bool) -> None:
    """A client of our own server is watched, whether all of its request has come or not."""
    client, transport = Client(), asyncio.Transport()
    options = {"logger": logging.getLogger(__name__), "expect_100_continue": False, "keep_alive": True}
    cycle = Cycle({}, transport, FlowControl(transport), [], lambda: None, **options)  # type: ignore[arg-type]  # so named
    cycle.more_body = more_body
    watch = Watch(cycle.receive, client.on_left)
    await turns()
    if closed:
        watch.close()
    cycle.leave()
    await turns()
    watch.close()
    assert client.left == (not closed)
