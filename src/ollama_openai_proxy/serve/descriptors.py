"""How many open files the system allows: each connection is one."""

from __future__ import annotations

import resource
from contextlib import suppress

_MOST = 65_536  # more than a process of this kind can use; some systems allow a thousand million
_RESERVE = 64  # for all that is no request: logs, listeners, names that are looked up


def raise_limit() -> None:
    """Allow this process, and those that it starts, as many open files as the system lets it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = _MOST if hard == resource.RLIM_INFINITY else min(hard, _MOST)
    if soft != resource.RLIM_INFINITY and soft < most:
        with suppress(OSError, ValueError):  # then it is as it was
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def allowed(connections: int) -> int:
    """Return how many of so many connections of clients fit: each may need one more, to the backend."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return connections if soft == resource.RLIM_INFINITY else max(1, min(connections, (soft - _RESERVE) // 2))
