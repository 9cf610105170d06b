"""The options that limit: reliability 2.N, with its figures."""

from __future__ import annotations

import pytest

from ollama_openai_proxy.settings import Settings, SettingsError, load
from support.proxy import sealed

MIB = 2**20
# Reliability 2.N: the limit's setting, and its default.
DEFAULTS: dict[str, float] = {
    "header_timeout": 10,
    "body_timeout": 60,
    "body_min_rate": 1024,
    "max_header_size": 64 * 1024,
    "max_headers": 100,
    "max_url_size": 8 * 1024,
    "max_body_size": 32 * MIB,
    "client_keep_alive": 75,
    "write_timeout": 60,
    "connect_timeout": 5,
    "first_byte_timeout": 300,
    "idle_timeout": 120,
    "progress_timeout": 600,
    "stream_timeout": 0,
    "upstream_keep_alive": 2,
    "max_active_requests": 1000,
    "ollama_max_queue": 512,
    "queue_timeout": 30,
    "connect_retries": 2,
    "status_retries": 0,
    "retry_budget": 0.2,
    "breaker_failures": 5,
    "breaker_pause": 15,
    "max_event_size": 16 * MIB,
    "max_response_size": 64 * MIB,
    "max_error_size": 64 * 1024,
    "error_timeout": 5,
}


@pytest.mark.parametrize("name", DEFAULTS)
def test_default(name: str) -> None:
    """2.N: a limit that nobody set has its default."""
    assert getattr(sealed(), name) == DEFAULTS[name]


def given_to_parts(loaded: Settings) -> dict[str, float]:
    """Each limit of reliability 2.N, as the part of the proxy is given it that keeps it."""
    upstream, timeouts, client = loaded.upstream_limits, loaded.timeouts, loaded.client_limits
    return {
        "connect_timeout": timeouts.connect,
        "first_byte_timeout": timeouts.first_byte,
        "idle_timeout": timeouts.idle,
        "progress_timeout": timeouts.progress,
        "stream_timeout": timeouts.stream,
        "upstream_keep_alive": upstream.keep_alive,
        "max_event_size": upstream.reply.event,
        "max_response_size": upstream.reply.whole,
        "max_error_size": upstream.reply.error,
        "error_timeout": upstream.reply.error_seconds,
        "connect_retries": upstream.retry.connect,
        "status_retries": upstream.retry.status,
        "retry_budget": upstream.retry.budget,
        "breaker_failures": upstream.breaker.failures,
        "breaker_pause": upstream.breaker.pause,
        "max_active_requests": loaded.admission_limits.active,
        "ollama_max_queue": loaded.admission_limits.queue,
        "queue_timeout": loaded.admission_limits.wait,
        "max_body_size": loaded.body_limits.size,
        "body_timeout": loaded.body_limits.timeout,
        "body_min_rate": loaded.body_limits.min_rate,
        "header_timeout": client.header_timeout,
        "max_header_size": client.header_size,
        "max_headers": client.headers,
        "max_url_size": client.url_size,
        "client_keep_alive": client.keep_alive,
        "write_timeout": client.write_timeout,
    }


def test_each_reaches_its_part() -> None:
    """A limit that was set is the one that the part of the proxy is given which keeps it."""
    # Any two differ, so that none can be given in place of another.
    values: dict[str, float] = {
        name: index + 1024 for index, name in enumerate(sorted(DEFAULTS)) if DEFAULTS[name] >= 30
    }
    values |= {name: index + 1 for index, name in enumerate(sorted({*DEFAULTS} - {*values}))} | {"retry_budget": 0.5}
    loaded = sealed(**values, max_active_per_client=900, memory_limit_percent=99, max_connections=901)
    assert given_to_parts(loaded) == values
    assert (loaded.admission_limits.per_client, loaded.admission_limits.memory_percent) == (900, 99)
    assert loaded.client_limits.connections == 901


@pytest.mark.parametrize("value", ["", "abc", "-1", "inf", "nan", "1e9"])
@pytest.mark.parametrize("name", DEFAULTS)
def test_l11_malformed(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """L11: a limit that is no number, or one out of range, stops the start with a line that names the variable."""
    monkeypatch.setenv(name.upper(), value)
    with pytest.raises(SettingsError, match=name.upper()):
        load()
