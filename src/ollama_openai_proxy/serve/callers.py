"""Who a request is from: the holder of a key, else an address, and whose word is taken for that."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable

from starlette.types import Scope

from ollama_openai_proxy.serve.headers import joined
from ollama_openai_proxy.serve.hosts import Address

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

# An address with a port, as some reverse proxies write it: an IPv6 one then has brackets.
_WITH_PORT = re.compile(r"\[([^\]]+)\](?::\d+)?|([^:]+):\d+")


class Callers:
    """Tells clients apart. Only those in `trusted` are believed who it is that they ask for."""

    def __init__(self, trusted: Iterable[Network] = ()) -> None:
        self._trusted = tuple(trusted)

    def of(self, scope: Scope) -> str:
        """Return a name for the client: of its key if it has one, else of its address. It is for no log."""
        if caller := scope.get("caller"):
            return str(caller)
        peer = scope.get("client")
        address = _address(peer[0]) if peer else None
        if address is None:
            return peer[0] if peer else ""
        if self._trusts(address) and (forwarded := joined(scope, b"x-forwarded-for")):
            address = self._behind(address, forwarded)
        return str(address)

    def _behind(self, peer: Address, forwarded: str) -> Address:
        """Return the last address in the header that is no trusted proxy's: what stands before it, anyone may write.

        Where one can't be read, it is the proxy that wrote it.
        """
        for part in reversed(forwarded.split(",")):
            address = _address(part)
            if address is None:
                break
            peer = address
            if not self._trusts(address):
                break
        return peer

    def _trusts(self, address: Address) -> bool:
        return any(address in network for network in self._trusted)


def _address(text: str) -> Address | None:
    text = text.strip()
    if match := _WITH_PORT.fullmatch(text):
        text = match[1] or match[2]
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address
