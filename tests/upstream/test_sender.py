"""A call is sent: names, addresses and repeats, by a scripted name server and real sockets."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest

from ollama_openai_proxy.call import Call, Unwatched
from ollama_openai_proxy.deadlines import Timeouts
from ollama_openai_proxy.errors import ProxyError, UpstreamTimeout, UpstreamUnreachable
from ollama_openai_proxy.limits import BreakerLimits, RetryLimits, UpstreamLimits
from ollama_openai_proxy.upstream.client import Upstream
from ollama_openai_proxy.upstream.resolver import Lookup
from support.listeners import closed_port
from support.replies import body
from support.scripted import Close, Reset
from support.scripted import Upstream as Backend
from support.waiting import eventually

CALL = Call("/chat/completions", b'{"model":"m"}', streamed=True)
AS_EVER = RetryLimits()
NO_BREAKER = BreakerLimits(failures=0)


class Counted(Unwatched):
    """Counts what it is told."""

    def __init__(self) -> None:
        self.attempts = 0
        self.reasons: list[str] = []
        self.refused = 0

    def attempted(self) -> None:
        self.attempts += 1

    def retried(self, reason: str) -> None:
        self.reasons.append(reason)

    def retry_refused(self) -> None:
        self.refused += 1


@asynccontextmanager
async def upstream(
    url: str, lookup: Lookup, *, connect: float = 5.0, retry: RetryLimits = AS_EVER
) -> AsyncIterator[tuple[Upstream, Counted]]:
    counted, limits = Counted(), UpstreamLimits(retry=retry, breaker=NO_BREAKER)
    timeouts = Timeouts(connect=connect)
    async with Upstream(url, "", timeouts, limits, user_agent="a", watcher=counted, lookup=lookup) as opened:
        yield opened, counted


def told(addresses: Sequence[str]) -> Lookup:
    async def look_up(_host: str, _port: int) -> list[str]:
        return list(addresses)

    return look_up


async def failing(_host: str, _port: int) -> list[str]:
    raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")


async def hanging(_host: str, _port: int) -> list[str]:
    await asyncio.Event().wait()
    return []


async def test_d1_no_such_name() -> None:
    """D1: a name that is none is told at once, without a repeat."""
    async with upstream("http://backend.example/v1", failing) as (opened, counted):
        with pytest.raises(UpstreamUnreachable) as caught:
            await opened.open(CALL)
        assert (caught.value.outcome, counted.attempts) == ("up_dns", 1)


async def test_d1_passing_failure() -> None:
    """D1: a name server that fails for now is asked again."""
    answers = [socket.gaierror(socket.EAI_AGAIN, "Temporary failure"), None]

    async def recovering(_host: str, _port: int) -> list[str]:
        if error := answers.pop(0):
            raise error
        return ["127.0.0.1"]

    async with Backend() as backend:
        backend.script("m", body({}))
        async with upstream(backend.url.replace("127.0.0.1", "backend.example"), recovering) as (opened, counted):
            (await opened.open(CALL)).close()
            assert counted.reasons == ["connect"]


async def test_d2_hanging_lookup() -> None:
    """D2: who waits for a name is told so at the connect deadline; so are a hundred, who share one lookup."""
    asked = 0

    async def look_up(host: str, port: int) -> list[str]:
        nonlocal asked
        asked += 1
        return await hanging(host, port)

    async with upstream("http://backend.example/v1", look_up, connect=0.3) as (opened, _):
        began = time.monotonic()
        failures = await asyncio.gather(*(opened.open(CALL) for _ in range(100)), return_exceptions=True)
        assert 0.25 < time.monotonic() - began < 3
        assert {(type(each), getattr(each, "outcome", "")) for each in failures} == {(UpstreamTimeout, "up_dns")}
        assert asked == 1


@pytest.mark.parametrize("dead", [["127.0.0.2"], ["127.0.0.2", "127.0.0.3"]], ids=len)
async def test_d3_next_address(dead: list[str]) -> None:
    """D3: when the first addresses refuse, the next is tried, as part of the same attempt."""
    async with Backend() as backend:
        backend.script("m", body({}))
        url = backend.url.replace("127.0.0.1", "backend.example")
        async with upstream(url, told([*dead, "127.0.0.1"])) as (opened, counted):
            for _ in range(4):
                reply = await opened.open(CALL)
                assert await reply.read() == b"{}"
                reply.close()
            assert (counted.reasons, len(backend.posts)) == ([], 4)


async def test_d3_silent_address() -> None:
    """D3: when the first address swallows connections, the next one is tried long before the deadline."""
    with socket.create_server(("127.0.0.2", 0), backlog=0) as hole:
        port = hole.getsockname()[1]
        fillers = [socket.socket() for _ in range(3)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.2", port))
        server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", port)
        async with upstream(f"http://backend.example:{port}/v1", told(["127.0.0.2", "127.0.0.1"])) as (opened, _):
            async with asyncio.timeout(3):
                with pytest.raises(ProxyError) as caught:
                    await opened.open(CALL)
            assert caught.value.outcome == "up_reset"  # it was connected, and that is the question
        server.close()
        for filler in fillers:
            filler.close()


async def test_m15_metadata_behind_a_name() -> None:
    """M15: a name that leads to a cloud's metadata is refused without a packet, and without a repeat."""
    async with upstream("http://backend.example/v1", told(["169.254.169.254"])) as (opened, counted):
        with pytest.raises(UpstreamUnreachable) as caught:
            await opened.open(CALL)
        assert caught.value.message == "the upstream's address is not allowed"
        assert counted.attempts == 1


