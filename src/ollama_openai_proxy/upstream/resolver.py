"""Names of backends become addresses here: one lookup at a time for each name, whoever waits for it.

A name server that hangs holds nobody up who does not need it: the last answer is served meanwhile, for some minutes.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import time
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from ollama_openai_proxy.errors import UpstreamUnreachable

_FRESH_SECONDS = 5.0
_STALE_SECONDS = 300.0
_PATIENCE_SECONDS = 1.0  # with a lookup, when there is an older answer
# Of the machine itself, where clouds answer with its credentials.
_FORBIDDEN = tuple(map(ipaddress.ip_network, ("169.254.0.0/16", "fe80::/10", "fd00:ec2::254/128")))

# Of a name and a port, the addresses. Raises OSError.
Lookup = Callable[[str, int], Awaitable[list[str]]]


class _Answer(NamedTuple):
    addresses: list[str]
    when: float


class _Running(NamedTuple):
    lookup: asyncio.Task[list[str]]
    since: float


async def ask_system(host: str, port: int) -> list[str]:
    """Look the name up as the machine does. Takes as long as its name servers do; the thread can't be cancelled."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)
    return [str(address[0]) for *_, address in found]


class Resolver:
    """Answers from what it was told in the last seconds, and asks when that is too old.

    Addresses that are none of a backend are left out: a name is not to lead to the metadata of a cloud's machine. Who
    means such an address writes it into the base URL: then there is no name to look up.
    """

    def __init__(self, lookup: Lookup = ask_system, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock` is monotonic, in seconds."""
        self._lookup = lookup
        self._clock = clock
        self._answers: dict[tuple[str, int], _Answer] = {}
        self._running: dict[tuple[str, int], _Running] = {}

    @property
    def hangs(self) -> bool:
        """Whether a lookup is under way, of whichever name."""
        return bool(self._running)

    async def addresses(self, host: str, port: int) -> list[str]:
        """Return the addresses, each time beginning with another. Raises OSError, and UpstreamUnreachable when none
        may be connected to."""
        found = await self._find(host, port)
        allowed = [address for address in found if not _is_forbidden(address)]
        if not allowed:
            raise UpstreamUnreachable("the upstream's address is not allowed")
        found.append(found.pop(0))
        return allowed

    async def close(self) -> None:
        """Wait for nobody."""
        for running in tuple(self._running.values()):
            running.lookup.cancel()

    async def _find(self, host: str, port: int) -> list[str]:
        key, now = (host, port), self._clock()
        known = self._answers.get(key)
        if known and now - known.when < _FRESH_SECONDS:
            return known.addresses
        running = self._running.get(key) or self._start(key, now)
        if not known or now - known.when >= _STALE_SECONDS:
            return await asyncio.shield(running.lookup)
        try:
            async with asyncio.timeout(max(running.since + _PATIENCE_SECONDS - now, 0)):
                return await asyncio.shield(running.lookup)
        except TimeoutError:
            return known.addresses
        except socket.gaierror as error:
            if not is_passing(error):
                raise
            return known.addresses

    def _start(self, key: tuple[str, int], now: float) -> _Running:
        running = self._running[key] = _Running(asyncio.create_task(self._ask(key)), now)
        # Whoever waited may have gone: then nobody else asks how it ended.
        running.lookup.add_done_callback(lambda lookup: lookup.cancelled() or lookup.exception())
        return running

    async def _ask(self, key: tuple[str, int]) -> list[str]:
        try:
            addresses = list(dict.fromkeys(await self._lookup(*key)))
        finally:
            del self._running[key]
        if not addresses:
            raise socket.gaierror(socket.EAI_NONAME, "no address")
        self._answers[key] = _Answer(addresses, self._clock())
        return addresses


def is_passing(error: OSError) -> bool:
    """Whether a lookup failed for a reason that may be gone in a moment."""
    return error.errno == socket.EAI_AGAIN


def _is_forbidden(address: str) -> bool:
    found = ipaddress.ip_address(address)
    found = getattr(found, "ipv4_mapped", None) or found
    return any(found in network for network in _FORBIDDEN if network.version == found.version)
