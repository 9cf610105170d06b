"""What backends say when an input is too long for the model's context (contract 5.9, 11.6)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ollama_openai_proxy.errors import UpstreamRefused
from ollama_openai_proxy.translate.openai.errors import decode_error


def openai(message: str, **fields: Any) -> dict[str, Any]:
    """An error in OpenAI's shape, which most have taken over."""
    return {"error": {"message": message, **fields}}


TOO_LONG: dict[str, tuple[int, Any]] = {
    "OpenAI": (
        400,
        openai("This model's maximum context length is 8192 tokens, however you requested 9000 tokens (9000 in your"),
    ),
    "OpenAI, its code": (400, openai("Please shorten it.", code="context_length_exceeded")),
    "vLLM": (
        400,
        {
            "object": "error",
            "message": "This model's maximum context length is 512 tokens. However, you requested 1451 tokens in the",
            "code": 400,
        },
    ),
    "vLLM, newer": (
        400,
        openai("You passed 513 input tokens. However, the model's context length is only 512 tokens.", code=400),
    ),
    "llama.cpp, batch": (500, openai("input (600 tokens) is too large to process. increase the physical batch size")),
    "llama.cpp, context": (
        400,
        openai("request (600 tokens) exceeds the available context size (512 tokens)", n_prompt_tokens=600, n_ctx=512),
    ),
    "llama.cpp, its type": (400, openai("try increasing it", type="exceed_context_size_error", n_prompt_tokens=600)),
    "TEI": (
        413,
        {"message": "Input validation error: `inputs` must have less than 512 tokens. Given: 1038", "code": 413},
    ),
    "Mistral": (400, {"object": "error", "message": "Input id 0 has 9000 tokens, exceeding max 8192 tokens."}),
    "Gemini": (
        400,
        [openai("The input token count (20000) exceeds the maximum number of tokens allowed (2048).", code=400)],
    ),
    "LM Studio": (400, {"error": "However, the model is loaded with context length of only 4096 tokens, which is"}),
    "LiteLLM": (
        400,
        openai("litellm.BadRequestError: litellm.ContextWindowExceededError: OpenAIException", code="400"),
    ),
    "FastAPI": (422, {"detail": [{"loc": ["body", "input"], "msg": "prompt is too long: 600 tokens > 512 maximum"}]}),
}
OTHERS: dict[str, tuple[int, Any]] = {
    "another 400": (400, openai("input must be a string or an array of strings")),
    "too many requests": (429, openai("Request too large: maximum context length of the queue")),
    "overloaded": (503, openai("maximum context length of the queue")),
    "an upload limit": (413, "Payload Too Large"),
    "no text": (400, None),
    # What the client wrote is not what the backend says.
    "an echo": (400, {"detail": [{"msg": "bad input", "input": "the maximum context length"}]}),
}


@pytest.mark.parametrize(("status", "value"), TOO_LONG.values(), ids=TOO_LONG.keys())
def test_an_input_that_is_too_long(status: int, value: Any) -> None:
    """Contract 5.9, 11.6: a call gets the words that it gave, or those that clients look for; the status is 400."""
    body = json.dumps(value).encode()
    error = decode_error(status, body, model="m", too_long="too long")
    assert (error.message, error.status, type(error)) == ("too long", 400, UpstreamRefused)
    plain = decode_error(status, body, model="m")
    assert plain.status == 400
    assert "context" in plain.message
    assert any(word in plain.message for word in ("exceed", "too large", "longer", "too long"))


@pytest.mark.parametrize(("status", "value"), OTHERS.values(), ids=OTHERS.keys())
def test_an_error_that_is_not_about_length(status: int, value: Any) -> None:
    """Contract 11.6: any other error keeps its status and its text."""
    error = decode_error(status, json.dumps(value).encode(), model="m", too_long="too long")
    assert error.status == status
    assert error.message != "too long"
