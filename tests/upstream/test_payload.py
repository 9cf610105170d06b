"""Large bodies reach the backend as they are, in pieces."""

from __future__ import annotations

import warnings

import pytest

from ollama_openai_proxy.call import Call
from ollama_openai_proxy.deadlines import Timeouts
from ollama_openai_proxy.upstream.client import Upstream
from ollama_openai_proxy.upstream.payload import Large, payload
from support.replies import body
from support.scripted import Hold, Pause, Reset
from support.scripted import Upstream as Backend

MIB = 1024 * 1024
BODY = b'{"model":"m","input":"' + bytes(range(35, 91)) * 40_000 + b'"}'


def test_small_bodies_are_bytes() -> None:
    """What is small needs no pieces, and what is empty is nothing."""
    assert payload(b"") is None
    assert payload(b"x" * MIB) == b"x" * MIB
    assert isinstance(payload(b"x" * (MIB + 1)), Large)


async def test_d9_j6_large_bodies() -> None:
    """D9, J6: a body of megabytes arrives whole and with its length, also when it is sent again."""
    async with Backend() as backend, Upstream(backend.url, "", Timeouts(), user_agent="a") as upstream:
        backend.script("m", body({}), (Reset(),), body({}))
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            for _ in range(2):  # the second finds the kept connection dead
                reply = await upstream.open(Call("/embeddings", BODY))
                assert await reply.read() == b"{}"
                assert await reply.read() == b""
                reply.close()
        assert [request.body == BODY for request in backend.posts] == [True] * 3
        assert all("transfer-encoding" not in request.headers for request in backend.posts)


async def test_the_reply_may_come_before_the_body_has_gone() -> None:
    """A backend that answers before it has read the body is heard."""
    async with Backend() as backend, Upstream(backend.url, "", Timeouts(), user_agent="a") as upstream:
        backend.greeting = (*body({"error": {"message": "too large"}}, 413), Pause(0.2), Hold())
        with pytest.raises(Exception, match="too large"):
            await upstream.open(Call("/embeddings", BODY * 10))


def test_its_text() -> None:
    """The body can be looked at, for aiohttp's own messages."""
    assert Large(b"abc").decode() == "abc"
    assert Large(b"abc").size == 3
