"""Answers to clients of HTTP/1.0."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace

import pytest
from starlette.types import Message, Receive, Scope, Send

from ollama_openai_proxy.serve.plain import Plain

KEEP = [(b"connection", b"Foo, Keep-Alive")]
LENGTH = [(b"Content-Length", b"2")]


async def answered(
    method: str, asked: Sequence[tuple[bytes, bytes]], status: int, headers: Sequence[tuple[bytes, bytes]]
) -> tuple[SimpleNamespace, list[Message]]:
    """Return what the server is told of the answer, and the answer."""
    cycle = SimpleNamespace(chunked_encoding=None, expected_content_length=0, keep_alive=False)
    sent: list[Message] = []

    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": b"ok"})

    async def receive() -> Message:
        raise AssertionError

    async def send(message: Message) -> None:
        sent.append(message)

    await Plain(app, cycle)({"type": "http", "method": method, "headers": asked}, receive, send)
    return cycle, sent


async def test_t3_a16_answer_without_a_length() -> None:
    """T3, A16: it is no answer in chunks, and ends with the connection though the client asks to keep it."""
    cycle, sent = await answered("POST", KEEP, 200, [])
    assert (cycle.chunked_encoding, cycle.expected_content_length, cycle.keep_alive) == (False, 2, False)
    assert sent[0]["headers"] == [(b"connection", b"close")]


@pytest.mark.parametrize(
    ("method", "asked", "status", "headers", "kept"),
    [
        ("GET", KEEP, 200, LENGTH, True),
        ("GET", [], 200, LENGTH, False),
        ("HEAD", KEEP, 200, [], True),
        ("GET", KEEP, 204, [], True),
        ("GET", KEEP, 200, [*LENGTH, (b"connection", b"close")], False),
    ],
)
async def test_a16_kept(
    method: str,
    asked: list[tuple[bytes, bytes]],
    status: int,
    headers: list[tuple[bytes, bytes]],
    kept: bool,
) -> None:
    """A16: a connection is kept if the client asks, the end of the answer is known, and nobody else wants its end."""
    cycle, sent = await answered(method, asked, status, headers)
    assert cycle.keep_alive is kept
    told = [value for name, value in sent[0]["headers"] if name == b"connection"]
    assert told == [b"keep-alive" if kept else b"close"]
