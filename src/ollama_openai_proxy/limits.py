"""What everything that grows or waits is limited to, part by part. Each value is a setting, of setting_limits.py."""

from __future__ import annotations

from typing import NamedTuple

_MIB = 1024 * 1024


class ClientLimits(NamedTuple):
    """A connection of a client. Seconds and bytes; `connections`: how many there may be."""

    header_timeout: float = 10.0
    header_size: int = 64 * 1024
    headers: int = 100
    url_size: int = 8 * 1024
    keep_alive: float = 75.0
    write_timeout: float = 60.0
    connections: int = 4096


class BodyLimits(NamedTuple):
    """A request's body: its bytes, also unpacked; the seconds until it moves; the bytes per second that it makes
    at least, on average and after those seconds."""

    size: int = 32 * _MIB
    timeout: float = 60.0
    min_rate: int = 1024


class AdmissionLimits(NamedTuple):
    """Requests for a backend: how many at a time, how many wait for how many seconds; and how many of one client run
    and wait, 0 for as many as of all."""

    active: int = 1000
    queue: int = 512
    wait: float = 30.0
    per_client: int = 0
    memory_percent: int = 90


class ReplyLimits(NamedTuple):
    """A backend's reply, in bytes; `error_seconds`: how long the body of an error is read."""

    event: int = 16 * _MIB
    whole: int = 64 * _MIB
    error: int = 64 * 1024
    error_seconds: float = 5.0


class RetryLimits(NamedTuple):
    """How often a call is repeated: where no connection came about, and after an answer that asks for patience.

    `budget`: the share of the calls of the last ten seconds that repeats may add, beside three.
    """

    connect: int = 2
    status: int = 0
    budget: float = 0.2


class BreakerLimits(NamedTuple):
    """After how many failures in a row nobody is sent to a backend, 0 for never, and for how many seconds."""

    failures: int = 5
    pause: float = 15.0


class UpstreamLimits(NamedTuple):
    """All that limits what goes to a backend. `keep_alive`: the seconds that an idle connection is kept."""

    reply: ReplyLimits = ReplyLimits()
    retry: RetryLimits = RetryLimits()
    breaker: BreakerLimits = BreakerLimits()
    keep_alive: float = 2.0
