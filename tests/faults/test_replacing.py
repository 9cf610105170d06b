"""A proxy that is replaced while it is busy (G12, K2): real processes, real signals, nobody notices."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from support.command import Served, served
from support.proxy import chat
from support.rawclient import RawClient, Response
from support.replies import DONE, SSE, body, completion, finish, text, usage
from support.scripted import Chunk, End, Pause, Upstream, Wait
from support.waiting import SECONDS, eventually

SHORT = (SSE, Chunk(text("a")), Pause(0.02), Chunk(finish() + usage() + DONE), End())


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    async with Upstream() as backend:
        yield backend


@asynccontextmanager
async def instance(folder: Path, upstream: Upstream, **settings: str) -> AsyncIterator[Served]:
    """Run a proxy in a process of its own, in front of the backend."""
    await asyncio.to_thread(folder.mkdir)
    given = {"OPENAI_API_BASE_URL": upstream.url, "FORWARD_UNKNOWN_MODELS": "true", **settings}
    starting = served(folder, "serve", **given)
    proxy = await asyncio.to_thread(starting.__enter__)
    try:
        yield proxy
    finally:
        await asyncio.to_thread(starting.__exit__, None, None, None)


async def asked(url: str, path: str, body: object = None) -> Response:
    async with asyncio.timeout(SECONDS), RawClient(url) as client:
        await client.ask("POST" if body else "GET", path, body)
        return await client.response()


async def is_ready(proxy: Served) -> bool:
    with suppress(OSError, EOFError):
        return (await asked(proxy.url, "/ready")).status == 200
    return False


async def refused(proxy: Served) -> None:
    """Wait until it listens no more."""
    async with asyncio.timeout(SECONDS):
        while await listens(proxy):
            pass


async def listens(proxy: Served) -> bool:
    try:
        async with RawClient(proxy.url):
            return True
    except OSError:
        return False


class Balancer:
    """Sends to the first instance that says it is ready, as it was seen to be a moment ago."""

    def __init__(self, *instances: Served) -> None:
        self._instances = instances
        self.current = instances[0]

    async def look(self) -> None:
        """Look again and again, until cancelled."""
        while True:
            for one in self._instances:
                if await is_ready(one):
                    self.current = one
                    break
            await asyncio.sleep(0.05)


async def load(balancer: Balancer, until: Callable[[], bool], endings: list[bool]) -> None:
    """Ask for one stream after another, and note how each has ended."""
    while not until():
        try:
            response = await asked(balancer.current.url, "/api/chat", chat("short"))
            endings.append(response.lines[-1]["done"] is True and response.lines[0]["message"]["content"] == "a")
        except (OSError, EOFError):
            endings.append(False)


async def test_k2_rolling_replacement(tmp_path: Path, upstream: Upstream) -> None:
    """G12: with streams running and others starting, no exchange fails while one instance replaces another."""
    barrier = asyncio.Event()
    upstream.script("short", SHORT)
    upstream.script("long", (SSE, Chunk(text("a")), Wait(barrier), Chunk(text("b") + finish() + usage() + DONE), End()))
    async with (
        instance(tmp_path / "old", upstream, DRAIN_DELAY="1") as old,
        instance(tmp_path / "new", upstream) as new,
        asyncio.TaskGroup() as tasks,
    ):
        balancer, endings, done = Balancer(old, new), list[bool](), asyncio.Event()
        looking = tasks.create_task(balancer.look())
        long = [tasks.create_task(asked(old.url, "/api/chat", chat("long"))) for _ in range(25)]
        await eventually(lambda: len(upstream.posts) == len(long))
        clients = [tasks.create_task(load(balancer, done.is_set, endings)) for _ in range(8)]
        await eventually(lambda: len(endings) > 20)
        old.process.send_signal(signal.SIGTERM)
        await eventually(lambda: balancer.current is new)
        before = len(endings)
        await refused(old)
        barrier.set()
        await eventually(lambda: old.process.poll() is not None)
        done.set()
        await asyncio.wait(clients)
        looking.cancel()
        assert old.process.returncode == 0
        assert len(endings) > before
        assert all(endings)
        assert [task.result().lines[-1]["done"] for task in long] == [True] * len(long)


@pytest.mark.parametrize(("workers", "attempts"), [("1", 10), ("2", 3)])
async def test_k2_t9_signal_in_mid_token(tmp_path: Path, upstream: Upstream, workers: str, attempts: int) -> None:
    """G11, T9: again and again, a signal in the middle of a token under load: what runs ends whole, the status is 0."""
    for attempt in range(attempts):
        number = signal.SIGTERM if attempt % 2 else signal.SIGINT
        for lines in await ended_in_mid_token(tmp_path / str(attempt), upstream, number, WORKERS=workers):
            assert "".join(line["message"]["content"] for line in lines) == "a€"
            assert lines[-1]["done"] is True


async def ended_in_mid_token(
    folder: Path, upstream: Upstream, number: signal.Signals, **settings: str
) -> list[list[Any]]:
    """Signal a proxy while ten streams are within a character; return the lines of each."""
    barrier, model = asyncio.Event(), folder.name
    piece = text("?").replace(b"?", "€".encode())
    middle = piece.index(b"\xe2") + 2
    rest = Chunk(piece[middle:]), Chunk(finish() + usage() + DONE), End()
    upstream.script(model, (SSE, Chunk(text("a")), Chunk(piece[:middle]), Wait(barrier), *rest))
    async with instance(folder, upstream, DRAIN_DELAY="0", **settings) as proxy, asyncio.TaskGroup() as tasks:
        wanted = len(upstream.posts) + 10
        running = [tasks.create_task(asked(proxy.url, "/api/chat", chat(model))) for _ in range(10)]
        await eventually(lambda: len(upstream.posts) == wanted)
        proxy.process.send_signal(number)
        await eventually(lambda: '"draining"' in proxy.out)
        barrier.set()
        endings = [(await task).lines for task in running]
        await eventually(lambda: proxy.process.poll() is not None)
        assert (proxy.process.returncode, proxy.err) == (0, "")
    return endings


async def kept(proxy: Served, endings: list[str], pause: float) -> None:
    """Ask again and again on one connection, a new one after each `Connection: close`, until nobody listens."""
    while True:
        closes: list[str] = []
        answered = 0
        try:
            async with RawClient(proxy.url) as client:
                while not closes:
                    await client.ask("POST", "/api/chat", chat("short", stream=False))
                    response = await client.response()
                    closes = response.all("connection")
                    answered += 1
                    endings.append("ok" if response.status == 200 else str(response.status))
                    await asyncio.sleep(pause)
        except (OSError, EOFError) as error:
            if not answered:
                return  # the listener is gone, and with it what it had not handed over
            endings.append(repr(error))


async def test_c14_kept_connections(tmp_path: Path, upstream: Upstream) -> None:
    """C14: clients that ask on kept connections, and heed `Connection: close`, do not notice that the proxy ends."""
    upstream.script("short", body(completion("a")))
    endings: list[str] = []
    async with instance(tmp_path / "one", upstream, DRAIN_DELAY="1") as proxy, asyncio.TaskGroup() as tasks:
        clients = [tasks.create_task(kept(proxy, endings, pause)) for pause in (0, 0, 0.1, 0.1, 0.1, 0.1)]
        await eventually(lambda: len(endings) > 50)
        before = len(endings)
        proxy.process.send_signal(signal.SIGTERM)
        await asyncio.wait(clients)
        await eventually(lambda: proxy.process.poll() is not None)
        assert (proxy.process.returncode, proxy.err) == (0, "")
    assert len(endings) > before
    assert set(endings) == {"ok"}
