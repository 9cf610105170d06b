"""What is wrong with the head of the upstream's answer (reliability 2.E): always a status, never a stream."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from support.proxy import KEY, chat, proxied
from support.replies import DONE, HI, SSE, body, completion, finish, text, usage
from support.scripted import Chunk, Close, End, Hold, Reset, Send, Status, Step, Upstream

SSE_HEAD = b"Content-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
EVENTS = text("Hi") + finish() + usage() + DONE
PAGE = b"<!DOCTYPE html><html><body>Sign in to the network</body></html>"

BROKEN: dict[str, tuple[Sequence[Step], str]] = {
    "E3 half a status line, then FIN": ((Send(b"HTTP/1.1 20"), Close()), "invalid response from upstream"),
    "E3 half a header, then FIN": (
        (Send(b"HTTP/1.1 200 OK\r\nContent-Ty"), Close()),
        "invalid response from upstream",
    ),
    "E4 not HTTP": ((Send(b"SSH-2.0-OpenSSH_9.6\r\n"), Hold()), "invalid response from upstream"),
    "E4 HTTP/0.9": ((Send(b'{"choices":[]}\r\n'), Close()), "invalid response from upstream"),
    "E5 a header of 300 KB": (
        (Status(200, "X-Long: " + "x" * 300_000, "Content-Length: 0"), Hold()),
        "invalid response from upstream",
    ),
    "E6 two lengths": (
        (Status(200, "Content-Length: 5", "Content-Length: 6"), Send(b"hello!"), Hold()),
        "invalid response from upstream",
    ),
    "E6 a length that is no number": ((Status(200, "Content-Length: ten"), Hold()), "invalid response from upstream"),
    "E9 switching protocols": (
        (Status(101, "Connection: upgrade", "Upgrade: websocket"), Hold()),
        "invalid response from upstream",
    ),
    "E10 no content": ((Status(204),), "empty response from upstream"),
    "E10 not modified": ((Status(304),), "empty response from upstream"),
    "E10 an empty stream": ((SSE, End()), "empty response from upstream"),
    "E10 an empty body": (body(b""), "empty response from upstream"),
    "E14 a page": (body(PAGE, 200, "Content-Type: text/html"), "unexpected content type from upstream"),
    "E14 a page without a type": (body(PAGE, 200, "X-Cache: MISS"), "unexpected content type from upstream"),
    "E16 gzip": (
        body(b"\x1f\x8b\x08\x00", 200, "Content-Type: application/json", "Content-Encoding: gzip"),
        "unexpected content encoding from upstream",
    ),
}


@pytest.mark.parametrize(("steps", "message"), BROKEN.values(), ids=BROKEN.keys())
async def test_broken_head(steps: Sequence[Step], message: str) -> None:
    """An answer that is none is 502 with a message of ours, whether a stream was asked for or not."""
    async with proxied() as proxy:
        proxy.upstream.script("m", steps)
        for stream in (True, False):
            response = await proxy.chat(stream=stream)
            assert (response.status, response.json) == (502, {"error": message})
            assert response.all("content-type") == ["application/json" if stream else "application/json; charset=utf-8"]
        assert len(proxy.upstream.posts) == 2


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_e11_t18_redirects_are_not_followed(status: int) -> None:
    """E11, T18: a redirect to another host is 502; neither the body nor the key reaches that host."""
    async with Upstream() as elsewhere, proxied() as proxy:
        location = f"Location: {elsewhere.url}/chat/completions"
        proxy.upstream.script("m", body(b"", status, location))
        response = await proxy.chat()
        assert response.status == 502
        assert response.json == {"error": "the upstream redirected; check its base URL"}
        assert elsewhere.accepted == 0


async def test_e11_redirect_to_itself() -> None:
    """E11: a redirect to the same host is not followed either, so that it can't loop."""
    async with proxied() as proxy:
        proxy.upstream.script("m", body(b"", 307, "Location: /v1/chat/completions"))
        assert (await proxy.chat()).status == 502
        assert len(proxy.upstream.posts) == 1


