"""The load: connections of which each asks again as soon as it has been answered, or when it is its turn."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from functools import partial
from typing import cast

from benchmarks.bench import checks
from benchmarks.bench.loads import Front, Load
from benchmarks.bench.replies import Head, Stamps, dechunked

HOST = "127.0.0.1"
_END = b"\r\n0\r\n\r\n"


class Wrong(Exception):
    """An answer was not the right one, or did not come."""


class Tally:
    """What came of a load. Times are in seconds, those of tokens in nanoseconds."""

    def __init__(self) -> None:
        self.requests = 0
        self.events = 0
        self.latency: list[float] = []
        self.first: list[float] = []
        self.late: list[int] = []
        self.streams = 0
        """That have had their first token."""
        self.tokens = 0
        """Of paced streams: those that have come so far, also of streams that go on."""
        self.out_of_place = 0


class Job:
    """A load on a port, by connections that this opens and closes."""

    def __init__(self, load: Load, front: Front, port: int, request: bytes) -> None:
        self.load = load
        self.port = port
        self.request = request
        self.tally = Tally()
        self.more: Callable[[], bool] = lambda: False
        """Asked after each answer whether the connection is to ask again."""
        self.begun = asyncio.Event()
        """Set when each of the streams that are to arrive has had its first token."""
        self._front: Front = front
        self._loop = asyncio.get_running_loop()
        self._ended: asyncio.Future[None] = self._loop.create_future()
        self._clients: set[Client] = set()
        self._idle: list[Client] = []
        self._coming = self._wanted = 0
        self._connecting: set[asyncio.Task[object]] = set()
        self._first: bytes | None = None

    async def closed_loop(self, at_once: int, seconds: float, longest: float) -> Tally:
        """Ask on so many connections, one request after the other, for so long and until the last is answered.

        Each asks at least once. Raises Wrong.
        """
        until = time.perf_counter() + seconds
        self.more = lambda: time.perf_counter() < until
        for _ in range(at_once):
            self.connect()
        return await self._done(longest)

    async def arrivals(self, rate: float, requests: int, longest: float, *, steady: bool = False) -> Tally:
        """Ask so often per second, however long each takes: at random times, the same in each run, or evenly.

        Raises Wrong.
        """
        chance, due = random.Random(1), self._loop.time()  # noqa: S311  # no secret
        self._coming = self._wanted = requests
        for _ in range(requests):
            due += 1 / rate if steady else chance.expovariate(rate)
            self._loop.call_at(due, self._arrive)
        return await self._done(longest + requests / rate)

    def connect(self) -> None:
        task = self._loop.create_task(self._loop.create_connection(partial(Client, self), HOST, self.port))
        self._connecting.add(task)
        task.add_done_callback(self._connected)

    def opened(self, client: Client) -> None:
        self._clients.add(client)
        client.ask()

    def first_token(self) -> None:
        self.tally.streams += 1
        if self.tally.streams == self._wanted:
            self.begun.set()

    def answered(self, client: Client, problem: str) -> None:
        if problem:
            self.fail(problem)
        elif self.more():
            client.ask()
        else:
            self._idle.append(client)
            if len(self._idle) == len(self._clients) and not self._connecting and not self._coming:
                self._end()

    def closed(self, client: Client, problem: str, *, again: bool) -> None:
        """A connection is gone. `again`: it ended as it was told it would, and another is to take its place."""
        self._clients.discard(client)
        if client in self._idle:
            self._idle.remove(client)
        if problem:
            self.fail(problem)
        elif again and not self._ended.done() and self.more():
            self.connect()
        elif len(self._idle) == len(self._clients) and not self._connecting and not self._coming:
            self._end()

    def check(self, head: Head, body: bytes) -> str:
        """Return what is wrong with an answer. Of those that are not streamed only the first is looked at closely."""
        known = not self.load.streamed and self._first is not None and checks.alike(body, self._first)
        if known and head.status == 200:
            return ""
        self._first = body
        return checks.problem(self.load, self._front, head, body)

    def fail(self, problem: str) -> None:
        """End all of it: the numbers of a peer that fails mean nothing."""
        if not self._ended.done():
            self._ended.set_exception(Wrong(problem))

    async def _done(self, longest: float) -> Tally:
        try:
            async with asyncio.timeout(longest):
                await self._ended
        except TimeoutError:
            raise Wrong(f"not answered within {longest:.0f} s") from None
        finally:
            self.more = lambda: False
            for client in self._clients:
                client.leave()
        return self.tally

    def _arrive(self) -> None:
        self._coming -= 1
        if self._ended.done():
            return
        if self._idle:
            self._idle.pop().ask()
        else:
            self.connect()

    def _connected(self, task: asyncio.Task[object]) -> None:
        self._connecting.discard(task)
        error = None if task.cancelled() else task.exception()
        if error:
            self.fail(f"can't connect: {error}")

    def _end(self) -> None:
        if not self._ended.done():
            self._ended.set_result(None)


class Client(asyncio.Protocol):
    """One connection. It reads answers to their end and says when they came."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._paced = job.load.plan.pause > 0
        self._parts: list[bytes] = []
        self._head: Head | None = None
        self._have = 0
        self._began = self._first = 0.0
        self._stamps = Stamps()
        self._asked = self._closing = self._left = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._job.opened(self)

    def ask(self) -> None:
        self._parts, self._head, self._have, self._first = [], None, 0, 0.0
        self._stamps, self._asked = Stamps(), True
        self._began = time.perf_counter()
        self._transport.write(self._job.request)

    def leave(self) -> None:
        self._left = True
        self._transport.abort()

    def data_received(self, data: bytes) -> None:
        if not self._asked:
            return
        self._have += len(data)
        self._parts.append(data)
        if self._paced:
            self._tokens(data)
        head = self._head or self._read_head()
        if not head:
            return
        if not self._first and not self._paced and self._have > len(self._parts[0]):
            self._first = time.perf_counter()
        if head.size is not None:
            if self._have >= head.size:
                self._end(head)
        elif head.chunked and data.endswith(_END[-len(data) :]) and b"".join(self._parts[-8:]).endswith(_END):
            self._end(head)

    def connection_lost(self, exc: Exception | None) -> None:
        problem, head = "", self._head
        if self._asked and not self._left:
            if head and head.size is None and not head.chunked and not exc:
                self._closing = True
                problem = self._count(head, b"".join(self._parts).partition(b"\r\n\r\n")[2])
            else:
                problem = f"a connection ended before its answer{f': {exc}' if exc else ''}"
        self._job.closed(self, problem, again=self._closing)

    def _read_head(self) -> Head | None:
        data = b"".join(self._parts)
        end = data.find(b"\r\n\r\n")
        if end < 0:
            return None
        self._parts = [data[: end + 4], data[end + 4 :]]
        try:
            self._head = Head.of(data, end)
        except ValueError as error:
            self._job.fail(str(error))
        return self._head

    def _tokens(self, data: bytes) -> None:
        places, tally = self._stamps.places, self._job.tally
        self._stamps.take(data, time.monotonic_ns())
        tally.tokens += self._stamps.places - places
        if self._stamps.places and not places:
            self._first = time.perf_counter()
            self._job.first_token()

    def _end(self, head: Head) -> None:
        body = b"".join(self._parts[1:])
        problem = self._count(head, dechunked(body) if head.chunked else body)
        self._closing = head.close
        if not self._closing or problem:
            self._job.answered(self, problem)
        # else the server closes

    def _count(self, head: Head, body: bytes) -> str:
        self._asked = False
        problem = self._job.check(head, body)
        if problem:
            return problem
        now, tally = time.perf_counter(), self._job.tally
        tally.requests += 1
        tally.events += self._job.load.plan.events
        tally.latency.append(now - self._began)
        if self._first:
            tally.first.append(self._first - self._began)
        tally.late += self._stamps.late
        tally.out_of_place += self._stamps.wrong
        return ""
