"""The processes of a scenario: the proxy, its backend, and who looks at it from outside. Each is ended by its owner."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
import tempfile
import time
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import IO, Any

from benchmarks.soak.outcome import Outcome
from benchmarks.soak.wire import HOST, asked

ROOT = Path(__file__).parents[2]
_KEPT = ("HOME", "LANG", "PATH", "PYTHONPATH", "TMPDIR")
_START, _STOP = 60.0, 90.0
_PINNED = 4  # with so many CPUs the proxy has one to itself


class Backend:
    """The fake upstream."""

    def __init__(self, port: int, process: Process) -> None:
        self.port = port
        self.process = process

    async def stats(self) -> dict[str, Any]:
        picture: dict[str, Any] = json.loads((await asked(self.port, "/_stats")).body)
        return picture

    async def idle(self) -> bool:
        return int((await self.stats())["live"]) == 0


class Proxy:
    """A proxy that runs. What it prints is kept in a file."""

    def __init__(self, port: int, process: Process, log: Path) -> None:
        self.port = port
        self.process = process
        self._log = log

    @property
    def pid(self) -> int:
        return self.process.pid

    async def get(self, path: str) -> str:
        return (await asked(self.port, path)).body.decode()

    async def ready(self) -> bool:
        try:
            return (await asked(self.port, "/ready", within=5)).status == 200
        except (OSError, EOFError):
            return False

    async def started(self) -> bool:
        """Whether it is ready. Raises ChildProcessError if it has ended instead."""
        if self.process.returncode is not None:
            raise ChildProcessError(f"the proxy ended with {self.process.returncode}: {self.errors()}")
        return await self.ready()

    async def in_flight(self) -> int:
        return int(json.loads(await self.get("/health"))["in_flight"])

    def errors(self) -> list[str]:
        """Return the lines of the log that tell of an error of the proxy's own, and what is no line of a log."""
        lines = self._log.read_text(encoding="utf-8", errors="replace").splitlines()
        return [found for line in lines if (found := _error(line))]


class Prober:
    """Asks for a page from a process of its own."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self.failed = 0


@asynccontextmanager
async def backend(port: int | None = None) -> AsyncIterator[Backend]:
    port = port or free_port()
    command = ["-m", "benchmarks.soak.upstream", str(port)]
    async with _running(command, cwd=ROOT, stdin=PIPE, stdout=DEVNULL) as process:
        running = Backend(port, process)
        await eventually(lambda: _answers(port, "/_stats"), _START, f"the backend on {port}")
        yield running


@asynccontextmanager
async def proxy(outcome: Outcome, upstream_port: int, **settings: str) -> AsyncIterator[Proxy]:
    """Run a proxy in front of the upstream; when it ends, look at its log and its exit status."""
    port = free_port()
    given = {
        "OPENAI_API_BASE_URL": f"http://{HOST}:{upstream_port}/v1",
        "FORWARD_UNKNOWN_MODELS": "true",
        "LOG_LEVEL": "warning",
        "DRAIN_DELAY": "0",
        **settings,
        "PROXY_PORT": str(port),
    }
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        with log.open("wb") as output:
            command = ["-m", "ollama_openai_proxy", "serve"]
            async with _running(command, cwd=Path(folder), env=given, stdin=DEVNULL, stdout=output) as process:
                _pin(process.pid)
                running = Proxy(port, process, log)
                await eventually(running.started, _START, "the proxy")
                yield running
        outcome.none("errors in the proxy's log", running.errors())
        outcome.equal("exit status of the proxy", process.returncode or 0, 0)


@asynccontextmanager
async def both(outcome: Outcome, **settings: str) -> AsyncIterator[tuple[Proxy, Backend]]:
    """Run a proxy and its backend."""
    async with AsyncExitStack() as stack:
        upstream = await stack.enter_async_context(backend())
        yield await stack.enter_async_context(proxy(outcome, upstream.port, **settings)), upstream


@asynccontextmanager
async def probing(port: int, path: str, pause: float = 0.05) -> AsyncIterator[Prober]:
    """Look at a page of the proxy from outside while the block lasts; the result is there after it."""
    prober = Prober()
    command = ["-m", "benchmarks.soak.prober", str(port), path, str(pause)]
    async with _running(command, cwd=ROOT, stdin=PIPE, stdout=PIPE) as process:
        yield prober
        async with asyncio.timeout(30):
            found = json.loads((await process.communicate(b""))[0])  # which ends its input before Python 3.12, too
        prober.seconds = [seconds for seconds in found if seconds is not None]
        prober.failed = found.count(None)


async def eventually(true: Callable[[], Awaitable[bool]], within: float, what: str) -> float:
    """Wait until something is true, and return the seconds that it took. Raises TimeoutError."""
    began = time.monotonic()
    while not await true():
        if time.monotonic() - began > within:
            raise TimeoutError(f"not within {within:g} s: {what}")
        await asyncio.sleep(0.05)
    return time.monotonic() - began


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind((HOST, 0))
        port: int = listener.getsockname()[1]
        return port


@asynccontextmanager
async def _running(
    arguments: Sequence[str], *, cwd: Path, stdin: int, stdout: int | IO[bytes], env: dict[str, str] | None = None
) -> AsyncIterator[Process]:
    """Run a Python program until the block ends."""
    environment = {name: os.environ[name] for name in _KEPT if name in os.environ}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *arguments,
        cwd=cwd,
        env={**environment, **(env or {})},
        stdin=stdin,
        stdout=stdout,
        stderr=stdout if env else None,
        start_new_session=True,  # Ctrl-C is for whoever started it, who ends it then
    )
    try:
        yield process
    finally:
        await _end(process)


async def _end(process: Process) -> None:
    if process.returncode is not None:
        return
    try:
        process.terminate()
        async with asyncio.timeout(_STOP):
            await process.wait()
    finally:
        if process.returncode is None:
            process.kill()


async def _answers(port: int, path: str) -> bool:
    try:
        return (await asked(port, path, within=5)).status == 200
    except (OSError, EOFError):
        return False


def _pin(pid: int) -> None:
    cpus = sorted(os.sched_getaffinity(0))
    if len(cpus) >= _PINNED:
        os.sched_setaffinity(pid, cpus[:1])


def _error(line: str) -> str:
    """Return what a line of the log tells of an error of the proxy's own, "" if it does not."""
    try:
        record = json.loads(line)
    except ValueError:
        return line[:400]
    if record["level"] in ("INFO", "WARNING") and record.get("outcome") != "internal":
        return ""
    return f"{record['message']} {str(record.get('exc_info', record))[-300:]}"
