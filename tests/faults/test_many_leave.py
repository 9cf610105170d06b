"""Many clients leave at once, in each phase: nothing of them is left, and the next is served (reliability T12)."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Sequence

import pytest

from ollama_openai_proxy.upstream.pool import Pool
from support.proxy import chat, proxied
from support.rawclient import RawClient
from support.replies import HI, SSE, finish, text
from support.scripted import Chunk, Flood, Hold, Send, Step
from support.waiting import eventually

PHASES: dict[str, tuple[Sequence[Step], bytes]] = {
    "head": ((Hold(),), b""),
    "half a head": ((Send(b"HTTP/1.1 200 OK\r\nContent-Ty"), Hold()), b""),
    "before the first event": ((SSE, Chunk(b": ping\n\n"), Hold()), b""),
    "body": ((SSE, Chunk(text("Hi")), Hold()), b'"Hi"'),
    "finish": ((SSE, Chunk(text("Hi") + finish()), Hold()), b'"Hi"'),
    "send": ((SSE, Flood(text("x" * 10_000), 10_000)), b'"content"'),
}


def in_use() -> int:
    """How many connections to backends are taken, of all pools."""
    pools = [one for one in gc.get_objects() if isinstance(one, Pool)]
    return sum(len(pool._connections) - len(pool._idle) for pool in pools)


@pytest.mark.parametrize(("steps", "marker"), PHASES.values(), ids=PHASES.keys())
async def test_t12_c3_c4_c5_many_leave(steps: Sequence[Step], marker: bytes) -> None:
    """T12, C3, C4, C5: after fifty aborts in one phase no connection is in use, and the next request is answered."""
    async with proxied() as proxy:
        proxy.upstream.script("m", steps)

        async def leave(number: int) -> None:
            async with proxy.client(receive_buffer=4096) as client:
                await client.ask("POST", "/api/chat", chat(stream=bool(marker) or number % 2 == 0))
                if marker:
                    await client.read_until(marker)
                else:
                    await proxy.upstream.request_received(number + 1)
                (RawClient.reset if number % 3 else RawClient.close)(client)

        for first in range(0, 50, 10):
            await asyncio.gather(*map(leave, range(first, first + 10)))
        await eventually(lambda: not proxy.upstream.busy and not in_use(), within=2.0)
        proxy.upstream.script("m", HI)
        assert (await proxy.chat()).lines[-1]["done"] is True
        await eventually(lambda: not in_use(), within=2.0)
