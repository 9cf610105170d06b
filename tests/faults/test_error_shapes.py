"""A backend's error in the shape of each vendor (reliability 2.I): the status and the sentence reach the client."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest

from support.proxy import proxied
from support.replies import DONE, SSE, body, completion, event, streamed, text
from support.scripted import Chunk, Close, Hold, Send, Status

NO_ROUTE = "the upstream has no such endpoint; check its base URL"
PLAIN = "Content-Type: text/plain"


async def refused(payload: Any, status: int, *headers: str) -> tuple[int, str, str | None]:
    """Return the status, the message and the Retry-After that clients get: the same streamed and whole."""
    async with proxied() as proxy:
        proxy.upstream.script("m", body(payload, status, *headers))
        answers = []
        for stream in (True, False):
            response = await proxy.chat(stream=stream)
            assert list(response.json) == ["error"]
            answers.append((response.status, response.json["error"], response.header("retry-after")))
        assert len(proxy.upstream.posts) == 2
        assert answers[0] == answers[1]
        return answers[0]


@pytest.mark.parametrize(("status", "kind"), [(400, "invalid_request_error"), (429, "tokens"), (500, "server_error")])
async def test_i1_openai(status: int, kind: str) -> None:
    """I1: OpenAI's object gives its message under the status it came with."""
    shape = {"error": {"message": "No.", "type": kind, "param": "x", "code": None}}
    assert await refused(shape, status) == (status, "No.", None)


async def test_i2_key_that_is_not_accepted(caplog: pytest.LogCaptureFixture) -> None:
    """I2: a key that is not accepted is ours, an ERROR in the log, and no fragment of it is shown there or here."""
    shape = {"error": {"message": "Incorrect API key provided: sk-ab***yz", "code": "invalid_api_key"}}
    assert await refused(shape, 401) == (502, "the upstream rejected the proxy's credentials", None)
    errors = [line.getMessage() for line in caplog.records if line.levelname == "ERROR"]
    assert errors == ["the upstream rejected the proxy's credentials; check OPENAI_API_KEY"]
    assert "sk-" not in caplog.text


@pytest.mark.parametrize(
    ("payload", "status", "message"),
    [
        ({"error": {"message": "The model `m` does not exist", "code": "model_not_found"}}, 404, "model 'm' not found"),
        ({"error": {"message": "gone", "code": "DeploymentNotFound"}}, 404, "model 'm' not found"),
        ({"detail": "Not Found"}, 502, NO_ROUTE),
        (b"<html>404</html>", 502, NO_ROUTE),
        (b"", 502, NO_ROUTE),
    ],
)
async def test_i3_two_kinds_of_404(payload: Any, status: int, message: str) -> None:
    """I3: a model that is missing is told from a base URL that is wrong."""
    assert await refused(payload, 404) == (status, message, None)


@pytest.mark.parametrize(
    "shape",
    [
        {"error": {"message": "No.", "type": "BadRequestError", "param": None, "code": 400}},
        {"object": "error", "message": "No.", "type": "BadRequestError", "param": None, "code": 400},
    ],
)
async def test_i4_vllm(shape: dict[str, Any]) -> None:
    """I4: vLLM's, whose code is a number, and its older one without `error`."""
    assert await refused(shape, 400) == (400, "No.", None)


async def test_i6_llama_cpp_loads() -> None:
    """I6: a model that is being loaded is 503, to be asked again in five seconds."""
    shape = {"error": {"code": 503, "message": "Loading model", "type": "unavailable_error"}}
    assert await refused(shape, 503) == (503, "Loading model", "5")


async def test_i6_llama_cpp_loads_within_a_stream() -> None:
    """I6: so is one that says so as the first event of a stream."""
    async with proxied() as proxy:
        shape = {"error": {"code": 503, "message": "Loading model", "type": "unavailable_error"}}
        proxy.upstream.script("m", streamed(event(shape)))
        response = await proxy.chat()
        assert (response.status, response.json, response.header("retry-after")) == (
            503,
            {"error": "Loading model"},
            "5",
        )


