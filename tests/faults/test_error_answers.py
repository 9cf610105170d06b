"""The upstream answers with an error of its own (reliability 2.I): its class and words, and nothing that is private."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import Sequence
from typing import Any

import pytest

from support.proxy import proxied
from support.replies import DONE, HI, SSE, body, completion, delta, event, finish, streamed, text
from support.scripted import Chunk, Flood, Hold, Status, Step

NOT_ACCEPTED = "the upstream rejected the proxy's credentials"
NO_ENDPOINT = "the upstream has no such endpoint; check its base URL"
# https://platform.openai.com/docs/guides/error-codes
NO_KEY = {
    "error": {
        "message": "Incorrect API key provided: sk-ab***yz. You can find your API key at https://platform.openai.com.",
        "type": "invalid_request_error",
        "param": None,
        "code": "invalid_api_key",
    }
}
# https://github.com/ggml-org/llama.cpp/tree/master/tools/server
TOO_LONG: dict[str, dict[str, Any]] = {
    "error": {
        "code": 400,
        "message": "the request exceeds the available context size, try increasing it",
        "type": "exceed_context_size_error",
        "n_prompt_tokens": 5000,
        "n_ctx": 4096,
    }
}
LOADING = {"error": {"code": 503, "message": "Loading model", "type": "unavailable_error"}}
PAGE = b"<html>\r\n<head><title>502 Bad Gateway</title></head><body>nginx</body></html>"
HTML = "Content-Type: text/html"


def openai(message: str, kind: str = "invalid_request_error", code: object = None) -> dict[str, Any]:
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


STATUSES: dict[str, tuple[Sequence[Step], int, str]] = {
    "I1 400": (body(openai("Invalid 'temperature'"), 400), 400, "Invalid 'temperature'"),
    "I1 422": (body(openai("Unprocessable"), 422), 400, "Unprocessable"),
    "I1 429": (body(openai("Rate limit reached", "requests"), 429), 429, "Rate limit reached"),
    "I1 500": (body(openai("The server had an error", "server_error"), 500), 500, "The server had an error"),
    "I1 503": (body(openai("Overloaded", "server_error"), 503), 503, "Overloaded"),
    "I2 401": (body(NO_KEY, 401), 502, NOT_ACCEPTED),
    "I2 403": (body(openai("Country not supported"), 403), 502, "Country not supported"),
    "I3 no such model": (
        body(openai("The model `m` does not exist", code="model_not_found"), 404),
        404,
        "model 'm' not found",
    ),
    "I3 no such route": (body({"detail": "Not Found"}, 404), 502, NO_ENDPOINT),
    "I3 no such page": (body(b"<html>404</html>", 404, HTML), 502, NO_ENDPOINT),
    "I6 context": (body(TOO_LONG, 400), 400, TOO_LONG["error"]["message"]),
    "I6 loading": (body(LOADING, 503), 503, "Loading model"),
    "I12 page": (body(PAGE, 502, HTML), 502, "the upstream answered with status 502"),
    "I13 gzip": (
        body(gzip.compress(json.dumps(LOADING).encode()), 500, "Content-Encoding: gzip"),
        500,
        "Loading model",
    ),
    "I13 nothing": (body(b"", 500), 500, "the upstream answered with status 500"),
    "I14 529": (body(openai("Overloaded"), 529), 503, "Overloaded"),
}


@pytest.mark.parametrize(("steps", "status", "message"), STATUSES.values(), ids=STATUSES.keys())
async def test_i1_i2_i3_i6_i12_i13_i14_status(steps: Sequence[Step], status: int, message: str) -> None:
    """An error status is a status for the client, with a plain string (R10), for streams too."""
    async with proxied() as proxy:
        proxy.upstream.script("m", steps)
        for stream in (True, False):
            response = await proxy.chat(stream=stream)
            assert (response.status, response.json) == (status, {"error": message})
            assert response.all("content-type") == ["application/json" if stream else "application/json; charset=utf-8"]


FIRST_EVENTS: dict[str, tuple[bytes, int, str]] = {
    "I18 OpenAI": (event(openai("The server had an error", "server_error")), 502, "The server had an error"),
    "I6 llama.cpp": (event(TOO_LONG), 400, TOO_LONG["error"]["message"]),
    "I7 OpenRouter": (event({"error": {"code": 429, "message": "Rate limited"}}), 429, "Rate limited"),
    "I4 vLLM": (event({"object": "error", "message": "Bad", "type": "BadRequestError", "code": 400}), 400, "Bad"),
    "I6 llama.cpp, a field of its own": (
        b"error: " + json.dumps(TOO_LONG["error"]).encode() + b"\n\n",
        400,
        TOO_LONG["error"]["message"],
    ),
    "I14 Anthropic": (
        b"event: error\n" + event({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}),
        503,
        "Overloaded",
    ),
    "I17 named": (b'event: error\ndata: {"code":400,"details":"Blocked"}\n\n', 400, "Blocked"),
}


@pytest.mark.parametrize(("first", "status", "message"), FIRST_EVENTS.values(), ids=FIRST_EVENTS.keys())
async def test_i18_error_as_first_event(first: bytes, status: int, message: str) -> None:
    """I18: an error that comes as the first event of a stream is a status, not a stream with an error line."""
    async with proxied() as proxy:
        proxy.upstream.script("m", (SSE, Chunk(b": hold on\n\n"), Chunk(delta(role="assistant")), Chunk(first), Hold()))
        response = await proxy.chat()
        assert (response.status, response.json) == (status, {"error": message})
        await proxy.upstream.peer_left(within=1.0)


async def test_i7_error_under_200() -> None:
    """I7: a whole reply with status 200 that holds only an error takes its status from the error."""
    async with proxied() as proxy:
        proxy.upstream.script("m", body({"error": {"code": 402, "message": "Insufficient credits"}}))
        for stream in (True, False):
            response = await proxy.chat(stream=stream)
            assert (response.status, response.json) == (402, {"error": "Insufficient credits"})


# https://openrouter.ai/docs/api-reference/streaming
PROVIDER_FAILED = {
    "error": {"code": "server_error", "message": "Provider disconnected"},
    "choices": [{"index": 0, "delta": {"content": ""}, "finish_reason": "error"}],
}
LATE: dict[str, tuple[Sequence[bytes], str]] = {
    "I7 OpenRouter": ((event(PROVIDER_FAILED), DONE), "Provider disconnected"),
    "I5 vLLM": ((event({"error": {"message": "Engine died", "code": 500}}), DONE), "Engine died"),
    "I17 named": ((b'event: error\ndata: {"error":{"message":"Blocked"}}\n\n',), "Blocked"),
    "text after it": ((event(openai("broke")), text("more"), finish(), DONE), "broke"),
}


@pytest.mark.parametrize(("events", "message"), LATE.values(), ids=LATE.keys())
async def test_i5_i7_error_in_mid_stream(events: Sequence[bytes], message: str) -> None:
    """I5, I7: an error after text is the last line, and no line is done."""
    async with proxied() as proxy:
        proxy.upstream.script("m", streamed(text("Hi"), *events))
        first, *rest = (await proxy.chat()).lines
        assert (first["message"]["content"], first["done"]) == ("Hi", False)
        assert rest == [{"error": message}]


async def test_i5_error_in_mid_stream_of_a_whole_reply() -> None:
    """I5, 2.0: where the client waits for the whole reply, an error in mid-stream is a status."""
    async with proxied() as proxy:
        proxy.upstream.script("m", streamed(text("Hi"), event(openai("broke", "server_error"))))
        response = await proxy.chat(stream=False)
        assert (response.status, response.json) == (502, {"error": "broke"})


async def test_i12_big_error_page() -> None:
    """I12: of a page of many megabytes a part is read, then the upstream is let go."""
    async with proxied() as proxy:
        proxy.upstream.script(
            "m", (Status(502, HTML, "Transfer-Encoding: chunked"), Flood(b"<p>" * 20_000, 500), Hold())
        )
        async with asyncio.timeout(3.0):  # less than an error body may take
            response = await proxy.chat()
        assert (response.status, response.json) == (502, {"error": "the upstream answered with status 502"})
        await proxy.upstream.peer_left(within=1.0)


async def test_after_an_error() -> None:
    """An error answer leaves its connection fit for the next request."""
    async with proxied() as proxy:
        proxy.upstream.script("m", body(openai("no"), 400), HI, body(completion()))
        assert (await proxy.chat()).status == 400
        assert (await proxy.chat()).status == 200
