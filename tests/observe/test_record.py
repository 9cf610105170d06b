"""What is known of an exchange: its times."""

from __future__ import annotations

import time

import pytest

from ollama_openai_proxy.observe.record import Record


def test_sent() -> None:
    """Bytes add up; the first and the last are dated."""
    record = Record("id")
    record.sent(3)
    first = record.first_byte
    record.sent(4)
    assert record.bytes_out == 7
    assert record.first_byte == first
    assert first is not None
    assert record.last_byte is not None
    assert record.last_byte >= first


def test_attempts() -> None:
    """Each attempt counts; the upstream is asked at the first."""
    record = Record("id")
    record.attempted()
    asked = record.asked
    record.attempted()
    assert (record.attempts, record.asked) == (2, asked)


def test_duration_of_an_answer() -> None:
    """A whole answer has lasted until its last byte, whatever trailed after it."""
    record = Record("id", outcome="ok", started=1_000, last_byte=5_000, ended=900_000)
    assert record.duration == 4_000


def test_duration_of_a_failure() -> None:
    """What failed has lasted until its end."""
    record = Record("id", outcome="up_reset", started=1_000, last_byte=5_000, ended=900_000)
    assert record.duration == 899_000


def test_added() -> None:
    """The proxy's own part is what it took, less what it waited; never less than nothing."""
    record = Record("id", outcome="ok", started=time.perf_counter_ns() - 10_000_000, waited=4_000_000)
    record.last_byte = record.started + 10_000_000
    record.end()
    assert record.added == 6_000_000
    record.waited = 11_000_000
    record.end()
    assert record.added == 0
    assert record.so_far() >= 0


def test_waiting() -> None:
    """What the exchange waits is added up, however the wait ends."""
    record = Record("id")
    with record.waiting():
        assert record.waited == 0
    once = record.waited
    with pytest.raises(LookupError), record.waiting():
        raise LookupError
    assert 0 < once < record.waited