async def test_m15_metadata_by_its_address() -> None:
    """M15: an operator who writes such an address means it."""
    async with upstream("http://169.254.169.254:1/v1", failing, connect=0.2) as (opened, _):
        with pytest.raises(ProxyError) as caught:
            await opened.open(CALL)
        assert "not allowed" not in caught.value.message


@pytest.mark.parametrize(("retries", "attempts"), [(0, 1), (1, 2), (2, 3)])
async def test_d4_repeats(retries: int, attempts: int) -> None:
    """D4: a refused connection is tried again so many times, all within a fraction of a second."""
    url = f"http://127.0.0.1:{closed_port()}/v1"
    async with upstream(url, failing, retry=RetryLimits(connect=retries)) as (opened, counted):
        began = time.monotonic()
        with pytest.raises(UpstreamUnreachable) as caught:
            await opened.open(CALL)
        assert (caught.value.outcome, counted.attempts) == ("up_connect", attempts)
        assert counted.reasons == ["connect"] * retries
        assert time.monotonic() - began < 2


async def test_d4_comes_back() -> None:
    """D4: a backend that is restarted just then costs its clients nothing."""
    async with Backend() as backend:
        backend.script("m", body({}))
        await backend.stop()
        async with upstream(backend.url, failing, retry=RetryLimits(connect=10)) as (opened, counted):
            asking = asyncio.create_task(opened.open(CALL))
            await eventually(lambda: counted.attempts >= 2)
            await backend.start()
            (await asking).close()
            assert len(backend.posts) == 1


async def test_d5_repeats_share_the_deadline() -> None:
    """D5: however many repeats are allowed, all of them together have the time of one connection."""
    url = f"http://127.0.0.1:{closed_port()}/v1"
    async with upstream(url, failing, connect=0.3, retry=RetryLimits(connect=10, budget=1.0)) as (opened, _):
        async with asyncio.timeout(2):
            with pytest.raises(UpstreamUnreachable):
                await opened.open(CALL)


async def test_d2_d5_a_repeat_has_what_is_left() -> None:
    """D2, D5: a repeat that hangs ends when the first try would have, not later."""
    began, seen = time.monotonic(), 0

    async def slow_and_then_silent(host: str, port: int) -> list[str]:
        nonlocal seen
        seen += 1
        if seen == 1:
            await asyncio.sleep(0.8)
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure")
        return await hanging(host, port)

    async with upstream("http://backend.example/v1", slow_and_then_silent, connect=1.0) as (opened, counted):
        with pytest.raises(UpstreamTimeout):
            await opened.open(CALL)
        assert counted.reasons == ["connect"]
        assert time.monotonic() - began < 1.5


async def test_j4_budget() -> None:
    """J4: repeats are at most a fifth of the calls, and three; what was not repeated is told."""
    url = f"http://127.0.0.1:{closed_port()}/v1"
    async with upstream(url, failing) as (opened, counted):
        await asyncio.gather(*(opened.open(CALL) for _ in range(100)), return_exceptions=True)
        assert 100 < counted.attempts <= 1.2 * 100 + 3
        assert counted.refused > 80


async def test_d9_j4_stale_connections_are_free() -> None:
    """D9, J4: a kept connection that was dead is no sign of an outage: the repeat takes nothing from the budget."""
    async with Backend() as backend:
        backend.script("m", *[body({}), (Close(),), body({})] * 10)
        async with upstream(backend.url, failing, retry=RetryLimits(budget=0.0)) as (opened, counted):
            for _ in range(20):
                reply = await opened.open(CALL)
                while await reply.read():
                    pass
                reply.close()
            assert counted.reasons == ["stale_connection"] * 10
            assert len(backend.posts) == 30


async def test_d9_j6_large_bodies_are_sent_again() -> None:
    """D9, J6: what is sent again is the same to the byte, and has its length, also when it has megabytes."""
    large = CALL._replace(body=b'{"model":"m","input":"' + bytes(range(35, 91)) * 40_000 + b'"}')
    async with Backend() as backend:
        backend.script("m", body({}), (Reset(),), body({}))
        async with upstream(backend.url, failing) as (opened, counted):
            for _ in range(2):
                reply = await opened.open(large)
                assert [await reply.read(), await reply.read()] == [b"{}", b""]
                reply.close()
            assert counted.reasons == ["stale_connection"]
        assert [request.body == large.body for request in backend.posts] == [True] * 3
        assert all("transfer-encoding" not in request.headers for request in backend.posts)


async def test_a22_a_header_that_is_two() -> None:
    """A22: a call with such a header is refused before anything is sent, and leaves no connection in use."""
    async with Backend() as backend:
        backend.script("m", body({}))
        async with upstream(backend.url, failing) as (opened, _):
            for kept in range(2):
                for _ in range(3):
                    with pytest.raises(ValueError, match="header"):
                        await opened.open(CALL._replace(headers=(("X-Request-Id", "a\r\nb: c"),)))
                assert len(backend.posts) == kept
                await eventually(lambda: len(backend.connections) <= len(backend.posts))
                reply = await opened.open(CALL)
                while await reply.read():
                    pass
                reply.close()
