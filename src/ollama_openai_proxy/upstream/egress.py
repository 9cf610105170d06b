"""Outgoing proxies: where they are, and how one is asked for a tunnel (RFC 9110, 9.3.6)."""

from __future__ import annotations

import asyncio
import re
import socket
from typing import NamedTuple

from ollama_openai_proxy.errors import UpstreamUnreachable

MAX_HEAD = 16 * 1024
"""Bytes of the head of a proxy's answer."""

_GRANTED = re.compile(rb"HTTP/1\.[01] 2\d\d[ \r\n]")
_HEAD_ENDS = (b"\n\r\n", b"\n\n")


class Egress(NamedTuple):
    """A proxy on the way to the backend. `authorization` is what it wants to know, as its header has it."""

    host: str
    port: int
    authorization: bytes | None = None

    def __repr__(self) -> str:
        return f"Egress(host={self.host!r}, port={self.port})"

    @property
    def headers(self) -> tuple[tuple[bytes, bytes], ...]:
        """What is sent with each request to it."""
        return ((b"Proxy-Authorization", self.authorization),) if self.authorization else ()


async def dig(opened: socket.socket, authority: bytes, egress: Egress) -> None:
    """Ask the proxy, to which the socket is connected, for a tunnel to `host:port`; what comes through it is not read.

    Raises UpstreamUnreachable when it refuses, and OSError.
    """
    loop = asyncio.get_running_loop()
    headers = ((b"Host", authority), *egress.headers)
    fields = b"".join(b"%b: %b\r\n" % header for header in headers)
    await loop.sock_sendall(opened, b"CONNECT %b HTTP/1.1\r\n%b\r\n" % (authority, fields))
    head = bytearray()
    # Byte by byte: what follows the head belongs to TLS, and stays where TLS will look for it.
    while not head.endswith(_HEAD_ENDS) and len(head) < MAX_HEAD and (read := await loop.sock_recv(opened, 1)):
        head += read
    if not (head.endswith(_HEAD_ENDS) and _GRANTED.match(head)):
        raise UpstreamUnreachable("the outgoing proxy refused the connection")
