"""M3, M4: what is private is in no log, figure or error: a prompt, an answer, a key, what a client sent of its own."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Sequence
from pathlib import Path

import pytest

from support.command import PROMPTLY, parsed, served
from support.processes import eventually
from support.rawclient import RawClient
from support.replies import DONE, SSE, body, completion, delta, finish, streamed, text, usage
from support.scripted import Chunk, Close, Reset, Step, Upstream

KEY = "sk-canary-key"
PROMPT = "canary-prompt"
ANSWER = "canary-answer"
CLIENT = "canary-client"
CANARIES = (KEY, PROMPT, ANSWER, CLIENT)
IMAGE = base64.b64encode(b"\x89PNG\r\n\x1a\n" + PROMPT.encode()).decode()
CALL = {"index": 0, "id": "c1", "type": "function", "function": {"name": "f", "arguments": f'{{"a":"{ANSWER}"}}'}}
REFUSAL = {"error": {"message": f"key {KEY} is not good for {PROMPT}", "type": "server_error"}}

REPLIES: dict[str, Sequence[Step]] = {
    "whole": streamed(text(ANSWER), delta(reasoning_content=ANSWER), delta(tool_calls=[CALL]), finish(), usage(), DONE),
    "object": body(completion(ANSWER)),
    "cut": (SSE, Chunk(text(ANSWER)), Close()),
    "reset": (SSE, Chunk(text(ANSWER)), Reset()),
    "garbage": (SSE, Chunk(b"data: {" + ANSWER.encode() + b"\n\n")),
    "in the stream": (SSE, Chunk(text(ANSWER)), Chunk(b"data: " + str(REFUSAL).replace("'", '"').encode() + b"\n\n")),
    "401": body(REFUSAL, 401),
    "429": body(REFUSAL, 429),
    "500": body(REFUSAL, 500),
    "html": body(f"<html>{PROMPT} {KEY}</html>".encode(), 502, "Content-Type: text/html"),
}
REQUESTS: tuple[tuple[str, str, object], ...] = (
    *(("POST", "/api/chat", {"model": name, "messages": [{"role": "user", "content": PROMPT}]}) for name in REPLIES),
    ("POST", "/api/chat", {"model": "whole", "messages": [{"role": "user", "content": PROMPT, "images": [IMAGE]}]}),
    ("POST", "/api/chat", {"model": "whole", "messages": [{"role": PROMPT, "content": PROMPT}]}),
    ("POST", "/api/chat", {"model": "whole", "messages": PROMPT, "tools": PROMPT}),
    ("POST", "/api/chat", {"model": "whole", "messages": [], "options": {"temperature": PROMPT}}),
    ("POST", "/api/chat", {"model": "whole", "messages": [], "format": PROMPT, "keep_alive": PROMPT}),
    ("POST", "/api/generate", {"model": "object", "prompt": PROMPT, "system": PROMPT, "stream": False}),
    ("POST", "/api/generate", {"model": "whole", "prompt": PROMPT, "raw": True, "images": [PROMPT]}),
    ("POST", "/api/embed", {"model": "object", "input": [PROMPT]}),
    ("POST", "/api/chat", f'{{"model": "whole", "messages": [{{"content": "{PROMPT}"'.encode()),
    ("POST", "/api/chat", PROMPT.encode() + b"\xff\x00"),
    ("GET", f"/api/version?token={CLIENT}", None),
)
HEADERS = (
    f"Authorization: Bearer {CLIENT}",
    f"Cookie: session={CLIENT}",
    f"X-Request-Id: {CLIENT} {CLIENT}",
    f"Traceparent: {CLIENT}",
    f"Tracestate: a={CLIENT}",
    f"User-Agent: {CLIENT}",
    f"X-Forwarded-For: {CLIENT}",
)


async def everything(url: str) -> list[bytes]:
    """Send all requests, and some that are no HTTP; return what the host is told meanwhile."""
    for method, path, content in REQUESTS:
        async with RawClient(url) as client:
            await client.ask(method, path, content, *HEADERS, "Connection: close")
            await client.read_to_end()
    for nonsense in (PROMPT.encode() + b"\r\n\r\n", b"GET /" + CLIENT.encode() + b" HTTP/9.9\r\n\r\n"):
        async with RawClient(url) as client:
            await client.send(nonsense)
            await client.read_to_end()
    pages = []
    for path in ("/metrics", "/health"):
        async with RawClient(url) as client:
            await client.ask("GET", path)
            pages.append((await client.response()).body)
    return pages


@pytest.mark.parametrize("form", ["json", "text"])
async def test_m3_m4_nothing_private_is_written(tmp_path: Path, form: str) -> None:
    """M3, M4, G13: after all of it, at the most talkative level, neither log nor figures nor health hold any of it."""
    async with Upstream() as upstream:
        upstream.models = [{"id": name} for name in REPLIES]
        for name, steps in REPLIES.items():
            upstream.script(name, steps)
        backend = {"OPENAI_API_BASE_URL": upstream.url, "OPENAI_API_KEY": KEY}
        talkative = {"LOG_LEVEL": "debug", "LOG_FORMAT": form, "PYTHONASYNCIODEBUG": "1", "PYTHONDEVMODE": "1"}
        starting = served(tmp_path, "serve", **backend, **talkative, DRAIN_DELAY="0")
        proxy = await asyncio.to_thread(starting.__enter__)
        try:
            pages = await everything(proxy.url)
            proxy.process.terminate()
            await asyncio.to_thread(proxy.process.wait, PROMPTLY)
        finally:
            await asyncio.to_thread(starting.__exit__, None, None, None)
        assert len(upstream.posts) > len(REPLIES)
    eventually(lambda: "stopped" in proxy.out, within=PROMPTLY)
    for canary in CANARIES:
        for told in (proxy.out, proxy.err, *(page.decode() for page in pages)):
            assert canary not in told
    if form == "json":
        exchanges = [line for line in parsed(proxy.out + proxy.err) if line["message"] == "exchange"]
        assert len(exchanges) == len(REQUESTS)
