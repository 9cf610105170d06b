"""Times as Ollama writes them: RFC 3339 in UTC, up to nine digits (contract 1.8)."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache

# Where "for ever" ends in Go: the longest duration that its clock can add.
FOREVER = 292 * 365 * 86400


def timestamp(nanoseconds: int) -> str:
    """Return the time that is so many nanoseconds after 1970."""
    seconds, rest = divmod(nanoseconds, 10**9)
    digits = f".{rest:09d}".rstrip("0") if rest else ""
    return f"{date(seconds)}{digits}Z"


@lru_cache(maxsize=16)
def date(seconds: int) -> str:
    """Return the beginning of a time, up to its whole seconds after 1970."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
