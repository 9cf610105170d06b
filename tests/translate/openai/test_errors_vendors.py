"""Error replies in each vendor's real shape (rows I1 to I18): status, body, and what a client is told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ollama_openai_proxy.errors import UpstreamRefused
from ollama_openai_proxy.translate.openai.errors import decode_error

RECORDINGS = Path(__file__).parents[2] / "recordings"


def openai(message: str, kind: str = "invalid_request_error", code: Any = None, **more: Any) -> dict[str, Any]:
    return {"error": {"message": message, "type": kind, "param": None, "code": code, **more}}


def openrouter(message: str, code: int, **metadata: Any) -> dict[str, Any]:
    return {"error": {"message": message, "code": code, "metadata": metadata}, "user_id": "user_2wqU29q2"}


RATE_LIMITED = "z-ai/glm-4.5-air:free is temporarily rate-limited upstream. Please retry shortly, or add your own key"
PROVIDER = '{"error":{"code":"invalid_request_error","message":"at most 64 tools are allowed"}}\n'
LITELLM = "litellm.BadRequestError: OpenAIException - Invalid 'tools': empty array."
FILTERED = "The response was filtered due to the prompt triggering Azure OpenAI's content management policy."
SCORES = {"code": "ResponsibleAIPolicyViolation", "content_filter_result": {"hate": {"severity": "high"}}}
VALIDATION = [
    {"type": "missing", "loc": ["body", "messages"], "msg": "Field required", "input": {"prompt": "my secret"}},
    {"type": "int_type", "loc": ["body", "n"], "msg": "Input should be an integer", "input": "my secret"},
]
GENERIC = "the upstream answered with status {}"

RATE = "Rate limit is exceeded. Try again in 1 seconds."
TOO_LONG = "Input validation error: `inputs` must have less than 4096 tokens"
VENDORS = [
    pytest.param(400, openai("Invalid 'temperature': 3"), 400, "Invalid 'temperature': 3", id="I1 OpenAI 400"),
    pytest.param(
        429,
        openai("Rate limit reached for gpt-4o", "requests", "rate_limit_exceeded"),
        429,
        "Rate limit reached for gpt-4o",
        id="I1 OpenAI 429",
    ),
    pytest.param(
        500, openai("The server had an error", "server_error"), 500, "The server had an error", id="I1 OpenAI 500"
    ),
    pytest.param(
        400,
        openai("max_tokens must be at least 1", "BadRequestError", 400),
        400,
        "max_tokens must be at least 1",
        id="I4 vLLM",
    ),
    pytest.param(
        400,
        {"object": "error", "message": "too long", "type": "BadRequestError", "param": None, "code": 400},
        400,
        "too long",
        id="I4 older vLLM",
    ),
    pytest.param(
        503,
        {"error": {"code": 503, "message": "Loading model", "type": "unavailable_error"}},
        503,
        "Loading model",
        id="I6 llama.cpp loads",
    ),
    pytest.param(402, openrouter("Insufficient credits", 402), 402, "Insufficient credits", id="I7 OpenRouter 402"),
    pytest.param(
        429,
        openrouter("Provider returned error", 429, raw=RATE_LIMITED, provider_name="Z.AI"),
        429,
        f"Provider returned error: {RATE_LIMITED}",
        id="I7 OpenRouter, the provider's text",
    ),
    pytest.param(
        400,
        openrouter("Provider returned error", 400, raw=PROVIDER),
        400,
        "Provider returned error: at most 64 tools are allowed",
        id="I7 OpenRouter, the provider's JSON",
    ),
    pytest.param(
        502,
        openrouter("Provider returned error", 502, raw=None),
        502,
        "Provider returned error",
        id="I7 OpenRouter, the provider said nothing",
    ),
    pytest.param(
        400,
        {"error": {"code": "content_filter", "message": FILTERED, "innererror": SCORES, "status": 400}},
        400,
        FILTERED,
        id="I8 Azure content filter",
    ),
    pytest.param(429, {"statusCode": 429, "message": RATE}, 429, RATE, id="I8 Azure gateway"),
    pytest.param(
        400,
        openai(f'{LITELLM}\nTraceback (most recent call last):\n  File "/app/x.py"', "None", "400"),
        400,
        LITELLM,
        id="I9 LiteLLM",
    ),
    pytest.param(
        422,
        {"error": TOO_LONG, "error_type": "validation"},
        400,
        f"the input exceeds the context length: {TOO_LONG}",
        id="I10 TGI",
    ),
    pytest.param(
        424,
        {"error": "Request failed during generation", "error_type": "generation"},
        500,
        "Request failed during generation",
        id="I10 TGI generation",
    ),
    pytest.param(
        429,
        {"error": "Model is overloaded", "error_type": "overloaded"},
        503,
        "Model is overloaded",
        id="I10 TGI overloaded",
    ),
    pytest.param(
        500,
        {"error": "Incomplete generation", "error_type": "incomplete_generation"},
        502,
        "Incomplete generation",
        id="I10 TGI incomplete",
    ),
    pytest.param(400, {"error": "no", "error_type": ["odd"]}, 400, "no", id="no type of TGI's"),
    pytest.param(
        422,
        {"detail": VALIDATION},
        400,
        "body.messages: Field required; body.n: Input should be an integer",
        id="I11 FastAPI validation",
    ),
    pytest.param(400, {"detail": "bad thing"}, 400, "bad thing", id="I11 FastAPI"),
    pytest.param(
        529,
        {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}, "request_id": "r"},
        503,
        "Overloaded",
        id="I14 Anthropic",
    ),
    pytest.param(
        529,
        {"type": "error", "error": {"type": "overloaded_error"}},
        503,
        GENERIC.format(529),
        id="I14 Anthropic, no message",
    ),
    pytest.param(
        400,
        [{"error": {"code": 400, "message": "API key not valid.", "status": "INVALID_ARGUMENT"}}],
        400,
        "API key not valid.",
        id="I15 Google",
    ),
    pytest.param(400, {"error": "invalid character 'x'"}, 400, "invalid character 'x'", id="I16 Ollama"),
    pytest.param(400, {"message": "Malformed input request"}, 400, "Malformed input request", id="I16 Bedrock, Cohere"),
    pytest.param(400, {"errors": [{"message": "first"}, {"message": "second"}]}, 400, "first; second", id="errors"),
    pytest.param(
        400, {"type": "about:blank", "title": "Bad Request", "status": 400}, 400, "Bad Request", id="RFC 9457"
    ),
    pytest.param(
        400, {"error": {"message": "", "code": 1}, "message": "outer"}, 400, "outer", id="an empty message is none"
    ),
]


@pytest.mark.parametrize(("status", "body", "expected", "message"), VENDORS)
def test_each_vendor_is_understood(status: int, body: Any, expected: int, message: str) -> None:
    """The vendor's own sentence reaches the client, and nothing of what surrounds it."""
    error = decode_error(status, json.dumps(body).encode(), model="m")
    assert isinstance(error, UpstreamRefused)
    assert (error.status, error.message) == (expected, message)


