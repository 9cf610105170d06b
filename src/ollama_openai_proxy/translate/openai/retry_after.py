"""When a backend wants to be asked again: Retry-After (RFC 9110, 10.2.3), and what vendors send beside or in its place.

https://platform.openai.com/docs/guides/rate-limits tells the `x-ratelimit-*` headers; `retry-after-ms` is Azure's.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from math import ceil

LONGEST = 3600  # seconds

_NUMBER = re.compile(r"[0-9]{1,20}(?:\.[0-9]{0,20})?")
_DATE = re.compile(r"[A-Z][a-z]{2}, ([0-9]{2}) ([A-Z][a-z]{2}) ([0-9]{4}) ([0-9]{2}):([0-9]{2}):([0-9]{2}) GMT")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_DURATION = re.compile(r"(?=.)(?:([0-9]{1,9})d)?(?:([0-9]{1,9})h)?(?:([0-9]{1,9})m(?!s))?(?:([0-9.]{1,20})(ms|s))?")
_LIMITS = ("", "-requests", "-tokens")
_EPOCH = 1_000_000_000  # a number as large as this is a time, not a wait: seconds since 1970, or milliseconds
_MILLISECONDS = 1000


def seconds(headers: Mapping[str, str], now: float) -> int | None:
    """Return the whole seconds to wait, 0 to 3600; None when the headers tell nothing, or nonsense.

    `headers` are looked up in lower case, and have the first value of each; `now` is the time in seconds since 1970,
    by which dates become waits. Fractions are rounded up: who comes back early is refused again.
    """
    for wait in _waits(headers, now):
        if wait is not None:
            return max(0, min(ceil(wait), LONGEST))
    return None


def _waits(headers: Mapping[str, str], now: float) -> Iterator[float | None]:
    """Yield what each header asks for, the most precise first."""
    milliseconds = _number(headers.get("retry-after-ms", ""))
    yield None if milliseconds is None else milliseconds / _MILLISECONDS
    given = headers.get("retry-after", "").strip()
    yield _number(given)
    yield _until(given, now)
    yield _number(given.partition(",")[0])  # of several that were joined, the first
    yield max(_resets(headers, now), default=None)


def _number(text: str) -> float | None:
    match = _NUMBER.fullmatch(text.strip())
    return float(match[0]) if match else None


def _until(text: str, now: float) -> float | None:
    match = _DATE.fullmatch(text)
    if not match or match[2] not in _MONTHS:
        return None
    day, year, hour, minute, second = map(int, match.group(1, 3, 4, 5, 6))
    try:
        then = datetime(year, _MONTHS.index(match[2]) + 1, day, hour, minute, second, tzinfo=UTC)
    except ValueError:  # the 31st of February
        return None
    return then.timestamp() - now


def _resets(headers: Mapping[str, str], now: float) -> Iterator[float]:
    """Yield the waits until limits are lifted: of those that are used up, or do not tell whether they are."""
    for limit in _LIMITS:
        wait = _reset(headers.get(f"x-ratelimit-reset{limit}", "").strip(), now)
        if wait is not None and not _number(headers.get(f"x-ratelimit-remaining{limit}", "")):
            yield wait


def _reset(text: str, now: float) -> float | None:
    """Return the seconds of `7`, `1.5s`, `6m0s`, `20ms`, or those until a time."""
    number = _number(text)
    if number is not None and number >= _EPOCH:
        return (number / _MILLISECONDS if number >= _EPOCH * _MILLISECONDS else number) - now
    match = _DURATION.fullmatch(text) if number is None else None
    if not match:
        return number
    days, hours, minutes, rest, unit = match.groups(default="0")
    last = _number(rest)
    if last is None:
        return None
    return ((int(days) * 24 + int(hours)) * 60 + int(minutes)) * 60 + (last / _MILLISECONDS if unit == "ms" else last)
