"""One request of a client is one call to the backend (reliability C12), also from Ollama's own library."""

from __future__ import annotations

import asyncio

import ollama
import pytest

from support.proxy import HELLO, proxied
from support.scripted import Close, Reset, Send, Status, Step

FAILED: dict[str, tuple[Step, ...]] = {
    "500": (Status(500, "Content-Length: 2"), Send(b"{}")),
    "502": (Status(502, "Content-Length: 2"), Send(b"{}")),
    "503": (Status(503, "Content-Length: 2", "Retry-After: 1"), Send(b"{}")),
    "429": (Status(429, "Content-Length: 2", "Retry-After: 1"), Send(b"{}")),
    "no JSON": (Status(200, "Content-Length: 1"), Send(b"x")),
    "broken off": (Status(200, "Content-Length: 9"), Send(b"x"), Close()),
    "reset": (Reset(),),
}


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("steps", FAILED.values(), ids=FAILED.keys())
async def test_c12_each_request_is_one_call(steps: tuple[Step, ...], stream: bool) -> None:
    """C12: a failed request fails once: neither the proxy nor Ollama's library asks the backend again by itself."""
    async with proxied() as proxy:
        proxy.upstream.script("m", steps)

        def ask() -> None:
            with ollama.Client(proxy.url, trust_env=False) as client:
                if stream:
                    list(client.chat("m", HELLO, stream=True))
                else:
                    client.chat("m", HELLO)

        for count in (1, 2):
            with pytest.raises(ollama.ResponseError):
                await asyncio.to_thread(ask)
            assert len(proxy.upstream.posts) == count