async def test_i7_openrouter() -> None:
    """I7: OpenRouter's, with what the provider behind it said."""
    raw = '{"error":{"message":"at most 64 tools"}}'
    shape = {"error": {"message": "Provider returned error", "code": 400, "metadata": {"raw": raw}}}
    assert await refused(shape, 400) == (400, "Provider returned error: at most 64 tools", None)


@pytest.mark.parametrize("code", [402, 429, 502])
async def test_i7_openrouter_under_200(code: int) -> None:
    """I7: a body that holds only an error says its status itself."""
    status, message, _ = await refused({"error": {"message": "No.", "code": code}}, 200)
    assert (status, message) == (code, "No.")


async def test_i8_azure() -> None:
    """I8: what Azure's filter scored stays here; its gateway's `statusCode` and `retry-after-ms` are understood."""
    scores = {"code": "ResponsibleAIPolicyViolation", "content_filter_result": {"hate": {"severity": "high"}}}
    shape = {"error": {"code": "content_filter", "message": "Filtered.", "innererror": scores, "status": 400}}
    assert await refused(shape, 400) == (400, "Filtered.", None)
    gateway = {"statusCode": 429, "message": "Rate limit is exceeded. Try again in 2 seconds."}
    told = await refused(gateway, 429, "Content-Type: application/json", "retry-after-ms: 1900")
    assert told == (429, "Rate limit is exceeded. Try again in 2 seconds.", "2")


@pytest.mark.parametrize(
    "added",
    [
        '\nTraceback (most recent call last):\n  File "/app/x.py"',
        "\nReceived Model Group=a",
        " Traceback (most recent call last): x",
    ],
)
async def test_i9_litellm(added: str) -> None:
    """I9: LiteLLM's sentence, without the traceback and the rest that it adds."""
    said = "litellm.BadRequestError: OpenAIException - No."
    shape = {"error": {"message": said + added, "type": None, "param": None, "code": "400"}}
    assert await refused(shape, 400) == (400, said, None)


@pytest.mark.parametrize(
    ("status", "kind", "expected", "wait"),
    [
        (422, "validation", 400, None),
        (424, "generation", 500, None),
        (429, "overloaded", 503, "5"),
        (500, "incomplete_generation", 502, None),
    ],
)
async def test_i10_tgi(status: int, kind: str, expected: int, wait: str | None) -> None:
    """I10: TGI's types say what its statuses do not."""
    assert await refused({"error": "No.", "error_type": kind}, status) == (expected, "No.", wait)


async def test_i11_fastapi() -> None:
    """I11: FastAPI's list is joined, without the input that it repeats."""
    first = {"type": "missing", "loc": ["body", "messages"], "msg": "Field required", "input": "canary-prompt"}
    second = {"type": "int_type", "loc": ["body", "n"], "msg": "No integer", "input": "canary-prompt"}
    joined = "body.messages: Field required; body.n: No integer"
    assert await refused({"detail": [first, second]}, 422) == (400, joined, None)
    assert await refused({"detail": "No."}, 400) == (400, "No.", None)


@pytest.mark.parametrize("status", [502, 503, 504])
async def test_i12_page(status: int) -> None:
    """I12: of a page for browsers only the status is told."""
    page = b"<html><head><title>Bad Gateway</title></head><body><center>cloudflare</center></body></html>"
    answer = (status, f"the upstream answered with status {status}")
    assert (await refused(page, status, "Content-Type: text/html"))[:2] == answer


GENERIC = "the upstream answered with status 500"


@pytest.mark.parametrize(
    ("payload", "message"),
    [
        (b"out of memory", "out of memory"),
        (b"", GENERIC),
        (b'{"error":{"message":"cut', GENERIC),
        (gzip.compress(b'{"error":"x"}'), GENERIC),
        (bytes(range(256)), GENERIC),
        (b'{"error":' * 20_000, GENERIC),
        (b"null", GENERIC),
        (b"[]", GENERIC),
        (b"5", GENERIC),
    ],
)
async def test_i13_no_json(payload: bytes, message: str) -> None:
    """I13: plain words are told; nothing, halves, packed and binary bodies give way to the status."""
    assert await refused(payload, 500, PLAIN) == (500, message, None)


