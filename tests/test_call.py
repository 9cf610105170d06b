"""A call to the backend, and the watcher that watches nothing."""

from __future__ import annotations

from ollama_openai_proxy.call import Call, Unwatched
from ollama_openai_proxy.errors import UpstreamBroken


def test_nothing_is_needed() -> None:
    """A path makes a call; to be told of its attempts, one says so."""
    call = Call("/models")
    assert (call.body, call.headers, call.streamed) == (b"", (), False)
    call.on_attempt()


def test_unwatched() -> None:
    """Whatever happens, the default watcher takes it."""
    nobody = Unwatched()
    nobody.attempted()
    nobody.connected(reused=True)
    nobody.retried("stale_connection")
    nobody.retry_refused()
    nobody.breaker("open")
    nobody.ended(Call("/models"), None)
    nobody.ended(Call("/models"), UpstreamBroken("cut"))
