"""The client leaves, in every phase (reliability 2.C): the upstream sees it within a second."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Sequence

import pytest

from support.outcomes import Outcomes
from support.proxy import HELLO, Proxy, chat, proxied, running_proxy
from support.rawclient import RawClient
from support.replies import DONE, HI, SSE, body, completion, event, finish, text, usage
from support.scripted import Chunk, End, Flood, Hold, Step, Upstream, Wait
from support.waiting import eventually, no_errors, no_tasks_left

EXCHANGES = "ollama_openai_proxy.exchange"
LEAVE: dict[str, Callable[[RawClient], None]] = {
    "FIN": RawClient.close,
    "RST": RawClient.reset,
    "C8 half-close": RawClient.half_close,
}


@pytest.fixture(params=LEAVE)
def leave(request: pytest.FixtureRequest) -> Callable[[RawClient], None]:
    return LEAVE[request.param]


PHASES: dict[str, tuple[Sequence[Step], bool]] = {
    "C3 waiting for the head": ((Hold(),), True),
    "C3 waiting for the first event": ((SSE, Hold()), True),
    "C6 waiting for a whole reply": ((Hold(),), False),
    "C6 a stream, for a whole reply": ((SSE, Chunk(text("Hi")), Hold()), False),
}


@pytest.mark.parametrize(("steps", "stream"), PHASES.values(), ids=PHASES.keys())
async def test_c3_c6_before_the_first_byte(
    steps: Sequence[Step], stream: bool, leave: Callable[[RawClient], None], caplog: pytest.LogCaptureFixture
) -> None:
    """C3, C6: a client that leaves while nothing was answered ends the call; the log says who ended it."""
    caplog.set_level(logging.INFO, EXCHANGES)
    async with proxied() as proxy, proxy.client() as client:
        proxy.upstream.script("m", steps)
        await client.ask("POST", "/api/chat", chat(stream=stream))
        await proxy.upstream.request_received()
        caplog.clear()
        leave(client)
        await proxy.upstream.peer_left(within=1.0)
        await eventually(lambda: caplog.records)
        assert [record.__dict__["outcome"] for record in caplog.records] == ["client_abort"]


async def test_c4_in_mid_stream(leave: Callable[[RawClient], None], caplog: pytest.LogCaptureFixture) -> None:
    """C4: a client that leaves between two events ends the call, though no event comes any more; none of it is told."""
    outcomes = Outcomes(caplog)
    async with proxied() as proxy, proxy.client() as client:
        proxy.upstream.script("m", (SSE, Chunk(text("Hi")), Hold()))
        await client.ask("POST", "/api/chat", chat())
        await client.read_until(b'"content":"Hi"')
        leave(client)
        await proxy.upstream.peer_left(within=1.0)
        await outcomes.expect("client_abort")
        assert outcomes.records[0].__dict__["client_gone"] is True


@pytest.mark.parametrize("way", [RawClient.close, RawClient.reset], ids=["FIN", "RST"])
async def test_c5_while_blocked_in_send(way: Callable[[RawClient], None]) -> None:
    """C5: a client that stalls and then leaves ends the call, though the proxy waits for it to read."""
    async with proxied() as proxy, proxy.client(receive_buffer=4096) as client:
        proxy.upstream.script("m", (SSE, Flood(text("x" * 60_000), 1000), Hold()))
        await client.ask("POST", "/api/chat", chat())
        await proxy.upstream.request_received()
        (connection,) = (one for one in proxy.upstream.connections if one.busy)
        await eventually(lambda: not connection.writable)
        way(client)
        await proxy.upstream.peer_left(within=1.0)


async def test_c2_while_connecting() -> None:
    """C2: clients that leave while the upstream is being connected to leave nothing behind, and harm nobody."""
    barrier = asyncio.Event()
    async with Upstream() as upstream:
        https = upstream.url.replace("http:", "https:")  # a handshake that is never answered
        upstream.greeting = (Wait(barrier),)
        with no_errors():
            async with running_proxy(https, connect_timeout=30, forward_unknown_models=True) as url:
                proxy = Proxy(url, upstream)
                await proxy.ask("GET", "/api/tags")
                async with no_tasks_left(lambda: upstream.tasks, lambda: len(upstream.connections) - 1):
                    for number in range(20):
                        async with proxy.client() as client:
                            await client.ask("POST", "/api/chat", chat())
                            await eventually(lambda: upstream.accepted == 2 + number)  # noqa: B023  # runs at once


async def test_c4_usage_so_far(caplog: pytest.LogCaptureFixture) -> None:
    """C4: what the backend had told of its usage when the client left is in the log."""
    outcomes = Outcomes(caplog)
    counts = {"prompt_tokens": 7, "completion_tokens": 5}
    counted = event({"choices": [{"index": 0, "delta": {"content": "Hi"}}], "usage": counts})
    async with proxied() as proxy, proxy.client() as client:
        proxy.upstream.script("m", (SSE, Chunk(counted), Hold()))
        await client.ask("POST", "/api/chat", chat())
        await client.read_until(b'"content":"Hi"')
        client.close()
        await outcomes.expect("client_abort")
        assert outcomes.records[0].__dict__["tokens"] == {"prompt": 7, "completion": 5}


async def test_c7_between_finish_and_usage(caplog: pytest.LogCaptureFixture) -> None:
    """C7: a client that leaves when only the usage is missing ends the call, without an error in the log."""
    outcomes = Outcomes(caplog)
    async with proxied() as proxy, proxy.client() as client:
        proxy.upstream.script("m", (SSE, Chunk(text("Hi")), Chunk(finish()), Hold()))
        await client.ask("POST", "/api/chat", chat())
        await client.read_until(b'"content":"Hi"')
        client.reset()
        await proxy.upstream.peer_left(within=1.0)
        await outcomes.expect("client_abort")


async def test_right_after_the_answer() -> None:
    """A client that leaves when it has its answer leaves the upstream's connection to the next one."""
    async with proxied() as proxy:
        proxy.upstream.script("m", HI)
        for _ in range(3):
            async with proxy.client() as client:
                await client.ask("POST", "/api/chat", chat())
                await client.read_until(b'"done":true')
                client.reset()
            await eventually(lambda: not proxy.upstream.busy)
        assert {request.connection for request in proxy.upstream.posts} == {proxy.upstream.posts[0].connection}


