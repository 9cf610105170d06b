"""benchmarks/bench: a run of two small loads on the proxy alone; that it measures, not what."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest
from benchmarks.bench.client import Job, Wrong
from benchmarks.bench.loads import LOADS, Load, Plan
from benchmarks.bench.results import DIRECT, PROXY, read

ROOT = Path(__file__).parents[2]
LOAD = {load.name: load for load in LOADS}


async def test_a_run(tmp_path: Path) -> None:
    """A run puts each load on the upstream and on the proxy, whose answers are right and take CPU and memory."""
    file = tmp_path / "run.json"
    options = ["--peers=proxy", "--loads=b2b,tools", "--rounds=1", "--seconds=0.1", f"--json={file}"]
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(ROOT / "benchmarks" / "bench"),
        *options,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said = (await process.communicate())[0].decode()
    assert process.returncode == 0, said
    found = read(file)
    assert [(one.peer, one.load, one.failed) for one in found.samples] == [
        (peer, load, "") for load in ("b2b", "tools") for peer in (DIRECT, PROXY)
    ]
    proxied = found.of(PROXY, "b2b")[0]
    assert proxied.events == proxied.requests * 100 >= 3200
    assert min(proxied.cpu_us, proxied.rss_mb, proxied.peak_mb, proxied.upstream_us, proxied.client_us) > 0


class Answering(asyncio.Protocol):
    """Answers each request with the same bytes."""

    def __init__(self, answer: bytes) -> None:
        self._answer = answer

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._transport.write(self._answer)
        if b"close" in self._answer:
            self._transport.close()


async def asked(load: Load, answer: bytes, *, seconds: float = 0) -> tuple[int, int]:
    """Put a load on a server that always says the same; return how many requests and events were counted."""
    server = await asyncio.get_running_loop().create_server(lambda: Answering(answer), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    job = Job(load, "openai", port, load.request("openai", "bench", {}))
    async with server:
        tally = await job.closed_loop(2, seconds, 10)
    return tally.requests, tally.events


WHOLE = b'{"choices":[{"message":{"content":"A short answer of some words."}}]}'
STREAM = b'data: {"choices":[{"delta":{"content":" token"}}]}\n\n' * 3 + b"data: [DONE]\n\n"
THREE = Load("three", "", "event", 1, Plan(events=3))


@pytest.mark.parametrize("head", [b"Content-Length: %d\r\n\r\n" % len(WHOLE), b"Connection: close\r\n\r\n"])
async def test_ends_of_answers(head: bytes) -> None:
    """An answer ends where its head says, or with its connection."""
    assert await asked(LOAD["whole"], b"HTTP/1.1 200 OK\r\n" + head + WHOLE) == (2, 0)


async def test_next_connection() -> None:
    """Who closes after each answer, and says so, is asked again on other connections."""
    answer = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s" % (len(WHOLE), WHOLE)
    assert (await asked(LOAD["whole"], answer, seconds=0.2))[0] > 2


async def test_chunks() -> None:
    """A stream in chunks ends with the last of them, and its events are counted."""
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n" % (len(STREAM), STREAM)
    assert await asked(THREE, chunked) == (2, 6)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b"HTTP/1.1 500 No\r\nContent-Length: 2\r\n\r\n{}", "status 500"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", "another answer"),
        (b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 99\r\n\r\n{}", "ended before its answer"),
        (b"nothing\r\n\r\n", "no HTTP"),
    ],
)
async def test_wrong_answers(answer: bytes, said: str) -> None:
    """Whatever is not the right answer ends the load with the reason."""
    with pytest.raises(Wrong, match=said):
        await asked(LOAD["whole"], answer)


async def test_nobody_there() -> None:
    """A port on which nobody listens is a reason, too."""
    load = LOAD["whole"]
    with pytest.raises(Wrong, match="can't connect"):
        await Job(load, "openai", 9, load.request("openai", "bench", {})).closed_loop(1, 0, 10)
