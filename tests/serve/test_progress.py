"""How long work is told (contract 1.10, 5.11, rules R3, R4)."""

from __future__ import annotations

from support.lines import logged
from support.proxy import Proxy, proxied, running_proxy
from support.scripted import Upstream
from support.steps import Send, Status


async def test_streamed() -> None:
    """Rule R4: each line is a write of its own, and no intermediary is to hold it back."""
    async with proxied() as proxy:
        answer = await proxy.ask("POST", "/api/pull", {"model": "m"})
        assert (answer.status, answer.header("content-type")) == (200, "application/x-ndjson")
        assert answer.header("content-length") is None
        assert (answer.header("cache-control"), answer.header("x-accel-buffering")) == ("no-cache", "no")
        assert answer.chunks == [line + b"\n" for line in answer.body.splitlines()]
        assert len(answer.chunks) == 5


async def test_whole() -> None:
    """Contract 1.3, 5.11: without streaming the last line is all, as one object without a line's end or a charset."""
    async with proxied() as proxy:
        answer = await proxy.ask("POST", "/api/pull", {"model": "m", "stream": False})
        assert (answer.status, answer.header("content-type")) == (200, "application/json")
        assert answer.body == b'{"status":"success"}'
        assert answer.header("content-length") == "20"


async def test_failed() -> None:
    """Contract 1.10: a failure after a line is a line under 200; without streaming it is a status."""
    async with proxied() as proxy:
        streamed = await proxy.ask("POST", "/api/push", {"model": "m"})
        assert (streamed.status, streamed.lines[-1]) == (200, {"error": "unauthorized: access denied"})
        whole = await proxy.ask("POST", "/api/push", {"model": "m", "stream": False})
        assert (whole.status, whole.header("content-type")) == (500, "application/json")
        assert whole.body == b'{"error":"unauthorized: access denied"}'


async def test_failed_before_the_first_line() -> None:
    """Contract 1.10: a failure before any line is a status, streamed or not."""
    async with proxied() as proxy:
        for stream in (True, False):
            answer = await proxy.ask("POST", "/api/create", {"model": "n", "stream": stream})
            assert (answer.status, answer.header("content-type")) == (400, "application/json")
            assert answer.json == {"error": "neither 'from' or 'files' was specified"}


async def test_when_to_come_again() -> None:
    """A backend that says when it may be asked again says so to the client, where the failure is a status."""
    async with Upstream() as upstream:
        upstream.script("/v1/models", (Status(503, "Retry-After: 7", "Content-Length: 2"), Send(b"{}")))
        async with running_proxy(upstream.url) as url:
            answer = await Proxy(url, upstream).ask("POST", "/api/pull", {"model": "m", "stream": False})
            assert (answer.status, answer.header("retry-after")) == (503, "7")


async def test_log() -> None:
    """A failure that is told under 200 is none the less a failure in the log."""
    with logged() as lines:
        async with proxied() as proxy:
            await proxy.ask("POST", "/api/pull", {"model": "no"})
        told = [line for line in lines.read() if line.get("route") == "/api/pull"]
    assert [(line["status"], line["outcome"], line["err_class"]) for line in told] == [(200, "not_found", "ProxyError")]
