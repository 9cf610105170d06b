"""Clients that take nothing of their answer, or little at a time (reliability 2.C); in both event loops."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
import uvloop

from ollama_openai_proxy.serve.sockets import address, listen
from support.outcomes import Outcomes
from support.proxy import Proxy, chat, proxied
from support.rawclient import RawClient
from support.replies import DONE, SSE, finish, text, usage
from support.scripted import Chunk, End, Flood, Hold, Send, Status, Step
from support.waiting import eventually

LIMIT = 0.6
PIECE = "x" * 60_000
Run = Callable[[Coroutine[Any, Any, None]], None]
STALLED = 'ollama_proxy_connections_rejected_total{reason="write_timeout"}'


@pytest.fixture(params=[asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Run:
    """What runs a coroutine in a loop of its own."""

    async def warm(coroutine: Coroutine[Any, Any, None]) -> None:
        async with await asyncio.start_server(lambda _reader, _writer: None, "127.0.0.1", 0):
            pass  # uvloop opens a file that it keeps
        await coroutine

    return lambda coroutine: request.param(warm(coroutine))


async def asked(proxy: Proxy, client: RawClient, *steps: Step) -> None:
    """Ask for an answer of these steps, and wait until the backend was asked."""
    proxy.upstream.script("m", (SSE, *steps))
    await client.ask("POST", "/api/chat", chat())
    await proxy.upstream.request_received()


async def figure(proxy: Proxy, name: str) -> float:
    page = (await proxy.ask("GET", "/metrics")).body.decode()
    return float(next(line for line in page.splitlines() if line.startswith(f"{name} ")).split()[-1])


def connections(port: int) -> list[str]:
    """Return the states of the connections that the system holds on this port, with what they have to send."""
    found = []
    for line in Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()[1:]:
        _, local, _, state, queues, *_ = line.split()
        if int(local.split(":")[1], 16) == port and state != "0A":  # which listens
            found.append(f"{state} {int(queues.split(':')[0], 16)}")
    return found


async def broken(client: RawClient) -> None:
    """Check that the connection was reset."""
    with pytest.raises(ConnectionResetError):
        await client.read_to_end()


def test_t5_t6_c9_reader_that_stalls(run: Run) -> None:
    """T5, T6, C9: who takes nothing for WRITE_TIMEOUT is reset; the call ends, and the system holds nothing for it."""

    async def scenario() -> None:
        async with proxied(write_timeout=LIMIT) as proxy, proxy.client(receive_buffer=4096) as client:
            began = time.monotonic()
            await asked(proxy, client, Flood(text(PIECE), 400), Hold())
            await proxy.upstream.peer_left(within=LIMIT + 5)
            assert time.monotonic() - began > LIMIT
            port = int(proxy.url.rpartition(":")[2])
            assert not [state for state in connections(port) if state.startswith(("01", "04"))]  # open, FIN-WAIT-1
            assert await figure(proxy, STALLED) == 1
            await broken(client)

    run(scenario())


def test_c9_stalled_reader_is_told_from_one_that_left(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    """C9: the log says client_timeout of who takes nothing, and client_abort of who leaves while it takes nothing."""

    async def stalled(*, leaves: bool) -> None:
        async with proxied(write_timeout=LIMIT) as proxy, proxy.client(receive_buffer=4096) as client:
            await asked(proxy, client, Flood(text(PIECE), 400), Hold())
            (backend,) = (one for one in proxy.upstream.connections if one.busy)
            await eventually(lambda: not backend.writable)
            if leaves:
                client.reset()
            await proxy.upstream.peer_left(within=LIMIT + 5)

    async def scenario() -> None:
        outcomes = Outcomes(caplog)
        await stalled(leaves=False)
        await stalled(leaves=True)
        await outcomes.expect("client_timeout", "client_abort")
        assert [record.__dict__["client_gone"] for record in outcomes.records] == [True, True]

    run(scenario())


def test_c9_p5_what_a_stalled_reader_holds(run: Run) -> None:
    """C9, P5: the system holds less than 256 KiB for it, and the backend can't send on."""

    async def scenario() -> None:
        async with proxied(write_timeout=60) as proxy, proxy.client(receive_buffer=4096) as client:
            await asked(proxy, client, Flood(text(PIECE), 800), Hold())
            (backend,) = (one for one in proxy.upstream.connections if one.busy)
            await eventually(lambda: not backend.writable)
            port = int(proxy.url.rpartition(":")[2])
            queues = [int(state.split()[1]) for state in connections(port)]
            assert 0 < max(queues) <= 300_000
            client.reset()
            await proxy.upstream.peer_left(within=1.0)

    run(scenario())


