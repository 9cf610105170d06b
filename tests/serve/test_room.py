"""Room for bodies: what is counted, what is refused, and when it is counted no more."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf

import pytest
from starlette.types import Message, Receive, Scope, Send

from ollama_openai_proxy.errors import Busy
from ollama_openai_proxy.serve.room import COPIES, Room

MIB = 2**20
LARGEST = 32 * MIB


class Memory:
    """What is left of it."""

    def __init__(self, left: float) -> None:
        self.bytes = left
        self.looks = 0

    def left(self) -> float:
        self.looks += 1
        return self.bytes


async def read_all(scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG001  # an application's arguments
    while (await receive()).get("more_body"):
        pass


async def asked(room: Room, parts: Sequence[int], **headers: int | str) -> None:
    """Ask with a body of these parts, in bytes, and with these headers."""
    messages: list[Message] = [{"type": "http.request", "body": bytes(size), "more_body": True} for size in parts]
    messages.append({"type": "http.request", "body": b"", "more_body": False})

    async def receive() -> Message:
        return messages.pop(0)

    async def send(message: Message) -> None:
        pass

    named = [(name.replace("_", "-").encode(), str(value).encode()) for name, value in headers.items()]
    await room({"type": "http", "headers": named}, receive, send)


@pytest.mark.parametrize(
    ("left", "headers"),
    [
        (10 * MIB, {"content_length": 3 * MIB}),
        (10 * MIB, {"content_length": 100 * 1024, "content_encoding": "gzip"}),
        (MIB, {"transfer_encoding": "chunked"}),
        (-1, {"content_length": MIB}),
    ],
    ids=["large", "packed", "of unknown length", "nothing left"],
)
async def test_j14_l3_no_room(left: float, headers: dict[str, int | str]) -> None:
    """J14, L3: a body whose copies do not fit is a 503 at its first byte, or when it turns out to be large."""
    room = Room(read_all, Memory(left).left, LARGEST)
    with pytest.raises(Busy) as refused:
        await asked(room, [64 * 1024] * 48, **headers)
    assert (refused.value.status, refused.value.outcome) == (503, "shed_full")
    assert refused.value.retry_after in range(1, 6)


@pytest.mark.parametrize("headers", [{}, {"content_length": 200_000}, {"content_length": LARGEST + 1}])
async def test_small_bodies_cost_nothing(headers: dict[str, int]) -> None:
    """A small body is not worth a look at the memory, nor is one that is too large to be read at all."""
    memory = Memory(0)
    await asked(Room(read_all, memory.left, LARGEST), [1000], **headers)
    assert memory.looks == 0


async def test_j14_all_are_counted_together() -> None:
    """J14: what others will take is counted though the kernel does not see it yet, and no more once they have ended."""
    memory = Memory(COPIES * 10 * MIB)

    async def with_another(scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG001  # as above
        await receive()
        if nested:
            nested.clear()
            with pytest.raises(Busy):
                await asked(room, [1], content_length=5 * MIB)
            await asked(room, [1], content_length=3 * MIB)
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await asked(room, [1], content_length=10 * MIB)  # the answer has begun: what it takes is there

    nested = [True]
    room = Room(with_another, memory.left, LARGEST)
    await asked(room, [1], content_length=6 * MIB)
    await asked(room, [1], content_length=10 * MIB)


async def test_no_limit() -> None:
    """Without a limit on memory all is read."""
    await asked(Room(read_all, Memory(inf).left, LARGEST), [MIB] * 32, content_length=LARGEST)


async def test_what_is_refused_is_not_counted() -> None:
    """A body that was refused leaves its room to others, and who goes on to read it is not stopped again."""

    async def stubborn(scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG001  # an application's arguments
        try:
            await receive()
        except Busy:
            await receive()

    room = Room(stubborn, Memory(COPIES * MIB).left, LARGEST)
    await asked(room, [1, 1], content_length=2 * MIB)
    room = Room(read_all, Memory(COPIES * MIB).left, LARGEST)
    with pytest.raises(Busy):
        await asked(room, [1], content_length=2 * MIB)
    await asked(room, [1], content_length=MIB)
