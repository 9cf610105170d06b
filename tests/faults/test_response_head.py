"""What is wrong with the head of the upstream's answer (reliability 2.E): always a status, never a stream."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest

from support.outcomes import Outcomes
from support.proxy import KEY, chat, proxied
from support.replies import DONE, HI, SSE, body, completion, finish, text, usage
from support.scripted import Chunk, Close, End, Hold, Pause, Reset, Send, Status, Step, Upstream
from support.waiting import eventually

EVENTS = text("Hi") + finish() + usage() + DONE
PAGE = b"<!DOCTYPE html><html><body>Sign in to the network</body></html>"
INVALID = "invalid response from upstream"
EMPTY = "empty response from upstream"
TYPE = "unexpected content type from upstream"


@pytest.fixture
def outcomes(caplog: pytest.LogCaptureFixture) -> Outcomes:
    return Outcomes(caplog)


async def check_refused(steps: Sequence[Step], message: str, outcome: str, outcomes: Outcomes) -> None:
    """Assert that this answer is 502, whether a stream was asked for or not, and that its connection is not kept."""
    async with proxied() as proxy:
        proxy.upstream.script("m", steps)
        for number, stream in enumerate((True, False), start=1):
            response = await proxy.chat(stream=stream)
            assert (response.status, response.json) == (502, {"error": message})
            await eventually(lambda: not proxy.upstream.busy, within=2.0)
            assert len(proxy.upstream.posts) == number
        await outcomes.expect(outcome, outcome)


HALF: dict[str, Sequence[Step]] = {
    "half a status line, FIN": (Send(b"HTTP/1.1 20"), Close()),
    "half a header, FIN": (Send(b"HTTP/1.1 200 OK\r\nContent-Ty"), Close()),
    "all but the blank line, FIN": (Send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n"), Close()),
}


@pytest.mark.parametrize("steps", HALF.values(), ids=HALF.keys())
async def test_e3_half_a_head(steps: Sequence[Step], outcomes: Outcomes) -> None:
    """E3: a head that ends within a line is no answer, and the call is not repeated."""
    await check_refused(steps, INVALID, "up_protocol", outcomes)


async def test_e3_half_a_head_and_a_reset() -> None:
    """E3: a head that a reset ends is 502, and the call is not repeated."""
    async with proxied() as proxy:
        proxy.upstream.script("m", (Send(b"HTTP/1.1 200 OK\r\nContent-Ty"), Pause(0.05), Reset()))
        response = await proxy.chat()
        assert response.status == 502
        assert set(response.json) == {"error"}
        assert len(proxy.upstream.posts) == 1


OTHER: dict[str, Sequence[Step]] = {
    "SSH": (Send(b"SSH-2.0-OpenSSH_9.6\r\n"), Hold()),
    "HTTP/0.9": (Send(b'{"choices":[]}\r\n'), Close()),
    "HTTP/2": (Send(b"\x00\x00\x12\x04\x00\x00\x00\x00\x00"), Hold()),
    "TLS": (Send(b"\x15\x03\x01\x00\x02\x02\x16"), Hold()),
}


@pytest.mark.parametrize("steps", OTHER.values(), ids=OTHER.keys())
async def test_e4_not_http(steps: Sequence[Step], outcomes: Outcomes) -> None:
    """E4: what is no HTTP/1 is 502, and none of its bytes are handed on."""
    await check_refused(steps, INVALID, "up_protocol", outcomes)


async def test_e9_switching_protocols(outcomes: Outcomes) -> None:
    """E9: another protocol, which nobody asked for, is no answer."""
    steps = (Status(101, "Connection: upgrade", "Upgrade: websocket"), Hold())
    await check_refused(steps, INVALID, "up_protocol", outcomes)


NOTHING: dict[str, Sequence[Step]] = {
    "204": (Status(204),),
    "205": (Status(205, "Content-Length: 0"),),
    "304": (Status(304),),
    "a stream without events": (SSE, End()),
    "a stream of comments": (SSE, Chunk(b": hello\n\n"), End()),
    "a stream with [DONE] alone": (SSE, Chunk(DONE), End()),
    "a body without bytes": body(b""),
    "nothing, then FIN": (Send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"), Close()),
    "gzip of nothing": body(b"", 200, "Content-Type: application/json", "Content-Encoding: gzip"),
}


@pytest.mark.parametrize("steps", NOTHING.values(), ids=NOTHING.keys())
async def test_e10_empty(steps: Sequence[Step], outcomes: Outcomes) -> None:
    """E10: an answer with nothing in it is 502, and never an empty text that is done."""
    await check_refused(steps, EMPTY, "up_empty", outcomes)


PAGES: dict[str, Sequence[Step]] = {
    "a page": body(PAGE, 200, "Content-Type: text/html"),
    "a page with a charset": body(PAGE, 200, "Content-Type: Text/HTML; charset=utf-8"),
    "a page without a type": body(PAGE, 200, "X-Cache: MISS"),
    "a page as JSON": body(b"\r\n" + PAGE, 200, "Content-Type: application/json"),
}


@pytest.mark.parametrize("steps", PAGES.values(), ids=PAGES.keys())
async def test_e14_pages(steps: Sequence[Step], outcomes: Outcomes) -> None:
    """E14: a page for people is 502, and none of it is handed on."""
    await check_refused(steps, TYPE, "up_protocol", outcomes)


async def check_answered(steps: Sequence[Step]) -> None:
    """Assert that "Hi" is the answer, then one line that is done."""
    async with proxied() as proxy:
        proxy.upstream.script("m", steps)
        response = await proxy.chat()
        assert response.status == 200
        assert [(line["message"]["content"], line["done"]) for line in response.lines] == [("Hi", False), ("", True)]
        assert (await proxy.chat(stream=False)).json["message"]["content"] == "Hi"


async def test_e12_http_1_0() -> None:
    """E12: an event stream of HTTP/1.0, that the close ends, is answered."""
    await check_answered((Send(b"HTTP/1.0 200 OK\r\nContent-Type: text/event-stream\r\n\r\n" + EVENTS), Close()))


@pytest.mark.parametrize("headers", [("Content-Type: application/json",), ("Content-Type: text/event-stream",), ()])
async def test_e13_whole_although_a_stream_was_asked_for(headers: tuple[str, ...]) -> None:
    """E13: a completion in one JSON object is told in lines, whatever type it says it is."""
    await check_answered(body(json.dumps(completion("Hi")).encode(), 200, *(headers or ("X-Served-By: a",))))


TYPES = ("text/plain", "text/event-stream;charset=utf8", "Text/Event-Stream", "application/octet-stream", "", "?")


@pytest.mark.parametrize("kind", [*TYPES, None])
async def test_e15_event_stream_of_another_type(kind: str | None) -> None:
    """E15: what begins like an event stream is one, whatever type it says it is, or none."""
    await check_answered(body(EVENTS, 200, "X-Served-By: a" if kind is None else f"Content-Type: {kind}"))


async def test_i20_other_success() -> None:
    """I20: 201 is as good as 200."""
    await check_answered(body(completion("Hi"), 201))


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
