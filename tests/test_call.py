"""A call to the backend, and the watcher that watches nothing."""

from __future__ import annotations

from ollama_openai_proxy.call import Call, Unwatched
from ollama_openai_proxy.errors import UpstreamBroken


def test_nothing_is_needed() -> None:
    """A path makes a call; to be told of its attempts, one says so."""
    call = Call("/models")
    assert (call.body, call.headers, call.streamed) == (b"", (), False)
    call.on_attempt()


def test_tied() -> None:
    """A call that is tied to a request is the same but for its headers, and for who is told of its attempts."""
    told: list[str] = []
    call = Call("/embeddings", b"{}", "m", too_long="too long", aside=True, max_reply=7)
    tied = call.tied((("X-Request-Id", "1"),), lambda: told.append("sent"))
    tied.on_attempt()
    assert told == ["sent"]
    assert tied._replace(headers=(), on_attempt=call.on_attempt) == call
    assert tied.headers == (("X-Request-Id", "1"),)


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
