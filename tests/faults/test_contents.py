"""What requests hold that is meant to hurt (reliability B3, B4, T21, M9, M10): refused, without holding up the rest."""

from __future__ import annotations

import asyncio
import json
import tracemalloc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import pytest_asyncio

from support.proxy import Proxy, proxied
from support.replies import HI

pytestmark = pytest.mark.asyncio(loop_scope="module")

MIB = 1024 * 1024
HELD = 0.5  # seconds: ten times what the loop may be held
MESSAGES = b'"messages":[{"role":"user","content":"hi"}]'
MISMATCH = "json: cannot unmarshal {} into Go struct field ChatRequest.{} of type {}"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def proxy() -> AsyncIterator[Proxy]:
    async with proxied() as running:
        running.upstream.script("m", HI)
        yield running


@asynccontextmanager
async def never_held(seconds: float) -> AsyncIterator[None]:
    """Check that the loop, which the proxy and the test share, is never held longer than that."""
    longest = 0.0
    now = asyncio.get_running_loop().time

    async def tick() -> None:
        nonlocal longest
        last = now()
        while True:
            await asyncio.sleep(0.01)
            longest = max(longest, now() - last)
            last = now()

    ticking = asyncio.create_task(tick())
    try:
        yield
    finally:
        await asyncio.sleep(0.02)
        ticking.cancel()
    assert longest < seconds


def body(member: bytes) -> bytes:
    return b'{"model":"m",' + MESSAGES + b"," + member + b"}"


def nested(field: bytes, depth: int) -> bytes:
    return body(b'"%b":' % field + b"[" * depth + b"]" * depth)


