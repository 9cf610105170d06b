"""`probe`: whether the proxy on this machine answers."""

from __future__ import annotations

import socket

_SECONDS = 5.0


def probe(host: str, port: int) -> int:
    """Ask for `/live` and return an exit status: 0 if the answer is 200."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104  # listening on all, reached on one
    request = b"GET /live HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    try:
        with socket.create_connection((host, port), timeout=_SECONDS) as connection:
            connection.sendall(request)
            return 0 if connection.recv(64).startswith(b"HTTP/1.1 200 ") else 1
    except OSError:
        return 1