async def test_a13_half_a_body() -> None:
    """A13: a client that closes before its request is whole costs no call."""
    async with proxied() as proxy:
        data = json.dumps(chat()).encode()
        async with proxy.client() as client:
            head = f"POST /api/chat HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(data)}\r\n\r\n"
            await client.send(head.encode() + data[:-5])
        proxy.upstream.script("m", HI)
        assert (await proxy.chat()).status == 200
        assert len(proxy.upstream.posts) == 1


async def test_c6_embedding() -> None:
    """C6: a client that leaves while its text is embedded ends the call."""
    async with proxied() as proxy, proxy.client() as client:
        proxy.upstream.script("m", (Hold(),))
        await client.ask("POST", "/api/embed", {"model": "m", "input": "text"})
        await proxy.upstream.request_received()
        client.reset()
        await proxy.upstream.peer_left(within=1.0)


async def test_c4_t12_many_at_random() -> None:
    """C4, T12: after a hundred aborts nothing is left, and the next request is answered."""
    async with proxied() as proxy:
        proxy.upstream.script("m", (SSE, Chunk(text("a")), Chunk(text("b")), Hold()))

        async def abort(number: int) -> None:
            async with proxy.client() as client:
                await client.ask("POST", "/api/chat", {"model": "m", "messages": HELLO})
                if number % 3:
                    await client.read_until(b'"content":"a"' if number % 3 == 1 else b'"content":"b"')
                client.reset()

        await asyncio.gather(*map(abort, range(100)))
        await eventually(lambda: not proxy.upstream.busy)
        proxy.upstream.script("m", (SSE, Chunk(text("Hi") + finish() + usage() + DONE), End()), body(completion()))
        assert (await proxy.chat()).lines[-1]["done"] is True
