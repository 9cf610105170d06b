"""When to ask a backend again: whatever it says, in whole seconds up to an hour, or nothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ollama_openai_proxy.translate.openai.retry_after import seconds

NOW = 1_792_567_680.0  # Wed, 21 Oct 2026 07:28:00 GMT
HEADERS: dict[str, tuple[dict[str, str], int | None]] = {
    "nothing": ({}, None),
    "seconds": ({"retry-after": "7"}, 7),
    "white space": ({"retry-after": " 7 "}, 7),
    "a fraction": ({"retry-after": "1.2"}, 2),
    "at once": ({"retry-after": "0"}, 0),
    "an hour at most": ({"retry-after": "86400"}, 3600),
    "years": ({"retry-after": "1000000000"}, 3600),
    "more digits than are read": ({"retry-after": "9" * 400}, None),
    "negative": ({"retry-after": "-1"}, None),
    "infinity": ({"retry-after": "inf"}, None),
    "no number": ({"retry-after": "nan"}, None),
    "an exponent": ({"retry-after": "1e3"}, None),
    "underscores": ({"retry-after": "1_0"}, None),
    "another script's digits": ({"retry-after": "\u0663"}, None),
    "words": ({"retry-after": "soon"}, None),
    "empty": ({"retry-after": ""}, None),
    "several": ({"retry-after": "7, 9"}, 7),
    "a date to come": ({"retry-after": "Wed, 21 Oct 2026 07:28:30 GMT"}, 30),
    "a date far off": ({"retry-after": "Wed, 21 Oct 2099 07:28:00 GMT"}, 3600),
    "a date that is past": ({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0),
    "no date": ({"retry-after": "Wed, 31 Feb 2026 07:28:00 GMT"}, None),
    "no month": ({"retry-after": "Wed, 21 Okt 2026 07:28:00 GMT"}, None),
    "no time": ({"retry-after": "Wed, 21 Oct 2026 25:28:00 GMT"}, None),
    "milliseconds": ({"retry-after-ms": "1500"}, 2),
    "milliseconds before seconds": ({"retry-after-ms": "2500", "retry-after": "60"}, 3),
    "milliseconds that are none": ({"retry-after-ms": "x", "retry-after": "60"}, 60),
    "a limit": ({"x-ratelimit-reset-requests": "7"}, 7),
    "a limit, before it Retry-After": ({"x-ratelimit-reset-requests": "7", "retry-after": "3"}, 3),
    "OpenAI's seconds": ({"x-ratelimit-reset-requests": "1s"}, 1),
    "OpenAI's minutes": ({"x-ratelimit-reset-tokens": "6m0s"}, 360),
    "OpenAI's milliseconds": ({"x-ratelimit-reset-tokens": "20ms"}, 1),
    "OpenAI's hours": ({"x-ratelimit-reset-tokens": "8h24m0s"}, 3600),
    "Groq's fractions": ({"x-ratelimit-reset-requests": "2m59.56s"}, 180),
    "a day": ({"x-ratelimit-reset-requests": "1d"}, 3600),
    "the limit that is used up": (
        {
            "x-ratelimit-remaining-requests": "59",
            "x-ratelimit-reset-requests": "20s",
            "x-ratelimit-remaining-tokens": "0",
            "x-ratelimit-reset-tokens": "5s",
        },
        5,
    ),
    "limits that are not used up": ({"x-ratelimit-remaining-tokens": "9", "x-ratelimit-reset-tokens": "5s"}, None),
    "the longest": ({"x-ratelimit-reset-requests": "20s", "x-ratelimit-reset-tokens": "5s"}, 20),
    "OpenRouter's time": ({"x-ratelimit-reset": "1792567690000"}, 10),
    "a time in seconds": ({"x-ratelimit-reset": "1792567690"}, 10),
    "a time that is past": ({"x-ratelimit-reset": "1592567690"}, 0),
    "garbage": ({"x-ratelimit-reset-requests": "soon"}, None),
    "a unit without a number": ({"x-ratelimit-reset-requests": "s"}, None),
    "points": ({"x-ratelimit-reset-requests": "1.2.3s"}, None),
    "units in another order": ({"x-ratelimit-reset-requests": "1s2m"}, None),
}


@pytest.mark.parametrize(("headers", "wait"), HEADERS.values(), ids=HEADERS.keys())
def test_j2_table(headers: dict[str, str], wait: int | None) -> None:
    """J2: dates, fractions, nonsense and the vendors' own headers become 0 to 3600 whole seconds, or nothing."""
    assert seconds(headers, NOW) == wait


NAMES = st.sampled_from(
    ["retry-after", "retry-after-ms", "x-ratelimit-reset", "x-ratelimit-reset-tokens", "x-ratelimit-remaining-tokens"]
)
VALUES = st.text(max_size=12) | st.text("0123456789.dhms, -", max_size=40) | st.floats().map(str)


@given(st.dictionaries(NAMES, VALUES))
def test_j2_any_headers(headers: dict[str, str]) -> None:
    """J2: whatever the headers say, they are whole seconds up to an hour, or nothing."""
    wait = seconds(headers, NOW)
    assert wait is None or (type(wait) is int and 0 <= wait <= 3600)
