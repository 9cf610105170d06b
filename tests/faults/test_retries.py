"""What a backend answers is asked for again where that was configured, and only then (reliability 2.J)."""

from __future__ import annotations

import asyncio
import time

import pytest

from support.proxy import proxied
from support.replies import HI, SSE, body, text
from support.scripted import Chunk, Close, Step


def refusal(status: int, *headers: str) -> tuple[Step, ...]:
    return tuple(body({"error": {"message": "busy"}}, status, "Content-Type: application/json", *headers))


@pytest.mark.parametrize("status", [429, 502, 503, 504, 529])
async def test_j1_j3_not_by_default(status: int) -> None:
    """J1, J3: unless it was configured, an answer is an answer, with the time that the backend names."""
    async with proxied() as proxy:
        proxy.upstream.script("m", refusal(status, "Retry-After: 7"), HI)
        response = await proxy.chat()
        assert (response.status, response.json) == (503 if status == 529 else status, {"error": "busy"})
        assert response.header("retry-after") == "7"
        assert len(proxy.upstream.posts) == 1


@pytest.mark.parametrize("status", [429, 502, 503, 504, 529])
async def test_j3_configured(status: int) -> None:
    """J3: with STATUS_RETRIES=1 it is asked for once more, with the same bytes, and the client sees only the answer."""
    async with proxied(status_retries=1) as proxy:
        proxy.upstream.script("m", refusal(status), HI)
        response = await proxy.chat()
        assert [line["message"]["content"] for line in response.lines] == ["Hi", ""]
        refused, again = proxy.upstream.posts
        assert refused.body == again.body
        page = (await proxy.ask("GET", "/metrics")).body.decode()
        assert 'ollama_proxy_upstream_retries_total{reason="status",upstream="default"} 1.0' in page


async def test_j3_last_answer() -> None:
    """J3: when the repeats are used up, the last answer is the client's."""
    async with proxied(status_retries=2) as proxy:
        proxy.upstream.script("m", refusal(503), refusal(503), refusal(529, "Retry-After: 9"))
        response = await proxy.chat()
        assert (response.status, response.header("retry-after")) == (503, "9")
        assert len(proxy.upstream.posts) == 3


@pytest.mark.parametrize("status", [400, 401, 404, 500, 501])
async def test_j3_other_answers(status: int) -> None:
    """J3: an answer that would be the same again is not asked for again."""
    async with proxied(status_retries=3) as proxy:
        proxy.upstream.script("m", refusal(status))
        assert (await proxy.chat()).status >= 400
        assert len(proxy.upstream.posts) == 1


async def test_j3_retry_after_is_kept() -> None:
    """J3: a backend that names a second is not asked before."""
    async with proxied(status_retries=1) as proxy:
        proxy.upstream.script("m", refusal(503, "Retry-After: 1"), HI)
        began = time.monotonic()
        assert (await proxy.chat()).status == 200
        assert 1.0 <= time.monotonic() - began < 4


@pytest.mark.parametrize("wait", ["6", "3600"])
async def test_j1_j3_too_long_a_wait(wait: str) -> None:
    """J1, J3: a longer wait is the client's to decide on: it is told at once."""
    async with proxied(status_retries=1) as proxy:
        proxy.upstream.script("m", refusal(429, f"Retry-After: {wait}"), HI)
        async with asyncio.timeout(3):
            response = await proxy.chat()
        assert (response.status, response.header("retry-after")) == (429, wait)
        assert len(proxy.upstream.posts) == 1


async def test_j3_wait_beyond_the_deadline() -> None:
    """J3: nor is there a wait that would pass the deadline of the call."""
    async with proxied(status_retries=1, first_byte_timeout=1.5) as proxy:
        proxy.upstream.script("m", refusal(503, "Retry-After: 2"), HI)
        async with asyncio.timeout(1.2):
            assert (await proxy.chat()).status == 503
        assert len(proxy.upstream.posts) == 1


async def test_j3_not_after_the_first_byte() -> None:
    """J3: what breaks when the client has a byte is not asked for again, whatever is configured."""
    async with proxied(status_retries=3, connect_retries=3) as proxy:
        proxy.upstream.script("m", (SSE, Chunk(text("Hi")), Close()), HI)
        response = await proxy.chat()
        assert "error" in response.lines[-1]
        assert len(proxy.upstream.posts) == 1


async def test_j3_j4_answers_share_the_budget() -> None:
    """J3, J4: a backend that refuses everybody is not asked much more often for it: a fifth, and three."""
    async with proxied(status_retries=3, max_active_requests=1000) as proxy:
        proxy.upstream.script("m", refusal(503))
        responses = await asyncio.gather(*(proxy.chat() for _ in range(50)))
        assert {response.status for response in responses} == {503}
        assert 50 < len(proxy.upstream.posts) <= 1.2 * 50 + 3
        page = (await proxy.ask("GET", "/metrics")).body.decode()
        assert 'ollama_proxy_retry_budget_exhausted_total{upstream="default"}' in page


async def test_j3_client_leaves_while_it_waits() -> None:
    """J3, C3: a client that leaves while a repeat is waited for is not asked for again."""
    async with proxied(status_retries=1) as proxy, proxy.client() as client:
        proxy.upstream.script("m", refusal(503, "Retry-After: 1"), HI)
        await client.ask("POST", "/api/chat", {"model": "m", "messages": [{"role": "user", "content": "x"}]})
        await proxy.upstream.request_received()
        client.close()
        await asyncio.sleep(1.3)
        assert len(proxy.upstream.posts) == 1
