"""What a backend says it spent (rows H9, H10; contract 3.9)."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ollama_openai_proxy.translate.events import Usage
from ollama_openai_proxy.translate.openai.usage import merge

# llama.cpp's own: 65 of 66 prompt tokens came from its cache.
TIMINGS = {"cache_n": 65, "prompt_n": 1, "prompt_ms": 11.505, "predicted_n": 25, "predicted_ms": 287.855}


@pytest.mark.parametrize(
    ("value", "count"),
    [
        pytest.param(12, 12, id="integer"),
        pytest.param(0, 0, id="zero is a count"),
        pytest.param(12.0, 12, id="H9 float"),
        pytest.param("12", 12, id="H9 string"),
        pytest.param("12.0", 12, id="H9 float in a string"),
        pytest.param(-1, None, id="H9 negative"),
        pytest.param(None, None, id="H9 null"),
        pytest.param(True, None, id="boolean"),
        pytest.param("many", None, id="words"),
        pytest.param("nan", None, id="no number"),
        pytest.param(float("inf"), None, id="infinite"),
        pytest.param("9" * 5000, None, id="too many digits"),
        pytest.param(10**30, None, id="too large to count tokens"),
        pytest.param([12], None, id="list"),
        pytest.param({"total": 12}, None, id="object"),
    ],
)
def test_counts_are_whole_numbers_from_zero_or_unknown(value: Any, count: int | None) -> None:
    """H9: whatever a backend writes as a count, clients get an integer of at least 0 or no count."""
    assert merge(Usage(), {"prompt_tokens": value, "completion_tokens": value}, None) == Usage(count, count)


@pytest.mark.parametrize("usage", [None, {}, [], "12", 12, {"total_tokens": 9}], ids=repr)
def test_usage_that_says_nothing_leaves_what_is_known(usage: Any) -> None:
    """H9: `usage: null` on every chunk but one does not erase the one."""
    assert merge(Usage(3, 4), usage, None) == Usage(3, 4)


def test_the_last_valid_usage_counts() -> None:
    """H9: continuous usage grows; what a later chunk does not say, or says wrongly, stays."""
    known = merge(Usage(), {"prompt_tokens": 13, "completion_tokens": 3}, None)
    known = merge(known, {"prompt_tokens": 13, "completion_tokens": 8}, None)
    assert merge(known, {"prompt_tokens": -1, "completion_tokens": 10.0}, None) == Usage(13, 10)
    assert merge(known, {"completion_tokens": 2}, None) == Usage(13, 2)


def test_the_prompt_includes_what_came_from_the_cache() -> None:
    """Contract 3.9: `prompt_eval_count` includes cached prompt tokens, which llama.cpp counts apart."""
    assert merge(Usage(), None, TIMINGS) == Usage(66, 25, 11_505_000, 287_855_000)


def test_an_older_llama_cpp_does_not_tell_what_was_cached() -> None:
    """Without `cache_n` the evaluated tokens are all that is known; without `prompt_n` nothing is."""
    assert merge(Usage(), None, {"prompt_n": 7}) == Usage(prompt_tokens=7)
    assert merge(Usage(), None, {"cache_n": 7}) == Usage()


def test_counts_of_usage_come_before_those_of_timings() -> None:
    """OpenAI's `usage` is what was asked for; llama.cpp's timings add what it does not say."""
    usage = {"prompt_tokens": 70, "completion_tokens": 30}
    assert merge(Usage(), usage, TIMINGS) == Usage(70, 30, 11_505_000, 287_855_000)
    assert merge(merge(Usage(), usage, None), None, TIMINGS) == Usage(70, 30, 11_505_000, 287_855_000)


def test_timings_with_every_token_grow() -> None:
    """llama.cpp with `timings_per_token` counts up in each chunk: the last one is the number."""
    known = Usage()
    for number in (1, 2, 3):
        known = merge(known, None, {"prompt_n": 5, "predicted_n": number, "predicted_ms": number * 10.0})
    assert known == Usage(5, 3, None, 30_000_000)


@pytest.mark.parametrize("value", [None, -1, "soon", float("nan"), float("inf"), 1e300, True, [1]], ids=repr)
def test_times_that_are_none_are_left_out(value: Any) -> None:
    """A time that makes no sense is measured here instead, and never overflows a client's 64 bits."""
    assert merge(Usage(), None, {"prompt_ms": value, "predicted_ms": value}) == Usage()


def test_the_longest_time_fits_in_64_bits() -> None:
    """Ollama's clients read durations as 64-bit nanoseconds."""
    longest = merge(Usage(), None, {"predicted_ms": 999_999_999_999}).completion_ns
    assert longest is not None
    assert 0 < longest < 2**63


@pytest.mark.parametrize("timings", [[], "fast", 1, {"predicted_n": "x"}], ids=repr)
def test_timings_of_another_shape_say_nothing(timings: Any) -> None:
    """Other backends may call something else `timings`."""
    assert merge(Usage(1, 2), None, timings) == Usage(1, 2)


COUNTS = st.none() | st.booleans() | st.floats() | st.text() | st.integers(-2, 2) | st.integers(10**12 - 2, 10**12 + 2)


@given(COUNTS, COUNTS, st.builds(Usage, *[st.none() | st.integers(0, 9)] * 4))
def test_two_counts_at_once_are_the_same_as_each_alone(prompt: object, completion: object, known: Usage) -> None:
    """H9: that both are whole numbers is told at a glance; what each says does not hang on the other."""
    one_by_one = merge(merge(known, {"prompt_tokens": prompt}, None), {"completion_tokens": completion}, None)
    assert merge(known, {"prompt_tokens": prompt, "completion_tokens": completion}, None) == one_by_one
