"""Connections to a backend are made here: its name, its addresses, the outgoing proxy if there is one, TLS.

Of several addresses the next is tried when one refuses, or is silent for a quarter of a second (RFC 8305). Nothing of
the environment takes part but the certificates to trust.
"""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import socket
import ssl
from collections.abc import Callable
from contextlib import ExitStack
from typing import NamedTuple, TypeVar
from urllib.parse import urlsplit

from aiohappyeyeballs import AddrInfoType, addr_to_addr_infos, start_connection

from ollama_openai_proxy.errors import Busy, ProxyError, UpstreamTimeout, UpstreamUnreachable
from ollama_openai_proxy.upstream.egress import Egress, dig
from ollama_openai_proxy.upstream.resolver import Lookup, Resolver, ask_system, is_passing
from ollama_openai_proxy.upstream.trust import trusted

P = TypeVar("P", bound=asyncio.Protocol)

# What a backend may send before the proxy has read it, or a client taken it.
_SYSTEM_HOLDS = 128 * 1024
# A peer that is gone without a word is noticed after two minutes, in a stream that is silent for longer, too.
_KEEPALIVE = ((socket.TCP_KEEPIDLE, 60), (socket.TCP_KEEPINTVL, 15), (socket.TCP_KEEPCNT, 4))
_NEXT_ADDRESS_SECONDS = 0.25
_GOODBYE_SECONDS = 1.0  # until a TLS connection that is closed is closed by the peer, too
_NO_FILES = (errno.EMFILE, errno.ENFILE)


class Unconnected(Exception):
    """No connection came about. `error` is what to tell; `passing`: whether the reason may be gone in a moment."""

    def __init__(self, error: ProxyError, *, passing: bool = False) -> None:
        super().__init__(error.message)
        self.error = error
        self.passing = passing


