"""Request bodies: whatever their type claims, and never more than the limit."""

from __future__ import annotations

import asyncio
import json

import pytest
from starlette.requests import Request
from starlette.types import Message, Receive

from ollama_openai_proxy.errors import InvalidRequest
from ollama_openai_proxy.limits import BodyLimits
from ollama_openai_proxy.observe.record import Record
from ollama_openai_proxy.observe.tracing import UNTRACED
from ollama_openai_proxy.serve.body import Lingering, read_body
from ollama_openai_proxy.serve.ollama import render
from ollama_openai_proxy.serve.recorder import Told
from support.proxy import HELLO, chat, proxied
from support.replies import HI


async def read(request: Request, limits: BodyLimits) -> bytes:
    body = read_body(request, limits)
    return body if isinstance(body, bytes) else await body


TOO_LARGE = {"error": "request body too large"}


@pytest.mark.parametrize(
    "content_type",
    [
        None,
        "application/json",
        "application/x-www-form-urlencoded",
        "text/plain",
        "application/octet-stream",
        "multipart/form-data; boundary=x",
        "application/json; charset=latin-1",
        "nonsense",
    ],
)
async def test_b5_content_type_does_not_matter(content_type: str | None) -> None:
    """R1, B5: a body is JSON whatever its Content-Type says, or without one."""
    async with proxied() as proxy:
        proxy.upstream.script("m", HI)
        headers = [f"Content-Type: {content_type}"] if content_type else []
        response = await proxy.ask("POST", "/api/chat", chat(), *headers)
        assert response.status == 200
        assert proxy.upstream.posts[0].json["messages"] == HELLO


async def test_accept_does_not_matter() -> None:
    """R1: clients ask for application/json while they stream, or for anything else."""
    async with proxied() as proxy:
        proxy.upstream.script("m", HI)
        response = await proxy.ask("POST", "/api/chat", chat(), "Accept: text/html")
        assert response.all("content-type") == ["application/x-ndjson"]


@pytest.mark.parametrize("body", [b"", b" \r\n\t "], ids=["empty", "blank"])
@pytest.mark.parametrize("path", ["/api/chat", "/api/generate", "/api/embed", "/api/embeddings", "/api/show"])
async def test_b1_empty_body(path: str, body: bytes) -> None:
    """B1: an empty body is 400 with Ollama's words on every route that reads one (contract 1.7)."""
    async with proxied() as proxy:
        response = await proxy.ask("POST", path, body)
        assert (response.status, response.json) == (400, {"error": "missing request body"})
        assert response.all("content-type") == ["application/json; charset=utf-8"]


async def test_b1_no_content_length() -> None:
    """B1: a POST with neither length nor chunks has an empty body."""
    async with proxied() as proxy, proxy.client() as client:
        await client.send(b"POST /api/chat HTTP/1.1\r\nHost: localhost\r\n\r\n")
        response = await client.response()
        assert (response.status, response.json) == (400, {"error": "missing request body"})


def padded(size: int) -> bytes:
    """Return a chat request of exactly so many bytes."""
    data = json.dumps(chat()).encode()
    return data + b" " * (size - len(data))


@pytest.mark.parametrize(("size", "status"), [(4096, 200), (4097, 413)])
async def test_a14_limit_by_content_length(size: int, status: int) -> None:
    """A14: a body of exactly the limit is taken, one byte more is 413."""
    async with proxied(max_body_size=4096) as proxy:
        proxy.upstream.script("m", HI)
        response = await proxy.ask("POST", "/api/chat", padded(size))
        assert response.status == status
        assert status == 200 or response.json == TOO_LARGE
        assert len(proxy.upstream.posts) == (status == 200)


async def test_a14_limit_is_known_before_the_body() -> None:
    """A14: a length above the limit is 413 before a byte of the body is sent."""
    async with proxied(max_body_size=4096) as proxy, proxy.client() as client:
        await client.send(b"POST /api/chat HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000000\r\n\r\n")
        response = await client.response()
        assert (response.status, response.json) == (413, TOO_LARGE)


