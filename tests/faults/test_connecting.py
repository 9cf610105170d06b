"""The upstream can't be reached, or a connection to it dies (reliability 2.D, 2.J): what is tried again."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from support.listeners import BlackHole, closed
from support.proxy import KEY, chat, proxied, running_proxy
from support.rawclient import RawClient, Response
from support.replies import HI, SSE, streamed, text
from support.scripted import Chunk, Close, Hold, Pause, Reset, Send, Step, Upstream, Wait
from support.waiting import eventually


async def ask(base_url: str, **settings: object) -> Response:
    """Return the response to a chat by a proxy of its own."""
    async with running_proxy(base_url, **settings) as url, RawClient(url) as client:
        await client.ask("GET", "/api/tags")
        await client.response()
        await client.ask("POST", "/api/chat", chat())
        return await client.response()


async def test_d4_refused() -> None:
    """D4: a closed port is 502 at once, in our words."""
    response = await ask(closed())
    assert (response.status, response.json) == (502, {"error": "the upstream refused the connection"})


async def test_d6_plain_http_where_tls_is_expected() -> None:
    """D6: an upstream that does not speak TLS is 502, and is not told the key or the prompt without it."""
    async with Upstream() as upstream:
        upstream.greeting = (Send(b"HTTP/1.1 400 Bad Request\r\n\r\n"), Close())
        response = await ask(upstream.url.replace("http:", "https:"))
        assert (response.status, response.json) == (502, {"error": "the upstream's TLS could not be verified"})
        assert upstream.requests == []


@pytest.mark.parametrize("name", ["name.invalid", "no..name"])
async def test_d1_name_that_is_none(name: str) -> None:
    """D1: a name that can't be resolved, or can't be a name, is 502, and the name is not told."""
    response = await ask(f"http://{name}/v1", connect_timeout=30)
    assert (response.status, response.json) == (502, {"error": "the upstream's name could not be resolved"})


FRESH: dict[str, Sequence[Step]] = {
    "J5 FIN": (Close(),),
    "J5 RST": (Reset(),),
    "J5 FIN after half a head": (Send(b"HTTP/1.1 200"), Close()),
    "J5 FIN later": (Pause(0.05), Close()),
}


@pytest.mark.parametrize("steps", FRESH.values(), ids=FRESH.keys())
async def test_j5_fresh_connection_that_dies(steps: Sequence[Step]) -> None:
    """J5: a request that dies on a fresh connection may have been worked on: it is not sent again, but 502."""
    async with proxied() as proxy:
        proxy.upstream.script("m", steps, HI)
        response = await proxy.chat()
        assert response.status == 502
        assert set(response.json) == {"error"}
        assert len(proxy.upstream.posts) == 1


@pytest.mark.parametrize("end", [Close(), Reset()], ids=["FIN", "RST"])
async def test_d8_fresh_connection_that_dies_before_it_is_read(end: Step) -> None:
    """D8: an upstream that takes connections and drops them is 502, after at most one more try."""
    async with proxied() as proxy:
        accepted = proxy.upstream.accepted
        proxy.upstream.greeting = (end,)
        response = await proxy.chat()
        assert response.status == 502
        assert 1 <= proxy.upstream.accepted - accepted <= 2


@pytest.mark.parametrize("end", [Close(), Reset()], ids=["FIN", "RST"])
async def test_d9_t17_reused_connection_that_died(end: Step) -> None:
    """D9, T17: an idle connection that dies as it is used again costs one more try, and the client sees 200."""
    async with proxied() as proxy:
        proxy.upstream.script("m", HI, (end,), HI)
        assert (await proxy.chat()).status == 200
        second = await proxy.chat()
        assert [line["message"]["content"] for line in second.lines] == ["Hi", ""]
        first, died, again = proxy.upstream.posts
        assert first.connection == died.connection != again.connection
        assert died.body == again.body


async def test_d9_retry_takes_no_other_idle_connection() -> None:
    """D9: what is sent again goes over a fresh connection: the other idle ones are as old."""
    barrier = asyncio.Event()
    async with proxied() as proxy:
        proxy.upstream.script("m", (Wait(barrier), *HI), (Wait(barrier), *HI), (Close(),), HI)
        both = asyncio.gather(proxy.chat(), proxy.chat())
        await proxy.upstream.request_received(2)
        barrier.set()
        await both
        assert (await proxy.chat()).status == 200
        one, other, died, again = (request.connection for request in proxy.upstream.posts)
        assert died in (one, other)
        assert again not in (one, other)


async def test_d9_reused_connection_and_then_a_fresh_one_die() -> None:
    """D9: the second try is the last: when the fresh connection dies too, it is 502."""
    async with proxied() as proxy:
        proxy.upstream.script("m", HI, (Close(),))
        await proxy.chat()
        assert (await proxy.chat()).status == 502
        assert len(proxy.upstream.posts) == 3


async def test_d9_reused_connection_that_had_begun_to_answer() -> None:
    """D9: a reused connection that dies in mid-answer has not died idle: the request is not sent again."""
    async with proxied() as proxy:
        proxy.upstream.script("m", HI, (Send(b"HTTP/1.1 200 OK\r\nContent-"), Close()), HI)
        await proxy.chat()
        assert (await proxy.chat()).status == 502
        assert len(proxy.upstream.posts) == 2


async def test_j3_no_retry_after_the_first_byte() -> None:
    """J3: once the client has a byte nothing is sent again, on a reused connection neither."""
    async with proxied() as proxy:
        proxy.upstream.script("m", HI, (SSE, Chunk(text("Hi")), Close()), HI)
        await proxy.chat()
        assert "error" in (await proxy.chat()).lines[-1]
        assert len(proxy.upstream.posts) == 2


async def test_d9_many_stale_connections() -> None:
    """D9: an upstream that closes after each answer, as the next request comes, never costs a client an error."""
    async with proxied() as proxy:
        closing = (*HI, Pause(0.01), Close())
        proxy.upstream.script("m", closing)
        for _ in range(50):
            assert (await proxy.chat()).status == 200


async def test_t17_idle_connections_are_given_up() -> None:
    """T17: a connection is kept idle for about 2 s, less than servers keep theirs."""
    async with proxied() as proxy:
        proxy.upstream.script("m", HI)
        await proxy.chat()
        (connection,) = proxy.upstream.connections
        await asyncio.sleep(1.0)
        assert connection in proxy.upstream.connections
        await eventually(lambda: not proxy.upstream.connections, within=3.5)


async def test_d10_restart() -> None:
    """D10: streams that run when the upstream dies end in an error line; once it is back requests are answered."""
    async with proxied() as proxy, proxy.client() as client:
        proxy.upstream.script("m", (SSE, Chunk(text("Hi")), Hold()), HI)
        await client.ask("POST", "/api/chat", chat())
        await client.read_until(b'"content":"Hi"')
        await proxy.upstream.stop()
        assert b'{"error":' in await client.read_until(b"0\r\n\r\n")
        assert (await proxy.chat()).status == 502
        await proxy.upstream.start()
        assert (await proxy.chat()).status == 200


async def test_d11_environment_names_no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """D11: HTTP_PROXY and its like in the environment take neither the key nor the prompt anywhere."""
    async with Upstream() as trap:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "HTTPS_PROXY"):
            monkeypatch.setenv(name, trap.url)
        async with proxied() as proxy:
            proxy.upstream.script("m", HI)
            assert (await proxy.chat()).status == 200
        assert trap.accepted == 0


async def test_d11_netrc_is_not_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """D11: a password that a `.netrc` has for the backend's host is not sent."""
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password canary\ndefault login somebody password canary\n")
    monkeypatch.setenv("NETRC", str(netrc))
    async with proxied(openai_api_key=None) as proxy:
        proxy.upstream.script("m", HI)
        assert (await proxy.chat()).status == 200
        assert "authorization" not in proxy.upstream.posts[0].headers


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def test_c2_clients_leave_while_connecting() -> None:
    """C2: a hundred clients that leave while the upstream swallows connections leave nothing behind."""
    with BlackHole() as hole:
        async with running_proxy(hole.url, connect_timeout=60, forward_unknown_models=True) as url:
            before = descriptors()
            async with AsyncExitStack() as stack:
                clients = [await stack.enter_async_context(RawClient(url)) for _ in range(100)]
                for client in clients:
                    await client.ask("POST", "/api/chat", chat())
                # Both ends of each client's connection, and one of each call's.
                await eventually(lambda: descriptors() >= before + 300)
            await eventually(lambda: descriptors() <= before)
            async with hole.opened(HI) as backend, RawClient(url) as client:
                await client.ask("POST", "/api/chat", chat())
                assert (await client.response()).status == 200
                assert len(backend.posts) == 1


async def test_j6_same_bytes_for_a_large_body() -> None:
    """J6: what is sent again is the same to the byte, for more than 64 KiB too."""
    async with proxied() as proxy:
        proxy.upstream.script("m", HI, (Close(),), streamed(text("Hi")))
        await proxy.chat()
        await proxy.chat(messages=[{"role": "user", "content": "x" * 300_000}])
        _, died, again = proxy.upstream.posts
        assert died.body == again.body
        assert again.json["messages"][0]["content"] == "x" * 300_000
        assert again.headers["authorization"] == f"Bearer {KEY}"
        await eventually(lambda: not proxy.upstream.busy)