def test_a_real_refusal_of_llama_cpp() -> None:
    """I6: 400 with the words `context` and `exceed`, which tests and agents look for (contract 11.6)."""
    error = decode_error(400, (RECORDINGS / "llamacpp-error-context.json").read_bytes(), model="m")
    assert (error.status, error.outcome) == (400, "up_4xx")
    assert error.message == (
        "request (3010 tokens) exceeds the available context size (2048 tokens), try increasing it"
    )


PAGE = b"<html>\r\n<head><title>502 Bad Gateway</title></head><body>nginx</body></html>"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        pytest.param(PAGE, GENERIC.format(502), id="I12 nginx"),
        pytest.param(b"<!DOCTYPE html><h1>Bad Gateway</h1>", GENERIC.format(502), id="I12 Cloudflare"),
        pytest.param(PAGE * 20_000, GENERIC.format(502), id="I12 a page of 2 MB"),
        pytest.param(b'{"message":"<html><body>no</body></html>"}', GENERIC.format(502), id="I12 a page in JSON"),
        pytest.param(b'{"error":"<h1>Bad Gateway</h1>"}', GENERIC.format(502), id="I12 a piece of a page"),
        pytest.param(b"error: <p>no</p>", GENERIC.format(502), id="I12 markup in text"),
        pytest.param(b"upstream connect error or disconnect", "upstream connect error or disconnect", id="I13 text"),
        pytest.param(b"", GENERIC.format(502), id="I13 empty"),
        pytest.param(b" \r\n", GENERIC.format(502), id="I13 blank"),
        pytest.param(b'{"error":{"message":"cut of', GENERIC.format(502), id="I13 half"),
        pytest.param(b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\xab", GENERIC.format(502), id="I13 gzip"),
        pytest.param(b"\x00\x01\x02\x03", GENERIC.format(502), id="I13 binary"),
        pytest.param(b'\xef\xbb\xbf{"error":{"message":"no"}}', "no", id="a byte order mark before the JSON"),
        pytest.param(b'{"error":{"message":"caf\xe9"}}', "caf\ufffd", id="no UTF-8"),
        pytest.param(b'{"error":{"message":"use <think> & <|im_end|>"}}', "use <think> & <|im_end|>", id="no markup"),
    ],
)
def test_what_is_not_for_people_is_not_relayed(body: bytes, message: str) -> None:
    """I12, I13: pages, binary and half a body give way to a sentence with the status."""
    assert decode_error(502, body).message == message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param('{"error":{"message":"inner"}}', "inner", id="JSON in text"),
        pytest.param('{"detail":[{"msg":"inner"}]}', "inner", id="another vendor's JSON in text"),
        pytest.param('"quoted"', "quoted", id="text in text"),
        pytest.param("123", GENERIC.format(400), id="a number"),
        pytest.param("null", GENERIC.format(400), id="null"),
        pytest.param('{"a":1}', GENERIC.format(400), id="JSON without a message"),
        pytest.param("[1,2]", GENERIC.format(400), id="a list"),
        pytest.param("{not json}", "{not json}", id="only looks like it"),
    ],
)
def test_the_message_is_never_json_itself(text: str, message: str) -> None:
    """Contract 10.1, 11.6: the official Python client parses the text, and breaks on JSON that is no object."""
    assert decode_error(400, json.dumps({"error": {"message": text}}).encode()).message == message