@pytest.mark.parametrize(("size", "status"), [(4096, 200), (4097, 413)])
async def test_a14_limit_of_a_chunked_body(size: int, status: int) -> None:
    """A14: a body in chunks, which tells no length, has the same limit."""
    async with proxied(max_body_size=4096) as proxy, proxy.client() as client:
        proxy.upstream.script("m", HI)
        await client.send(b"POST /api/chat HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n")
        data = padded(size)
        for start in range(0, size, 1000):
            part = data[start : start + 1000]
            await client.send(b"%x\r\n%b\r\n" % (len(part), part))
        if status == 200:
            await client.send(b"0\r\n\r\n")
        response = await client.response()
        assert response.status == status
        assert status == 200 or response.json == TOO_LARGE


@pytest.mark.parametrize("chunked", [False, True])
async def test_a14_client_that_sends_before_it_reads(chunked: bool) -> None:
    """A14: who sends far more than the limit, and only then reads, gets the answer and a close, not a reset."""
    size, part = 8 * 1024 * 1024, b" " * 65536
    framing = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {size}"
    async with proxied(max_body_size=4096) as proxy, proxy.client() as client:
        await client.send(f"POST /api/chat HTTP/1.1\r\nHost: localhost\r\n{framing}\r\n\r\n".encode())
        for _ in range(size // len(part)):
            await client.send(b"10000\r\n%b\r\n" % part if chunked else part)
        await client.send(b"0\r\n\r\n" if chunked else b"")
        response = await client.response()
        assert (response.status, response.json) == (413, TOO_LARGE)
        assert response.all("connection") == ["close"]
        assert await client.read_to_end() == b""
        assert proxy.upstream.posts == []


async def test_a14_answer_does_not_wait_for_the_body() -> None:
    """A14: the whole answer is there while the client is still sending, or stalls."""
    async with proxied(max_body_size=4096) as proxy, proxy.client() as client:
        await client.send(b"POST /api/chat HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9000\r\n\r\n" + b" " * 5000)
        response = await client.response()
        assert (response.status, response.json) == (413, TOO_LARGE)
        client.half_close()
        assert await client.read_to_end() == b""


async def test_client_that_asks_before_it_sends() -> None:
    """RFC 9110, 10.1.1: a client that waits for 100 gets the final status in its place, and nothing after it."""
    async with proxied(max_body_size=4096) as proxy, proxy.client() as client:
        head = b"POST /api/chat HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 5000\r\n\r\n"
        await client.send(head)
        assert (await client.response()).status == 413
        client.half_close()
        assert await client.read_to_end() == b""


async def test_a14_body_without_end_is_cut() -> None:
    """A14: what is thrown away of a refused body has a limit, too: then the connection is closed."""
    received = 0

    async def endless() -> Message:
        nonlocal received
        received += 1024 * 1024
        return {"type": "http.request", "body": bytes(1024 * 1024), "more_body": True}

    assert await told(Lingering(b"{}", 413), endless) == (b"{}", [True, False])
    assert received == 64 * 1024 * 1024


async def test_a14_stalled_body_is_cut() -> None:
    """A14: and who sends nothing more is waited for only so long."""

    class Hurried(Lingering):
        patience = 0.01

    async def stalled() -> Message:
        await asyncio.Event().wait()
        raise AssertionError

    assert await told(Hurried(b"{}", 413), stalled) == (b"{}", [True, False])


def asked(receive: Receive) -> Request:
    return Request({"type": "http", "method": "POST", "headers": []}, receive)


async def test_a3_body_that_stalls_is_given_up() -> None:
    """Everything that waits has a deadline: who begins a body and sends no more of it gets 408, RFC 9110, 15.5.9."""
    parts = iter([{"type": "http.request", "body": b"{", "more_body": True}])

    async def receive() -> Message:
        for part in parts:
            return part
        await asyncio.Event().wait()
        raise AssertionError

    with pytest.raises(InvalidRequest) as raised:
        await read(asked(receive), BodyLimits(4096, 0.01))
    assert (raised.value.status, raised.value.outcome) == (408, "client_timeout")


async def test_a3_body_that_drips_is_given_up() -> None:
    """A body that makes less than the least rate is given up: a byte now and then holds no request open for ever."""
    received = 0

    async def receive() -> Message:
        nonlocal received
        received += 1
        await asyncio.sleep(0)
        return {"type": "http.request", "body": b" ", "more_body": received < 1_000_000}

    with pytest.raises(InvalidRequest) as raised:
        await read(asked(receive), BodyLimits(2**31, 0.02, 10**9))
    assert (raised.value.status, raised.value.outcome) == (408, "client_timeout")
    assert received > 1


async def test_a3_body_that_comes_slowly_is_read() -> None:
    """Each part begins the wait anew, as long as the rate is kept."""
    parts = [b"a", b"b", b"c", b"d"]

    async def receive() -> Message:
        await asyncio.sleep(0.25)
        return {"type": "http.request", "body": parts.pop(0), "more_body": len(parts) > 0}

    assert await read(asked(receive), BodyLimits(4096, 0.9, 3)) == b"abcd"


def test_answer_to_who_was_too_slow() -> None:
    """RFC 9110, 15.5.9: a 408 closes the connection, for the rest of the body may still come."""
    error = InvalidRequest("x", status=408, outcome="client_timeout")
    scope = {"type": "http", "path": "/api/chat", "told": Told(Record("id-1"), UNTRACED, lambda: None)}
    response = render(scope, error)
    assert isinstance(response, Lingering)
    assert (response.status_code, response.headers["connection"], response.body) == (408, "close", b'{"error":"x"}')


async def told(response: Lingering, receive: Receive) -> tuple[bytes, list[bool]]:
    """Return the body, and after each part of it whether more may come."""
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    await response({"type": "http"}, receive, send)
    parts = sent[1:]
    return b"".join(part["body"] for part in parts), [part.get("more_body", False) for part in parts]


async def test_parts_are_joined_in_order() -> None:
    """A body that comes in many pieces, cut within characters, is the same body."""
    text = "héllo 日本語 🌍"
    data = json.dumps(chat(messages=[{"role": "user", "content": text}]), ensure_ascii=False).encode()
    async with proxied() as proxy, proxy.client() as client:
        proxy.upstream.script("m", HI)
        await client.send(b"POST /api/chat HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n")
        for byte in data:
            await client.send(b"1\r\n%c\r\n" % byte)
        await client.send(b"0\r\n\r\n")
        assert (await client.response()).status == 200
        assert proxy.upstream.posts[0].json["messages"][0]["content"] == text


async def test_b2_t20_nothing_of_the_body_is_echoed() -> None:
    """B2, T20: what can't be parsed is 400 without a word of the prompt."""
    async with proxied() as proxy:
        response = await proxy.ask("POST", "/api/chat", b'{"model":"m","messages":[{"content":"my-secret-prompt"')
        assert (response.status, response.json) == (400, {"error": "unexpected EOF"})


@pytest.mark.parametrize("came", [[], [b'{"model":', b'"m"}']])
async def test_body_of_a_client_that_leaves(came: list[bytes]) -> None:
    """What came before a client left is no body, whether it reads as one or not: nobody is there for an answer."""
    messages: list[Message] = [{"type": "http.request", "body": part, "more_body": True} for part in came]

    async def receive() -> Message:
        return messages.pop(0) if messages else {"type": "http.disconnect"}

    with pytest.raises(InvalidRequest) as caught:
        await read(Request({"type": "http", "headers": []}, receive), BodyLimits())
    assert (caught.value.status, caught.value.outcome) == (499, "client_abort")
