"""Listening sockets."""

from __future__ import annotations

import errno
import socket

# What `socket` and `bind` say on a host without IPv6.
_NO_IPV6 = (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL)
# What the system holds for a client that does not read; Linux doubles it. Left to itself it grows to megabytes.
_SEND_BUFFER = 128 * 1024

BACKLOG = 2048  # connections that the system holds until they are taken


def address(listener: socket.socket) -> str:
    """Return where it listens, as a URL writes it."""
    host, port = listener.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def listen(host: str, port: int) -> socket.socket:
    """Return a listening socket; for `::` one that takes IPv4 too, and that alone where there is no IPv6.

    Raises OSError.
    """
    try:
        return _listen(host, port)
    except OSError as error:
        if host != "::" or error.errno not in _NO_IPV6:
            raise
    return _listen("0.0.0.0", port)  # noqa: S104  # as wide as what was asked for


def _listen(host: str, port: int) -> socket.socket:
    family, kind, protocol, _, place = socket.getaddrinfo(
        host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)  # those it accepts inherit it
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        listener.bind(place)
        listener.listen(BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener
