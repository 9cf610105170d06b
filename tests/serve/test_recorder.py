"""What is said of every request: its id, its line, its figures; and what ends at its edge."""

from __future__ import annotations

import asyncio
import json
import logging
import re
from typing import Any

import pytest
from starlette.types import Receive, Scope, Send

from ollama_openai_proxy.serve.server import serving
from support.asgi import alive, call
from support.proxy import Proxy, chat, proxied
from support.rawclient import RawClient
from support.recording import recorded
from support.replies import HI, SSE, body, completion, text
from support.scripted import Chunk, Hold, Pause
from support.waiting import SECONDS, eventually

EXCHANGES = "ollama_openai_proxy.exchange"
QUIET = ("/live", "/ready", "/health", "/metrics")
TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


async def ok(_scope: Scope, _receive: Receive, send: Send) -> None:
    """An application that answers every request."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"ok"})


@pytest.mark.parametrize(
    "given", ["a", "3f2504e0-4f89-11d3-9a0c-0305e82c3301", "Root=1-67891233:abc+def/x.y_z", "x" * 128]
)
async def test_request_id_is_kept(given: str) -> None:
    """A request id of the client's is answered as it came."""
    _, headers = await call(recorded(ok), "GET", "/", [("X-Request-Id", given)])
    assert [value for name, value in headers if name == "x-request-id"] == [given]


@pytest.mark.parametrize("given", [None, "", "x" * 129, "a b", 'a"b', "a;b", "é", "a\tb", "<script>", "a\x1bb"])
async def test_request_id_is_made(given: str | None) -> None:
    """A missing or malformed request id is replaced by one of 32 hex digits, other for each request."""
    headers = [] if given is None else [("X-Request-Id", given)]
    made = [dict((await call(recorded(ok), "GET", "/", headers))[1])["x-request-id"] for _ in range(2)]
    assert all(re.fullmatch(r"[0-9a-f]{32}", value) for value in made)
    assert made[0] != made[1]


async def test_request_ids_do_not_come_again() -> None:
    """Each of many requests has an id of its own."""
    app = recorded(ok)
    made = [dict((await call(app, "GET", "/"))[1])["x-request-id"] for _ in range(200)]
    assert len({*made}) == 200
    assert all(re.fullmatch(r"[0-9a-f]{32}", value) for value in made)


async def broken(_scope: Scope, _receive: Receive, _send: Send) -> None:
    """An application with a mistake in it."""
    raise LookupError("secret-canary")


async def broken_later(_scope: Scope, _receive: Receive, send: Send) -> None:
    """An application whose mistake shows when it has begun to answer."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"first", "more_body": True})
    raise LookupError("secret-canary")


async def test_k12_mistake_of_our_own(caplog: pytest.LogCaptureFixture) -> None:
    """K12: an exception that nobody foresaw is a 500 in the API's shape: the request id, nothing of its text."""
    caplog.set_level(logging.INFO)
    async with serving(alive(recorded(broken))) as url, RawClient(url) as client:
        await client.ask("POST", "/api/chat", {}, "X-Request-Id: r1")
        response = await client.response()
    assert (response.status, response.json) == (500, {"error": "internal error"})
    assert response.all("x-request-id") == ["r1"]
    crash, exchange = (record for record in caplog.records if record.name.startswith("ollama_openai_proxy"))
    assert (crash.getMessage(), crash.exc_info is not None) == ("internal error", True)
    facts = exchange.__dict__
    assert (facts["status"], facts["outcome"], facts["err_class"]) == (500, "internal", "LookupError")


async def test_k12_mistake_in_mid_answer(caplog: pytest.LogCaptureFixture) -> None:
    """K12: an answer that has begun is broken off, so that it can't be taken for whole; the next request is served."""
    caplog.set_level(logging.INFO, EXCHANGES)
    async with serving(alive(recorded(broken_later))) as url:
        for _ in range(2):
            async with RawClient(url) as client:
                await client.ask("GET", "/")
                assert (await client.read_to_end()).endswith(b"\r\n\r\n5\r\nfirst\r\n")
    assert [line.__dict__["outcome"] for line in caplog.records if line.name == EXCHANGES] == ["internal", "internal"]


async def test_what_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """2.0: an exchange is one line with all that is known of it; what orchestrators and Prometheus ask for has none."""
    caplog.set_level(logging.INFO, EXCHANGES)
    async with proxied() as proxy:
        proxy.upstream.script("m", HI)
        caplog.clear()
        await proxy.ask("POST", "/api/chat", chat(), "X-Request-Id: r1")
        for path in QUIET:
            assert (await proxy.ask("GET", path)).status == 200
        await eventually(lambda: caplog.records)
    (line,) = caplog.records
    facts = line.__dict__
    sent = len(json.dumps(chat()))
    named = [facts[key] for key in ("request_id", "front", "route", "method", "model", "upstream")]
    assert named == ["r1", "ollama", "/api/chat", "POST", "m", "default"]
    assert (facts["status"], facts["outcome"], facts["attempts"], facts["client_gone"]) == (200, "ok", 1, False)
    assert facts["tokens"] == {"prompt": 3, "completion": 2}
    assert facts["in_bytes"] == sent
    assert 0 < facts["ttft_ms"] <= facts["dur_ms"]
    assert 0 < facts["added_ms"] < facts["dur_ms"]


async def test_figures_of_an_exchange() -> None:
    """G14: an exchange is counted by what it was; what is asked by the host is not."""
    async with proxied() as proxy:
        proxy.upstream.script("m", HI)
        await proxy.chat()
        await proxy.ask("GET", "/nowhere")
        await proxy.ask("GET", "/live")
        page = (await proxy.ask("GET", "/metrics")).body.decode().splitlines()
    shown = [line for line in page if line.startswith("ollama_proxy_exchanges_total{")]
    labels = 'ollama_proxy_exchanges_total{front="ollama",model="%s",outcome="%s",route="%s"} 1.0'
    assert sorted(shown) == sorted(
        [
            labels % ("m", "ok", "/api/chat"),
            labels % ("none", "not_found", "other"),
            labels % ("none", "ok", "/api/tags"),  # what `proxied` begins with
        ]
    )
    assert 'ollama_proxy_input_tokens_total{model="m"} 3.0' in page
    assert 'ollama_proxy_output_tokens_total{model="m"} 2.0' in page
    assert "ollama_proxy_exchanges_in_flight 0.0" in page
    assert "ollama_proxy_exchanges_queued 0.0" in page


async def seen(proxy: Proxy, **wanted: str) -> None:
    """Wait until the gauges of exchanges have these values."""
    lines = {f"ollama_proxy_exchanges_{name} {value}" for name, value in wanted.items()}
    async with asyncio.timeout(SECONDS):
        while not lines <= {*(await proxy.ask("GET", "/metrics")).body.decode().splitlines()}:
            pass


async def test_queued() -> None:
    """An exchange is queued while it waits for a place, not while its body comes, and in flight until it has ended."""

    async with proxied(max_active_requests=1) as proxy, proxy.client() as client, proxy.client() as second:
        proxy.upstream.script("m", (Hold(),))
        body = json.dumps(chat()).encode()
        await client.send(b"POST /api/chat HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(body))
        await seen(proxy, in_flight="1.0", queued="0.0")
        await client.send(body)
        await proxy.upstream.request_received()
        await second.ask("POST", "/api/chat", chat())
        await seen(proxy, in_flight="2.0", queued="1.0")
        second.close()
        await seen(proxy, in_flight="1.0", queued="0.0")
        client.close()
        await seen(proxy, in_flight="0.0", queued="0.0")


async def test_added_time() -> None:
    """Behind a setting each answer tells the milliseconds that the proxy itself took: not those of the backend."""
    async with proxied(added_time_header=True) as proxy:
        proxy.upstream.script("m", (Pause(0.5), *body(completion("Hi"))))
        response = await proxy.chat(stream=False)
        added = float(response.header("x-proxy-added-ms") or "")
        assert 0 < added < 400
        assert response.json["total_duration"] >= 500_000_000
        assert (await proxy.ask("GET", "/api/version")).header("x-proxy-added-ms")
    async with proxied() as proxy:
        assert (await proxy.ask("GET", "/api/version")).all("x-proxy-added-ms") == []


async def test_handed_on() -> None:
    """The request id and the client's trace context reach the backend, unchanged while nothing traces here."""
    async with proxied() as proxy:
        proxy.upstream.script("m", HI)
        await proxy.ask("POST", "/api/chat", chat(), "X-Request-Id: r1", f"Traceparent: {TRACE}", "Tracestate: a=b")
        await proxy.chat()
        traced, plain = (post.headers for post in proxy.upstream.posts)
    assert (traced["x-request-id"], traced["traceparent"], traced["tracestate"]) == ("r1", TRACE, "a=b")
    assert re.fullmatch(r"[0-9a-f]{32}", plain["x-request-id"])
    assert not {"traceparent", "tracestate"} & {*plain}


@pytest.mark.parametrize(
    "headers",
    [
        ["Traceparent: canary"],
        [f"Traceparent: {TRACE.upper()}"],
        [f"Traceparent: ff{TRACE[2:]}"],
        [f"Traceparent: {TRACE}", f"Traceparent: {TRACE}"],
    ],
    ids=["none", "capitals", "version", "two"],
)
async def test_malformed_trace(headers: list[str]) -> None:
    """A malformed trace context is replaced, never handed on, and what hangs on it neither."""
    async with proxied() as proxy:
        proxy.upstream.script("m", HI)
        await proxy.ask("POST", "/api/chat", chat(), *headers, "Tracestate: canary=1")
        (sent,) = proxy.upstream.posts
    assert re.fullmatch(r"00-[0-9a-f]{32}-[0-9a-f]{16}-00", sent.headers["traceparent"])
    assert TRACE[3:35] not in sent.headers["traceparent"]
    assert "tracestate" not in sent.headers


async def test_waiting_is_not_added(caplog: pytest.LogCaptureFixture) -> None:
    """What the proxy waited for a backend or a client that then failed is not counted as its own time."""
    caplog.set_level(logging.INFO, EXCHANGES)
    async with proxied(idle_timeout=0.5) as proxy:
        proxy.upstream.script("m", (SSE, Chunk(text("a")), Hold()))
        async with proxy.client() as client:  # leaves in the middle of a body
            await client.send(b"POST /api/chat HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n{")
            await seen(proxy, in_flight="1.0")
            await asyncio.sleep(0.5)
        async with proxy.client() as client:  # leaves while the backend is silent
            await client.ask("POST", "/api/chat", chat())
            await client.read_until(b'"content":"a"')
            await asyncio.sleep(0.3)
        await proxy.chat()  # the backend stops
        await eventually(lambda: len(chats(caplog)) == 3)
    assert [line["outcome"] for line in chats(caplog)] == ["client_abort", "client_abort", "up_idle_timeout"]
    assert [line["status"] for line in chats(caplog)] == [499, 200, 200]
    for line in chats(caplog):
        assert line["dur_ms"] > 250
        assert line["added_ms"] < line["dur_ms"] / 2


def chats(caplog: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    lines = [line.__dict__ for line in caplog.records if line.name == EXCHANGES]
    return [line for line in lines if line["route"] == "/api/chat"]


async def test_client_that_leaves_before_the_head(caplog: pytest.LogCaptureFixture) -> None:
    """2.0: a client that left before a status was sent is logged as 499."""
    caplog.set_level(logging.INFO, EXCHANGES)
    async with proxied() as proxy:
        proxy.upstream.script("m", (Hold(),))
        async with proxy.client() as client:
            await client.ask("POST", "/api/chat", chat())
            await eventually(lambda: proxy.upstream.posts)
        await eventually(lambda: chats(caplog))
    (line,) = chats(caplog)
    assert (line["status"], line["outcome"], line["client_gone"]) == (499, "client_abort", True)


async def test_bytes_of_a_head(caplog: pytest.LogCaptureFixture) -> None:
    """The reply to HEAD has no body, and none is counted."""
    caplog.set_level(logging.INFO, EXCHANGES)
    async with proxied() as proxy:
        await proxy.ask("HEAD", "/api/tags")
    assert caplog.records[-1].__dict__["out_bytes"] == 0