async def test_i13_body_that_ends_too_early_or_never() -> None:
    """I13: a body that was cut, or that never ends, takes nothing from the status."""
    head = Status(500, "Content-Type: application/json", "Content-Length: 100")
    async with proxied(error_timeout=0.2) as proxy:
        for last in (Close(), Hold()):
            proxy.upstream.script("m", (head, Send(b'{"error":'), last))
            response = await proxy.chat()
            assert (response.status, response.json) == (500, {"error": GENERIC})


async def test_i14_anthropic() -> None:
    """I14: 529 is Anthropic's for 503, to be asked again in five seconds."""
    shape = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    assert await refused(shape, 529) == (503, "Overloaded", "5")


async def test_i15_google() -> None:
    """I15: Google's comes in a list."""
    shape = [{"error": {"code": 400, "message": "No.", "status": "INVALID_ARGUMENT"}}]
    assert await refused(shape, 400) == (400, "No.", None)


@pytest.mark.parametrize(
    "shape", [{"error": "No."}, {"message": "No."}, {"errors": [{"message": "No."}]}, {"title": "No."}]
)
async def test_i16_ollama_bedrock_cohere(shape: dict[str, Any]) -> None:
    """I16: a plain string, a bare message, a list of errors, a problem's title."""
    assert await refused(shape, 400) == (400, "No.", None)


async def test_i17_event_named_error() -> None:
    """I17: an event named `error` is one, with the details that it tells: a line after text, else a status."""
    named = b'event: error\ndata: {"code":400,"details":"Blocked"}\n\n'
    async with proxied() as proxy:
        proxy.upstream.script("m", streamed(named), streamed(text("Hi"), named))
        response = await proxy.chat()
        assert (response.status, response.json) == (400, {"error": "Blocked"})
        first, last = (await proxy.chat()).lines
        assert (first["message"]["content"], last) == ("Hi", {"error": "Blocked"})


async def test_i5_vllm_in_mid_stream() -> None:
    """I5: vLLM's `[DONE]` after its error does not make the stream complete."""
    shape = {"error": {"message": "Engine died", "type": "InternalServerError", "param": None, "code": 500}}
    async with proxied() as proxy:
        proxy.upstream.script("m", streamed(text("Hi"), event(shape), DONE))
        *_, last = (await proxy.chat()).lines
        assert last == {"error": "Engine died"}


async def test_i18_first_event() -> None:
    """I18: an error that comes first under status 200 is a status for the client, and the backend is let go."""
    async with proxied() as proxy:
        shape = {"error": {"message": "No.", "code": 429}}
        proxy.upstream.script("m", (SSE, Chunk(event(shape)), Hold()))
        response = await proxy.chat()
        assert (response.status, response.json) == (429, {"error": "No."})
        await proxy.upstream.peer_left()


async def test_j15_one_attempt() -> None:
    """J15: what fails for what was said, by either side, is asked once: nothing of it is tried again."""
    call = {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{no json"}}
    odd = completion()
    odd["choices"][0]["message"]["tool_calls"] = [call]
    scripts = [
        body({"error": {"message": "bad tool call"}}, 400),
        body({"error": {"message": "broke"}}, 500),
        body(b"no json"),
        body(json.dumps(odd).encode()[:-9]),
        body([]),
        body({"choices": []}),
        streamed(b"data: {no json\n\n"),
        streamed(event([5])),
        streamed(event({"choices": [{"delta": {"tool_calls": "x"}}]})),
        streamed(event({"error": {"message": "broke", "code": 500}})),
    ]
    async with proxied() as proxy:
        for count, script in enumerate(scripts, 1):
            proxy.upstream.script("m", script)
            response = await proxy.chat(stream=count % 2 == 0)
            assert response.status >= 400 or "error" in response.lines[-1]
            assert len(proxy.upstream.posts) == count
        bad = [{"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": "{no"}}]}]
        assert (await proxy.chat(messages=bad)).status == 400
        assert len(proxy.upstream.posts) == len(scripts)