def test_t5_reader_that_stalls_at_the_end_of_its_answer(run: Run) -> None:
    """T5: an answer that is whole for us, but not for the client, holds its connection for as long and no longer."""

    async def scenario() -> None:
        async with proxied(write_timeout=LIMIT, client_keep_alive=0.2) as proxy:
            for headers in ((), ("Connection: close",)):
                async with proxy.client(receive_buffer=4096) as client:
                    # More than the system takes, less than the transport calls full.
                    whole = (Flood(text(PIECE), 5), Chunk(finish() + usage() + DONE), End())
                    proxy.upstream.script("m", (SSE, *whole))
                    await client.ask("POST", "/api/chat", chat(), *headers)
                    port = int(proxy.url.rpartition(":")[2])
                    await eventually(lambda: len(connections(port)) == 1)  # noqa: B023  # runs at once
                    await eventually(lambda: not connections(port), within=LIMIT + 5)  # noqa: B023  # runs at once
                    with pytest.raises((ConnectionResetError, EOFError)):
                        await client.read_exactly(10_000_000)

    run(scenario())


def test_t5_broken_stream_of_a_reader_that_stalls(run: Run) -> None:
    """T5: a stream that the backend breaks while the client takes nothing is let go, too."""

    async def scenario() -> None:
        async with proxied(write_timeout=LIMIT) as proxy, proxy.client(receive_buffer=4096) as client:
            await asked(proxy, client, Flood(text(PIECE), 60), Send(b"zz\r\n"))
            port = int(proxy.url.rpartition(":")[2])
            await eventually(lambda: connections(port))
            await eventually(lambda: not connections(port), within=LIMIT + 5)

    run(scenario())


def test_c10_slow_but_alive_reader(run: Run) -> None:
    """C10: who takes a little now and then is sent everything, though the transport is full all the while."""

    async def scenario() -> None:
        async with proxied(write_timeout=LIMIT) as proxy, proxy.client(receive_buffer=4096) as client:
            whole = (Flood(text(PIECE), 40), Chunk(finish() + usage() + DONE), End())
            await asked(proxy, client, *whole)
            for _ in range(30):
                await client.read_exactly(4000)
                await asyncio.sleep(LIMIT / 6)
            assert await figure(proxy, STALLED) == 0
            rest = await client.read_until(b"\r\n0\r\n\r\n")
            assert b'"done":true' in rest

    run(scenario())


def test_c9_whole_answer_that_nobody_takes(run: Run) -> None:
    """C9: an answer that is not streamed has the same limit."""

    async def scenario() -> None:
        data = b'{"choices":[{"message":{"content":"' + b"x" * 4_000_000 + b'"},"finish_reason":"stop"}]}'
        async with proxied(write_timeout=LIMIT) as proxy, proxy.client(receive_buffer=4096) as client:
            head = Status(200, "Content-Type: application/json", f"Content-Length: {len(data)}")
            proxy.upstream.script("m", (head, Send(data)))
            await client.ask("POST", "/api/chat", chat(stream=False))
            await eventually(lambda: proxy.upstream.posts and not proxy.upstream.busy)
            await broken_after(proxy)
            await broken(client)

    async def broken_after(proxy: Proxy) -> None:
        port = int(proxy.url.rpartition(":")[2])
        await eventually(lambda: connections(port))
        await eventually(lambda: not connections(port), within=LIMIT + 5)

    run(scenario())


def test_t6_send_buffer(run: Run) -> None:
    """T6: what the system may hold for one client is limited, in each connection."""

    async def scenario() -> None:
        sizes: list[int] = []

        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            del reader
            sizes.append(writer.get_extra_info("socket").getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF))
            writer.close()

        listener = listen("127.0.0.1", 0)
        async with await asyncio.start_server(answer, sock=listener), RawClient(f"http://{address(listener)}") as one:
            await one.read_to_end()
        assert sizes[0] <= 256 * 1024

    run(scenario())
