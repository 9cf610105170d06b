"""Names become addresses: what is asked, how often, and what must not be connected to."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable

import pytest

from ollama_openai_proxy.errors import UpstreamUnreachable
from ollama_openai_proxy.upstream.resolver import Resolver, ask_system
from support.waiting import eventually

NXDOMAIN = socket.gaierror(socket.EAI_NONAME, "Name or service not known")
AGAIN = socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")


class Names:
    """A name server by script, at a time that the test sets. Of no answers it hangs."""

    def __init__(self, *answers: list[str] | OSError) -> None:
        self.now = 100.0
        self.asked: list[str] = []
        self.answers = list(answers)
        self.resolver = Resolver(self.look_up, lambda: self.now)

    async def look_up(self, host: str, port: int) -> list[str]:
        self.asked.append(f"{host}:{port}")
        if not self.answers:
            await asyncio.Event().wait()
        answer = self.answers.pop(0)
        if isinstance(answer, OSError):
            raise answer
        return answer

    async def resolve(self, host: str = "backend") -> list[str]:
        return await self.resolver.addresses(host, 443)


async def test_d3_addresses_take_turns() -> None:
    """D3: all addresses are told, each time beginning with another, so that no dead one is always the first."""
    names = Names(["192.0.2.1", "192.0.2.2", "2001:db8::1", "192.0.2.1"])
    found = [await names.resolve() for _ in range(4)]
    assert [addresses[0] for addresses in found] == ["192.0.2.1", "192.0.2.2", "2001:db8::1", "192.0.2.1"]
    assert {tuple(sorted(addresses)) for addresses in found} == {("192.0.2.1", "192.0.2.2", "2001:db8::1")}
    assert names.asked == ["backend:443"]


async def test_d3_changes_are_followed() -> None:
    """D3: an answer is good for 5 s, then it is asked again."""
    names = Names(["192.0.2.1"], ["192.0.2.2"])
    await names.resolve()
    names.now += 4.9
    assert await names.resolve() == ["192.0.2.1"]
    names.now += 0.2
    assert await names.resolve() == ["192.0.2.2"]


async def test_d2_one_lookup_for_all() -> None:
    """D2: while a lookup hangs nobody begins another for the same name, and other names are looked up."""
    names = Names()
    waiting = [asyncio.create_task(names.resolve()) for _ in range(100)]
    await eventually(lambda: names.asked)
    names.answers = [["192.0.2.7"]]
    assert await names.resolve("other") == ["192.0.2.7"]
    assert names.asked == ["backend:443", "other:443"]
    assert names.resolver.hangs
    for each in waiting:
        each.cancel()
    await asyncio.wait(waiting)
    await names.resolver.close()


async def test_d2_those_who_leave_take_nobody_with_them() -> None:
    """D2: a lookup goes on when one who waits for it leaves; the others get its answer."""
    barrier = asyncio.Event()

    async def look_up(_host: str, _port: int) -> list[str]:
        await barrier.wait()
        return ["192.0.2.1"]

    resolver = Resolver(look_up)
    one, other = (asyncio.create_task(resolver.addresses("backend", 1)) for _ in range(2))
    await asyncio.sleep(0)
    one.cancel()
    barrier.set()
    assert await other == ["192.0.2.1"]
    assert not resolver.hangs


async def test_d2_an_old_answer_while_a_lookup_hangs() -> None:
    """D2: who has an old answer waits a second for a new one, once; an answer of more than 5 minutes is none."""
    names = Names(["192.0.2.1"])
    await names.resolve()
    names.now += 60
    async with asyncio.timeout(2):
        assert await names.resolve() == ["192.0.2.1"]
    names.now += 2
    async with asyncio.timeout(0.5):
        assert await names.resolve() == ["192.0.2.1"]
    assert len(names.asked) == 2
    names.now += 300
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await names.resolve()
    await names.resolver.close()


async def test_d1_failures_are_not_kept() -> None:
    """D1: a name that is none raises, and is asked for again the next time."""
    names = Names(NXDOMAIN, [], ["192.0.2.1"])
    for _ in range(2):
        with pytest.raises(OSError, match=r"not known|no address"):
            await names.resolve()
    assert await names.resolve() == ["192.0.2.1"]


@pytest.mark.parametrize(("failure", "survives"), [(AGAIN, True), (NXDOMAIN, False)], ids=["for now", "for good"])
async def test_an_old_answer_when_a_lookup_fails(failure: OSError, survives: bool) -> None:
    """D2: an old answer is served when the name server fails for now, not when it says that there is no such name."""
    names = Names(["192.0.2.1"], failure)
    await names.resolve()
    names.now += 60
    if survives:
        assert await names.resolve() == ["192.0.2.1"]
    else:
        with pytest.raises(socket.gaierror):
            await names.resolve()


FORBIDDEN = ("169.254.169.254", "169.254.0.1", "fe80::1", "fe80::1%eth0", "fd00:ec2::254", "::ffff:169.254.169.254")


@pytest.mark.parametrize("address", FORBIDDEN)
async def test_m15_metadata(address: str) -> None:
    """M15: a name that leads to link-local addresses or to a cloud's metadata leads nowhere."""
    with pytest.raises(UpstreamUnreachable) as caught:
        await Names([address]).resolve()
    assert (caught.value.message, caught.value.outcome) == ("the upstream's address is not allowed", "up_connect")
    assert await Names([address, "192.0.2.1"]).resolve() == ["192.0.2.1"]


async def test_m15_neighbours() -> None:
    """M15: addresses of private networks are those of backends."""
    near = ["10.0.0.1", "127.0.0.1", "::1", "fd00::1", "192.168.0.1", "169.253.255.255", "169.255.0.0"]
    assert await Names(near).resolve() == near


async def test_system() -> None:
    """The machine's own answer for its own name is its own address."""
    asks: Callable[[str, int], Awaitable[list[str]]] = ask_system
    assert set(await asks("localhost", 80)) & {"127.0.0.1", "::1"}