class Dialer:
    """Makes connections to the backend of a base URL, through an outgoing proxy or straight.

    `host` is for the Host header: without the port that the scheme has anyway. `prefix` and `headers` are what a
    request needs for a proxy that reads it: what stands before the path, and what the proxy wants to know.
    """

    def __init__(self, base_url: str, lookup: Lookup = ask_system, egress: Egress | None = None) -> None:
        """`lookup` finds the addresses of names: of the proxy's, if there is one, and else of the backend's."""
        self._resolver = Resolver(lookup)
        self._trust = trusted(base_url)
        url = urlsplit(base_url)
        usual = 443 if self._trust else 80
        target = _Place(_name(url.hostname or ""), url.port or usual)
        self.host = target.written if target.port == usual else target.authority
        reads = egress is not None and self._trust is None
        self.prefix = b"http://" + self.host if reads else b""
        self.headers = egress.headers if egress and reads else ()
        self._target = target
        self._egress = egress
        self._peer = _Place(_name(egress.host), egress.port) if egress else target
        self._who = "the outgoing proxy" if egress else "the upstream"

    async def connect(self, make: Callable[[], P], seconds: float) -> P:
        """Return a protocol that is connected, with TLS done where the URL asks for it. Raises Unconnected.

        `seconds` limits name, connection, proxy and TLS together. `make` is called for each address whose turn it is
        to speak TLS: what it made before is of no more use. A protocol is told twice that it is connected if it speaks
        TLS: first of the connection beneath.
        """
        by = asyncio.get_running_loop().time() + seconds
        left = await self._find(by)
        while True:
            opened, address = await self._reach(left, by)
            left.remove(address)
            try:
                if self._egress and self._trust:
                    await self._tunnel(opened, self._egress, by)
                return await self._begin(make, opened, by)
            except Unconnected as unconnected:
                if not left or isinstance(unconnected.error, UpstreamTimeout):
                    raise

    async def close(self) -> None:
        """Wait for no more names."""
        await self._resolver.close()

    async def _find(self, by: float) -> list[AddrInfoType]:
        """Return where the backend is, or the proxy: the name's addresses, or the one that stands in the URL."""
        host, port = self._peer
        if not self._target.host:
            raise _nameless("the upstream")
        if not host:
            raise _nameless(self._who)
        try:
            async with asyncio.timeout_at(by):
                found = [host] if _is_address(host) else await self._resolver.addresses(host, port)
        except UpstreamUnreachable as error:
            raise Unconnected(error) from None
        except TimeoutError:
            raise self._late("up_dns") from None
        except OSError as error:
            raise _nameless(self._who, passing=is_passing(error)) from None
        return [info for address in found for info in addr_to_addr_infos((address, port)) or ()]

    async def _reach(self, addresses: list[AddrInfoType], by: float) -> tuple[socket.socket, AddrInfoType]:
        """Return a connection, and which of the addresses it leads to."""
        used: dict[socket.socket, AddrInfoType] = {}

        def open_one(address: AddrInfoType) -> socket.socket:
            opened = _open_socket(address)
            used[opened] = address
            return opened

        try:
            async with asyncio.timeout_at(by):
                opened = await start_connection(
                    addresses, happy_eyeballs_delay=_NEXT_ADDRESS_SECONDS, interleave=1, socket_factory=open_one
                )
        except OSError as error:
            if _is_ours(error):
                raise self._late("up_connect_timeout") from None
            if error.errno in _NO_FILES:
                raise Unconnected(Busy("the server has too many connections open", retry_after=1)) from None
            raise self._refused() from None
        return opened, used[opened]

    async def _tunnel(self, opened: socket.socket, egress: Egress, by: float) -> None:
        """Let the proxy lead the connection to the backend."""
        with ExitStack() as failed:
            failed.callback(opened.close)
            try:
                async with asyncio.timeout_at(by):
                    await dig(opened, self._target.authority, egress)
            except UpstreamUnreachable as error:
                raise Unconnected(error) from None
            except OSError as error:
                raise (self._late("up_connect_timeout") if _is_ours(error) else self._refused()) from None
            failed.pop_all()

    async def _begin(self, make: Callable[[], P], opened: socket.socket, by: float) -> P:
        """Hand the connection to a protocol, within TLS if that is to be spoken."""
        if not self._trust:
            return (await asyncio.get_running_loop().create_connection(make, sock=opened))[1]
        try:
            async with asyncio.timeout_at(by):
                return await self._encrypt(self._trust, make, opened, by)
        except OSError as error:
            if _is_ours(error):
                late = UpstreamTimeout("timed out connecting to the upstream", outcome="up_tls")
                raise Unconnected(late) from None
            unproven = UpstreamUnreachable("the upstream's TLS could not be verified", outcome="up_tls")
            # Some servers close when they do not like what they are offered, and others when they have no time.
            raise Unconnected(unproven, passing=not isinstance(error, ssl.SSLError)) from None

    async def _encrypt(self, trust: ssl.SSLContext, make: Callable[[], P], opened: socket.socket, by: float) -> P:
        loop = asyncio.get_running_loop()
        plain, beneath = await loop.create_connection(_Beneath, sock=opened)
        if beneath.heard:
            plain.abort()
            raise ssl.SSLError("the peer speaks first")
        if plain.is_closing():
            raise ConnectionResetError
        protocol = make()
        protocol.connection_made(plain)
        encrypted = await loop.start_tls(
            plain,
            protocol,
            trust,
            server_hostname=self._target.name,
            ssl_handshake_timeout=max(by - loop.time(), 0) + 1,  # ours is the first to pass
            ssl_shutdown_timeout=_GOODBYE_SECONDS,
        )
        if encrypted is None or encrypted.is_closing():
            raise ConnectionResetError
        protocol.connection_made(encrypted)
        return protocol

    def _late(self, outcome: str) -> Unconnected:
        return Unconnected(UpstreamTimeout(f"timed out connecting to {self._who}", outcome=outcome))

    def _refused(self) -> Unconnected:
        return Unconnected(UpstreamUnreachable(f"{self._who} refused the connection"), passing=True)


class _Beneath(asyncio.Protocol):
    """What hears a peer that does not wait for TLS to begin."""

    heard = False

    def data_received(self, data: bytes) -> None:
        self.heard = True


class _Place(NamedTuple):
    """Where connections lead. `host` is an address, or a name as DNS has it; "" if it can be neither."""

    host: str
    port: int

    @property
    def name(self) -> str:
        """The host without what only DNS, or this machine, needs of it."""
        return self.host.rstrip(".").partition("%")[0]

    @property
    def written(self) -> bytes:
        """The same as URLs have it."""
        name = self.name.encode()
        return b"[%b]" % name if b":" in name else name

    @property
    def authority(self) -> bytes:
        return b"%b:%d" % (self.written, self.port)


def _nameless(who: str, *, passing: bool = False) -> Unconnected:
    return Unconnected(UpstreamUnreachable(f"{who}'s name could not be resolved", outcome="up_dns"), passing=passing)


def _name(host: str) -> str:
    """Return a host's name as DNS has it, "" if it can be none."""
    try:
        if host.isascii():
            host.encode("idna")  # looks at the lengths of its parts
            return host
        import idna  # noqa: PLC0415  # of few backends

        return idna.encode(host, uts46=True).decode()
    except UnicodeError:
        return ""


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _is_ours(error: OSError) -> bool:
    """Whether it is our deadline that has passed, and not one of the system."""
    return isinstance(error, TimeoutError) and error.errno is None


def _open_socket(address: AddrInfoType) -> socket.socket:
    opened = socket.socket(*address[:3])
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _SYSTEM_HOLDS)  # before the handshake, which tells of it
    for option, value in _KEEPALIVE:
        opened.setsockopt(socket.IPPROTO_TCP, option, value)
    return opened
