import pytest

from ollama_openai_proxy.translate.ollama.times import FOREVER, timestamp

YEAR_2024 = 1_704_067_200  # 2024-01-01T00:00:00Z


@pytest.mark.parametrize(
    ("nanoseconds", "text"),
    [
        (0, "1970-01-01T00:00:00Z"),
        (YEAR_2024 * 10**9, "2024-01-01T00:00:00Z"),
        (YEAR_2024 * 10**9 + 1, "2024-01-01T00:00:00.000000001Z"),
        (YEAR_2024 * 10**9 + 123_456_789, "2024-01-01T00:00:00.123456789Z"),
        (YEAR_2024 * 10**9 + 500_000_000, "2024-01-01T00:00:00.5Z"),
        (YEAR_2024 * 10**9 + 120_000_000, "2024-01-01T00:00:00.12Z"),
        ((YEAR_2024 + 59 * 86400 + 86399) * 10**9, "2024-02-29T23:59:59Z"),
        ((YEAR_2024 - 1) * 10**9 + 999_999_999, "2023-12-31T23:59:59.999999999Z"),
    ],
)
def test_timestamps(nanoseconds: int, text: str) -> None:
    """Contract 1.8: RFC 3339 in UTC, up to nine digits, trailing zeros trimmed, no dot without a fraction."""
    assert timestamp(nanoseconds) == text


def test_forever_is_in_2318() -> None:
    """Contract 3.1: what is kept for ever expires about 292 years ahead."""
    assert timestamp((1_787_000_000 + FOREVER) * 10**9).startswith("2318-")
