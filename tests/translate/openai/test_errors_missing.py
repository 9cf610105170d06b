"""Status 404 (row I3): a model that is missing, a route that is, and what else backends call so."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ollama_openai_proxy.errors import InvalidRequest, ModelNotFound, UpstreamRefused
from ollama_openai_proxy.translate.openai.errors import decode_error

GOOGLE = "models/m is not found for API version v1main, or is not supported for generateContent."
MISSING = [
    pytest.param(
        {
            "error": {
                "message": "The model `m` does not exist or you do not have access to it.",
                "code": "model_not_found",
            }
        },
        id="I3 OpenAI",
    ),
    pytest.param({"error": {"message": "Not here", "code": "model_not_found"}}, id="I3 by its code alone"),
    pytest.param(
        {"error": {"message": "The model `m` does not exist.", "type": "NotFoundError", "param": None, "code": 404}},
        id="I3 vLLM",
    ),
    pytest.param(
        {"object": "error", "message": "The model `m` does not exist.", "type": "NotFoundError", "code": 404},
        id="I3 older vLLM",
    ),
    pytest.param(
        {"error": {"code": "DeploymentNotFound", "message": "The API deployment for this resource does not exist."}},
        id="I8 Azure",
    ),
    pytest.param({"error": "model 'm' not found"}, id="I16 Ollama"),
    pytest.param({"type": "error", "error": {"type": "not_found_error", "message": "model: m"}}, id="Anthropic"),
    pytest.param([{"error": {"code": 404, "message": GOOGLE, "status": "NOT_FOUND"}}], id="Google"),
]


@pytest.mark.parametrize("body", MISSING)
def test_a_model_that_the_backend_does_not_have_is_not_found(body: Any) -> None:
    """I3: 404 in the words of the client's API, with the model as the client spelled it."""
    error = decode_error(404, json.dumps(body).encode(), model="M:latest")
    assert isinstance(error, ModelNotFound)
    assert error.model == "M:latest"


NO_ROUTE = "the upstream has no such endpoint; check its base URL"


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b'{"detail":"Not Found"}', id="I3 FastAPI"),
        pytest.param(b"<html><body>404</body></html>", id="I3 a page"),
        pytest.param(b"404 page not found", id="Go"),
        pytest.param(b"", id="empty"),
        pytest.param(b'{"error":{"message":"Invalid URL (POST /v1/v1/chat/completions)","code":null}}', id="OpenAI"),
        pytest.param(b'{"error":{"code":404,"message":"File Not Found","type":"not_found_error"}}', id="llama.cpp"),
        pytest.param(b'{"error":{"message":"Unknown request URL: POST /v1/x. Please check the URL"}}', id="Groq"),
        pytest.param(b'{"error":{"code":"404","message":"Resource not found"}}', id="Azure"),
        pytest.param(b'{"message":"no Route matched with those values"}', id="Kong"),
        pytest.param(b'{"error":"Cannot POST /chat/completions"}', id="Express"),
    ],
)
def test_a_route_that_the_backend_does_not_have_is_a_wrong_base_url(body: bytes) -> None:
    """I3: the operator's mistake is not the client's missing model."""
    error = decode_error(404, body, model="m")
    assert isinstance(error, UpstreamRefused)
    assert (error.status, error.message) == (502, NO_ROUTE)


@pytest.mark.parametrize(
    "message",
    [
        "No endpoints found that support tool use. To learn more about provider routing, read the docs",
        "No endpoints found matching your data policy (Free model publication).",
        "This is not a chat model and thus not supported in the v1/chat/completions endpoint.",
        "This model is only supported in v1/responses and not in v1/chat/completions.",
    ],
)
def test_other_reasons_for_404_are_told(message: str) -> None:
    """OpenRouter and OpenAI answer 404 to requests that a model they have can't serve: only their text helps."""
    error = decode_error(404, json.dumps({"error": {"message": message, "code": 404}}).encode(), model="m")
    assert isinstance(error, UpstreamRefused)
    assert (error.status, error.message, error.outcome) == (404, message, "up_4xx")


def test_without_a_model_there_is_none_to_miss() -> None:
    """A list of models that is not there is a route that is not there, whatever the text says."""
    error = decode_error(404, b'{"error":{"message":"model not found","code":404}}')
    assert (error.status, error.message) == (502, NO_ROUTE)


@pytest.mark.parametrize("status", [404, 405, 501])
def test_a_route_that_the_request_asked_for(status: int) -> None:
    """Contract 5.7: where only what was asked needs the route, the client's words for that are told, as its mistake."""
    body = b'{"error":{"message":"Not Found","code":404}}'
    error = decode_error(status, body, model="m", no_route="m does not support insert")
    assert (type(error), error.status, error.message) == (InvalidRequest, 400, "m does not support insert")
    assert type(decode_error(status, body, model="m")) is UpstreamRefused
