"""CPU of the proxy for each event and each request, beside a relay that only passes bytes on.

    python benchmarks/relay.py [--rounds 3]

Three loads: requests that are not streamed (64 at once), streams of 100 events back to back (32 at once), and streams
of events 20 ms apart (100 at once). The proxy's process alone is measured; the backend and the load run beside it.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import socket
import statistics
import sys
import time
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).parent
_TICKS = os.sysconf("SC_CLK_TCK")


class Load(NamedTuple):
    """`events` a request, 0 for one that is not streamed; `pause` seconds between two."""

    name: str
    at_once: int
    requests: int
    events: int
    pause: float = 0.0


LOADS = (
    Load("not streamed, per request", 64, 6400, 0),
    Load("back to back, per event", 32, 640, 100),
    Load("20 ms apart, per event", 100, 200, 100, 0.02),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    print(f"{'CPU, microseconds':32}{'pass-through':>14}{'proxy':>10}{'ratio':>8}")
    for load in LOADS:
        found = [asyncio.run(_measure(load)) for _ in range(rounds)]
        plain, proxy = (statistics.median(column) for column in zip(*found, strict=True))
        print(f"{load.name:32}{plain:14.1f}{proxy:10.1f}{proxy / plain:8.1f}", flush=True)


async def _measure(load: Load) -> tuple[float, float]:
    """Return the CPU of the pass-through and of the proxy, in microseconds per event or request."""
    upstream, plain, proxy = _free_port(), _free_port(), _free_port()
    environment = {
        **os.environ,
        "OPENAI_API_BASE_URL": f"http://127.0.0.1:{upstream}/v1",
        "PROXY_PORT": str(proxy),
        "LOG_LEVEL": "warning",
    }
    commands = (
        [str(HERE / "upstream.py"), str(upstream), str(load.events), str(load.pause)],
        [str(HERE / "passthrough.py"), str(plain), str(upstream)],
        ["-m", "ollama_openai_proxy", "serve"],
    )
    processes = [
        await asyncio.create_subprocess_exec(sys.executable, *command, env=environment) for command in commands
    ]
    try:
        for port in (upstream, plain, proxy):
            await _listening(port)
        streamed = "true" if load.events else "false"
        body = b'{"model":"bench","messages":[{"role":"user","content":"Hello"}],"stream":%s}' % streamed.encode()
        return (
            await _cost(processes[1].pid, plain, "/v1/chat/completions", body, load),
            await _cost(processes[2].pid, proxy, "/api/chat", body, load),
        )
    finally:
        for process in processes:
            process.terminate()
            await process.wait()


async def _cost(pid: int, port: int, path: str, body: bytes, load: Load) -> float:
    await _run(port, path, body, load._replace(requests=load.at_once))  # warm
    before = _cpu(pid)
    await _run(port, path, body, load)
    return (_cpu(pid) - before) * 1e6 / (load.requests * max(load.events, 1))


async def _run(port: int, path: str, body: bytes, load: Load) -> None:
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    share = load.requests // load.at_once
    async with asyncio.TaskGroup() as group:
        for _ in range(load.at_once):
            group.create_task(_client(port, head + body, share, end=b"0\r\n\r\n" if load.events else b"}"))


async def _client(port: int, request: bytes, requests: int, end: bytes) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for _ in range(requests):
        writer.write(request)
        reply = await reader.read(65536)
        if not reply.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(reply)
        while not reply.endswith(end):
            reply = reply[-8:] + await reader.read(65536)
    writer.close()


def _cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


async def _listening(port: int) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.05)
        else:
            writer.close()
            return
    raise TimeoutError(port)


if __name__ == "__main__":
    main()