TOLERATED: dict[str, Sequence[Step]] = {
    "E5 a header of 32 KB": (
        Status(200, "Content-Type: text/event-stream", "X-Long: " + "x" * 32_000, "Transfer-Encoding: chunked"),
        Chunk(EVENTS),
        End(),
    ),
    "E5 a reason of 32 KB": (Send(b"HTTP/1.1 200 " + b"x" * 32_000 + b"\r\n" + SSE_HEAD), Chunk(EVENTS), End()),
    "E8 interim answers": (Send(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" * 3), *HI),
    "E12 HTTP/1.0, ended by the close": (
        Send(b"HTTP/1.0 200 OK\r\nContent-Type: text/event-stream\r\n\r\n" + EVENTS),
        Close(),
    ),
    "E13 whole although a stream was asked for": body(completion("Hi")),
    "E15 text/plain": body(EVENTS, 200, "Content-Type: text/plain"),
    "E15 no content type": body(EVENTS, 200, "X-Served-By: a"),
    "E15 a charset": body(EVENTS, 200, "Content-Type: text/event-stream;charset=utf8"),
    "E15 capitals": body(EVENTS, 200, "Content-Type: Text/Event-Stream"),
    "I20 201": body(completion("Hi"), 201),
    "E16 identity": body(EVENTS, 200, "Content-Type: text/event-stream", "Content-Encoding: identity"),
}


@pytest.mark.parametrize("steps", TOLERATED.values(), ids=TOLERATED.keys())
async def test_tolerated_head(steps: Sequence[Step]) -> None:
    """What is odd but plain in meaning is answered: the text, then one line that is done."""
    async with proxied() as proxy:
        proxy.upstream.script("m", steps)
        response = await proxy.chat()
        assert response.status == 200
        assert [(line["message"]["content"], line["done"]) for line in response.lines] == [("Hi", False), ("", True)]


async def test_e12_end_of_http_1_0_is_no_success() -> None:
    """E12: where only the close ends the body, a close without a finish reason is a cut."""
    async with proxied() as proxy:
        cut = (Send(b"HTTP/1.0 200 OK\r\nContent-Type: text/event-stream\r\n\r\n" + text("Hi")), Close())
        proxy.upstream.script("m", cut)
        lines = (await proxy.chat()).lines
        assert lines[-1] == {"error": "the upstream closed the stream before finishing"}
        assert not any(line.get("done") for line in lines)


@pytest.mark.parametrize("status", [200, 500])
async def test_e17_upstream_headers_stay_there(status: int) -> None:
    """E17: nothing of the upstream's headers is copied, cookies above all, and Retry-After only in errors."""
    private = ("Set-Cookie: session=secret", "Server: backend", "Alt-Svc: h3", "X-Request-Id: theirs", "X-Ours: no")
    async with proxied() as proxy:
        answer = completion() if status == 200 else {"error": {"message": "no"}}
        proxy.upstream.script("m", body(answer, status, "Content-Type: application/json", *private))
        response = await proxy.chat(stream=False)
        assert response.status == status
        names = {name for name, _ in response.headers}
        assert names == {"content-type", "content-length", "date", "x-request-id"}
        assert response.header("x-request-id") != "theirs"


async def test_client_headers_stay_here() -> None:
    """R17, A21: the client's credentials, cookies and connection headers do not reach the upstream; our key does."""
    given = (
        "Authorization: Bearer client-secret",
        "Cookie: a=b",
        "X-Api-Key: client-secret",
        "Proxy-Authorization: Basic client-secret",
        "X-Forwarded-For: 10.1.2.3",
        "Accept-Encoding: gzip, br",
        "TE: trailers",
        "User-Agent: client/1",
        "X-Custom: client-secret",
    )
    async with proxied() as proxy:
        proxy.upstream.script("m", HI)
        assert (await proxy.ask("POST", "/api/chat", chat(), *given)).status == 200
        sent = proxy.upstream.posts[0]
        assert set(sent.headers) == {
            "host", "authorization", "accept", "accept-encoding", "content-type", "content-length", "user-agent",
            "x-request-id",
        }  # fmt: skip
        assert sent.headers["authorization"] == f"Bearer {KEY}"
        assert sent.headers["accept-encoding"] == "identity"
        assert sent.headers["user-agent"].startswith("ollama-openai-proxy/")
        assert b"client" not in sent.body


async def test_f1_reset_after_the_head() -> None:
    """F1: a reset before any event is 502, since the client has not been told anything yet."""
    async with proxied() as proxy:
        proxy.upstream.script("m", (SSE, Reset()))
        response = await proxy.chat()
        assert response.status == 502
        assert set(response.json) == {"error"}