HURTS: dict[str, tuple[bytes, str]] = {
    **{f"depth in {field.decode()}": (nested(field, 100_000), "exceeded max depth") for field in (b"x", b"format")},
    "depth in options": (body(b'"options":{"x":' + b'{"a":' * 100_000 + b"1" + b"}" * 100_001), "exceeded max depth"),
    "depth in a tool": (body(b'"tools":[{"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}]"), "exceeded max depth"),
    "5,000 digits": (
        body(b'"top_logprobs":' + b"9" * 5000),
        MISMATCH.format("number " + "9" * 100, "top_logprobs", "int"),
    ),
    "1e999": (body(b'"options":{"seed":1e999}'), MISMATCH.format("number 1e999", "options", "float64")),
    "NaN": (body(b'"options":{"seed":NaN}'), "invalid character 'N' looking for beginning of value"),
    "Infinity": (body(b'"options":{"seed":Infinity}'), "invalid character 'I' looking for beginning of value"),
    "-Infinity": (body(b'"options":{"seed":-Infinity}'), "invalid character 'I' in numeric literal"),
}


@pytest.mark.parametrize(("data", "message"), HURTS.values(), ids=HURTS.keys())
async def test_b3_t21_bombs(proxy: Proxy, data: bytes, message: str) -> None:
    """B3, T21: nesting and numbers that no decoder survives are 400, at once, and nobody is asked."""
    asked = len(proxy.upstream.posts)
    async with never_held(HELD):
        response = await proxy.ask("POST", "/api/chat", data)
    assert (response.status, response.json) == (400, {"error": message})
    assert len(proxy.upstream.posts) == asked


TAKEN: dict[str, tuple[bytes, str]] = {
    "half of a surrogate pair": (b'{"role":"user","content":"a\\ud800b"}', "a\ufffdb"),
    "a surrogate pair": (b'{"role":"user","content":"\\ud83d\\ude00"}', "\U0001f600"),
    "a key twice": (b'{"role":"user","content":"x","content":"y"}', "y"),
    "NUL in a key": (b'{"role":"user","content":"y","a\\u0000b":1}', "y"),
    "NUL in a text": (b'{"role":"user","content":"a\\u0000b"}', "a\x00b"),
}


@pytest.mark.parametrize(("message", "content"), TAKEN.values(), ids=TAKEN.keys())
async def test_b3_what_go_takes(proxy: Proxy, message: bytes, content: str) -> None:
    """B3: as Go does: the last of a key counts, half a pair is U+FFFD, and NUL is a character."""
    response = await proxy.ask("POST", "/api/chat", b'{"model":"m","messages":[' + message + b"]}")
    assert response.status == 200
    assert proxy.upstream.posts[-1].json["messages"] == [{"role": "user", "content": content}]


MANY_VALUES = "request body has too many values"
HEAPS: dict[str, tuple[bytes, int, str]] = {
    "100,000 messages": (b'{"model":"m","messages":[' + b'{"role":"user"},' * 99_999 + b"{}]}", 400, MANY_VALUES),
    "10,001 messages": (
        b'{"model":"m","messages":[' + b'{"role":"user"},' * 10_000 + b"{}]}",
        400,
        "too many messages: at most 10000 are taken",
    ),
    "513 tools": (body(b'"tools":[' + b"{}," * 512 + b"{}]"), 400, "too many tools: at most 512 are taken"),
    "millions of tools": (body(b'"tools":[' + b"{}," * 2_000_000 + b"{}]"), 400, MANY_VALUES),
    "a name of a megabyte": (b'{"model":"' + b"x" * MIB + b'",' + MESSAGES + b"}", 400, "invalid model name"),
    "a name of 300 characters": (b'{"model":"' + b"x" * 300 + b'",' + MESSAGES + b"}", 400, "invalid model name"),
    "a tool of 10 MB": (body(b'"tools":[{"x":[' + b'"aaaaaaaa",' * 900_000 + b'"a"]}]'), 400, MANY_VALUES),
    "a million keys": (
        body(b'"options":{' + b",".join(b'"k%d":1' % key for key in range(1_000_000)) + b"}"),
        400,
        MANY_VALUES,
    ),
    "millions of numbers": (body(b'"context":[' + b"1," * 8_000_000 + b"1]"), 400, MANY_VALUES),
    "wrong at its end": (body(b'"x":[' + b'"a",' * 150_000 + b'"a"],'), 400, "invalid request body"),
    "a wrong type at its end": (body(b'"x":[' + b'"a",' * 150_000 + b'"a"],"stream":5'), 400, "invalid request body"),
    "a text that is wrong after it": (
        body(b'"x":"' + b"{[,a" * 4 * MIB + b'",'),
        400,
        "invalid character '}' looking for beginning of object key string",
    ),
}


@pytest.mark.parametrize(("data", "status", "message"), HEAPS.values(), ids=HEAPS.keys())
async def test_b4_m9_heaps(proxy: Proxy, data: bytes, status: int, message: str) -> None:
    """B4, M9: too much of anything is 400; finding that out holds up nobody for long."""
    asked = len(proxy.upstream.posts)
    async with never_held(2 * HELD):
        response = await proxy.ask("POST", "/api/chat", data)
    assert (response.status, response.json) == (status, {"error": message})
    assert len(proxy.upstream.posts) == asked


async def test_b4_as_much_as_is_taken(proxy: Proxy) -> None:
    """B4: ten thousand messages, 512 tools and texts of any length are a request; so with fields nobody knows."""
    tools = [{"type": "function", "function": {"name": f"f{number}", "parameters": {}}} for number in range(512)]
    messages = [{"role": "user", "content": "{[,"}] * 9_999 + [{"role": "user", "content": "{[," * 200_000}]
    data = json.dumps({"unknown": [{}], "model": "m", "messages": messages, "tools": tools}).encode()
    response = await proxy.ask("POST", "/api/chat", data)
    assert response.status == 200
    sent = proxy.upstream.posts[-1].json
    assert (len(sent["messages"]), len(sent["tools"]), len(sent["messages"][-1]["content"])) == (10_000, 512, 600_000)


AMPLIFIED = {
    "empty messages": b'{"model":"m","messages":[' + b"{}," * 9_000 + b"{}]}",
    "keys": body(b'"options":{' + b",".join(b'"%d":1' % key for key in range(9_000)) + b"}"),
    "arrays": body(b'"think":[' + b"[]," * 9_000 + b"[]]"),
    "odd arrays": body(b'"THINK":[' + b"[]," * 9_000 + b"[]]"),
    "numbers": body(b'"think":[' + b"1e9," * 9_000 + b"1]"),
    "a form": b"a=b&" * 9_000,
    "a template": b'{"model":"m","prompt":"x","template":"' + b"{{.Prompt}}" * 1400 + b'"}',
}


@pytest.mark.parametrize("data", AMPLIFIED.values(), ids=AMPLIFIED.keys())
async def test_m10_amplification(proxy: Proxy, data: bytes) -> None:
    """M10: no request makes the proxy hold a hundred times its own size."""
    tracemalloc.start()
    try:
        await proxy.ask("POST", "/api/generate" if b"template" in data else "/api/chat", data)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 100 * len(data)


WORST_TEMPLATES = ["{{1}}" * 3276, "{{.Prompt}}" * 1400, "{{and " + "1 " * 8000 + "}}", "{{if 1}}a{{end}}" * 1000]


@pytest.mark.parametrize("template", WORST_TEMPLATES, ids=range(len(WORST_TEMPLATES)))
async def test_m10_templates(proxy: Proxy, template: str) -> None:
    """M10: a template that is all work is refused before it has cost much."""
    async with never_held(HELD):
        response = await proxy.ask("POST", "/api/generate", {"model": "m", "prompt": "x", "template": template})
    assert (response.status, response.json) == (400, {"error": "template error: it has too many actions"})
