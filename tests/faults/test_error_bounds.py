"""Errors of backends at their edges: odd statuses and waits, words that must not get out (I19, I20, J1, J2, M8)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
import pytest_asyncio

from support.proxy import KEY, Proxy, proxied
from support.replies import HI, body, completion, event, streamed
from support.scripted import Close, Send

pytestmark = pytest.mark.asyncio(loop_scope="module")

JSON = "Content-Type: application/json"
NO = {"error": {"message": "no"}}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def proxy() -> AsyncIterator[Proxy]:
    async with proxied(breaker_failures=0) as running:
        yield running


async def test_i20_every_status(proxy: Proxy) -> None:
    """I20: whatever the status, the client gets one that HTTP has, a JSON error, and never an internal error."""
    for status in (*range(300, 600), 600, 999):
        proxy.upstream.script("m", body(NO, status) if status != 304 else (Send(b"HTTP/1.1 304 X\r\n\r\n"), Close()))
        response = await proxy.chat()
        assert 400 <= response.status < 520, status
        assert response.status != 401, status
        assert list(response.json) == ["error"], status
        assert status < 400 or status in (401, 404, 407) or response.json == {"error": "no"}, status
        assert response.status == status or status not in (400, 402, 404, 408, 409, 418, 429, 451, 500, 502, 503, 504)


@pytest.mark.parametrize("status", [200, 201, 203, 206, 226, 299])
async def test_i20_every_success(proxy: Proxy, status: int) -> None:
    """I20: any 2xx with a body that is an answer is one."""
    proxy.upstream.script("m", body(completion("Hi"), status))
    for stream in (True, False):
        assert (await proxy.chat(stream=stream)).status == 200


@pytest.mark.parametrize("status", [200, 204, 205])
async def test_i20_success_without_a_body(proxy: Proxy, status: int) -> None:
    """I20: and one without is a failure."""
    framing = b"" if status == 204 else b"Content-Length: 0\r\n"
    proxy.upstream.script("m", (Send(b"HTTP/1.1 %d X\r\n%b\r\n" % (status, framing)), Close()))
    response = await proxy.chat()
    assert (response.status, list(response.json)) == (502, ["error"])


@pytest.mark.parametrize("start", [b"HTTP/1.1 000 X", b"HTTP/1.1 99 X", b"HTTP/1.1 -1 X", b"HTTP/1.1 abc X"])
async def test_i20_no_status(proxy: Proxy, start: bytes) -> None:
    """I20: what is no status at all is a bad gateway."""
    proxy.upstream.script("m", (Send(start + b"\r\nContent-Length: 0\r\n\r\n"), Close()))
    response = await proxy.chat()
    assert (response.status, list(response.json)) == (502, ["error"])


def date(seconds: float) -> str:
    return (datetime.now(UTC) + timedelta(seconds=seconds)).strftime("%a, %d %b %Y %H:%M:%S GMT")


WAITS: dict[str, tuple[list[str], list[str]]] = {
    "seconds": (["Retry-After: 7"], ["7"]),
    "at once": (["Retry-After: 0"], ["0"]),
    "a fraction": (["Retry-After: 1.5"], ["2"]),
    "years": (["Retry-After: 1000000000"], ["3600"]),
    "negative": (["Retry-After: -1"], []),
    "words": (["Retry-After: soon"], []),
    "no number": (["Retry-After: nan"], []),
    "bytes": (["Retry-After: \xff"], []),
    "nothing": ([], []),
    "two": (["Retry-After: 7", "Retry-After: 9"], ["7"]),
    "a date that is past": (["Retry-After: Wed, 21 Oct 2015 07:28:00 GMT"], ["0"]),
    "a date far off": (["Retry-After: Thu, 21 Oct 2199 07:28:00 GMT"], ["3600"]),
    "milliseconds": (["retry-after-ms: 2500"], ["3"]),
    "milliseconds and seconds": (["retry-after-ms: 2500", "Retry-After: 60"], ["3"]),
    "a limit": (["x-ratelimit-reset-requests: 1m30s"], ["90"]),
    "the limit that is used up": (
        [
            *("x-ratelimit-remaining-tokens: 0", "x-ratelimit-reset-tokens: 6m0s"),
            *("x-ratelimit-remaining-requests: 9", "x-ratelimit-reset-requests: 1h"),
        ],
        ["360"],
    ),
}


@pytest.mark.parametrize(("headers", "told"), WAITS.values(), ids=WAITS.keys())
async def test_j1_j2_retry_after(proxy: Proxy, headers: list[str], told: list[str]) -> None:
    """J1, J2: a wait is told in whole seconds up to an hour, once, and left out when it is nonsense."""
    proxy.upstream.script("m", body(NO, 429, JSON, *headers))
    for stream in (True, False):
        response = await proxy.chat(stream=stream)
        assert (response.status, response.json, response.all("retry-after")) == (429, {"error": "no"}, told)


async def test_j2_date_to_come(proxy: Proxy) -> None:
    """J2: a date becomes the seconds until then."""
    proxy.upstream.script("m", body(NO, 503, JSON, f"Retry-After: {date(60)}"))
    (told,) = (await proxy.chat()).all("retry-after")
    assert 50 <= int(told) <= 60


PRIVATE = f"bad key {KEY} at http://user:pw@10.0.0.7:8000/v1\r\nSet-Cookie: a=b\x1b[31m sk-theirs-0123 Bearer abc.def "


@pytest.mark.parametrize("length", [0, 2000, 1_000_000])
async def test_i19_nothing_private_is_told(caplog: pytest.LogCaptureFixture, proxy: Proxy, length: int) -> None:
    """I19: our key, URLs and line breaks in an upstream's words reach neither the client nor the log."""
    caplog.set_level(logging.DEBUG)
    shape = {"error": {"message": PRIVATE + "x" * length}}
    for steps in (body(shape, 400), streamed(event(shape)), body(shape, 200), streamed(*event_after_text(shape))):
        proxy.upstream.script("m", steps)
        response = await proxy.chat()
        message = response.lines[-1]["error"] if response.status == 200 else response.json["error"]
        # Of a refusal's body only so much is read: JSON that was cut by it has no words.
        cut = length > 64 * 1024 and response.status == 400
        assert message.startswith("the upstream answered" if cut else "bad key [key] at [url] Set-Cookie: a=b")
        assert len(message) <= 500
        assert message.isprintable()
        assert response.all("set-cookie") == []
        whole = f"{response.headers} {response.body.decode()}"
        assert [word for word in (KEY, "10.0.0.7", "pw@", "sk-theirs", "abc.def") if word in whole] == []
    assert [word for word in (KEY, "10.0.0.7", "sk-theirs") if word in caplog.text] == []


def event_after_text(shape: object) -> tuple[bytes, bytes]:
    return event({"choices": [{"index": 0, "delta": {"content": "Hi"}}]}), event(shape)


HOSTILE = {
    "exceeds": "exceed" * 10_000,
    "urls": "a+" * 30_000,
    "schemes": "a://" * 15_000,
    "keys": "sk-" * 20_000,
    "bearers": "Bearer " * 9_000,
    "markup": "<" * 60_000,
    "space": " \n" * 30_000,
    "too long": "context length" * 4_000,
    "nested": '{"error":' * 7_000,
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
async def test_m8_hostile_words(proxy: Proxy, text: str) -> None:
    """M8: no words of a backend, in its message, its code or its type, take long to look through."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    for shape in ({"error": {"message": text}}, {"error": {"message": "no", "type": text[:50_000]}}):
        proxy.upstream.script("m", body(shape, 400), HI)
        assert (await proxy.chat()).status == 400
    assert loop.time() - began < 2.0  # the matrix asks for 50 ms; what is quadratic takes minutes
