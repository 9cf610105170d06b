"""How requests are read: states that rows of the fault specification do not name."""

from __future__ import annotations

import asyncio

import pytest
from starlette.types import Message, Receive, Scope, Send

from ollama_openai_proxy.limits import ClientLimits
from ollama_openai_proxy.serve.server import serving
from support.rawclient import RawClient
from support.waiting import eventually


class App:
    """An application that answers with what it was sent; `received` are the messages of its last request."""

    def __init__(self) -> None:
        self.scopes: list[Scope] = []
        self.received: list[Message] = []
        self.go = asyncio.Event()
        self.go.set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            for stage in ("startup", "shutdown"):
                await receive()
                await send({"type": f"lifespan.{stage}.complete"})
            return
        self.scopes.append(scope)
        self.received = []
        await self.go.wait()
        while not self.received or self.received[-1].get("more_body"):
            self.received.append(await receive())
        body = b"".join(message.get("body", b"") for message in self.received)
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
        await send({"type": "http.response.body", "body": body})


async def test_body_that_turns_out_bad() -> None:
    """Who waits for a body that turns out bad learns that no more of it comes."""
    app = App()
    async with serving(app) as url, RawClient(url) as client:
        await client.send(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n")
        await eventually(lambda: app.received)
        await client.send(b"zz\r\n")
        assert (await client.response()).status == 400
        await eventually(lambda: app.received[-1]["type"] == "http.disconnect")


async def test_bad_body_of_a_request_in_line() -> None:
    """A request whose body turns out bad before it began never begins; those before it are answered."""
    app = App()
    app.go.clear()
    async with serving(app) as url, RawClient(url) as client:
        await client.ask("GET", "/first")
        await eventually(lambda: app.scopes)
        await client.ask("GET", "/second")
        await client.send(b"POST /third HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\nzz\r\n")
        await client.send(b"GET /fourth HTTP/1.1\r\nHost: a\r\n\r\n")
        app.go.set()
        for _ in range(2):
            assert (await client.response()).status == 200
        assert await client.read_to_end() == b""
        assert [scope["path"] for scope in app.scopes] == ["/first", "/second"]


async def test_nothing_follows_the_last_request() -> None:
    """RFC 9112, 9.6: after a request that says `close`, in any spelling, nothing is read as another one."""
    app = App()
    async with serving(app) as url, RawClient(url) as client:
        await client.send(
            b"GET /1 HTTP/1.1\r\nHost: a\r\nConnection: Close, x\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n"
        )
        assert (await client.response()).status == 200
        assert await client.read_to_end() == b""
        assert [scope["path"] for scope in app.scopes] == ["/1"]


@pytest.mark.parametrize("size", [1, 7, 100_000])
async def test_pieces(size: int) -> None:
    """Requests are the same requests in whatever pieces they come."""
    app = App()
    one = (
        b"POST /a?b=c HTTP/1.1\r\nHost: a\r\nX: y\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
    )
    data = one + b"\r\n" + one.replace(b"/a", b"http://a/a") + b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n"
    async with serving(app) as url, RawClient(url) as client:
        for start in range(0, len(data), size):
            await client.send(data[start : start + size])
        for body in (b"abcde", b"abcde", b""):
            assert (await client.response()).body == body
    assert [(scope["path"], scope["query_string"]) for scope in app.scopes] == [("/a", b"b=c")] * 2 + [("*", b"")]
    assert [name for name, _ in app.scopes[0]["headers"]] == [b"host", b"x", b"transfer-encoding"]


async def test_chunks_of_a_byte() -> None:
    """A body in the smallest chunks has much beside its bytes, and is none to refuse."""
    app = App()
    async with serving(app) as url, RawClient(url) as client:
        await client.send(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1\r\na\r\n" * 50_000)
        await client.send(b"0\r\n\r\n")
        assert (await client.response()).body == b"a" * 50_000


async def test_late_head_behind_a_running_request() -> None:
    """A head that is not whole in time does not spoil the answer to the request before it; it ends the connection."""
    app = App()
    app.go.clear()
    async with serving(app, limits=ClientLimits(header_timeout=0.3)) as url, RawClient(url) as client:
        await client.ask("GET", "/first")
        await client.send(b"GET /sec")
        await eventually(lambda: app.scopes)
        await asyncio.sleep(0.6)
        app.go.set()
        assert (await client.response()).status == 200
        assert await client.read_to_end() == b""
