import json

import pytest

from ollama_openai_proxy.errors import (
    InvalidRequest,
    ModelNotFound,
    ProxyError,
    UpstreamBroken,
    UpstreamRefused,
    UpstreamTimeout,
    UpstreamUnauthorised,
    UpstreamUnreachable,
)
from ollama_openai_proxy.translate.ollama.errors import error_body, error_record, status


def test_body() -> None:
    """Contract 1.9: an object whose only member, error, is a plain string; no newline after it."""
    assert error_body(InvalidRequest("model is required")) == b'{"error":"model is required"}'


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("", b'{"error":"model \'Foo:8B\' not found"}'),
        ("/api/chat", b'{"error":"model \'Foo:8B\' not found"}'),
        ("/api/generate", b'{"error":"model \'Foo:8B\' not found"}'),
        ("/api/show", b'{"error":"model \'Foo:8B\' not found"}'),
        ("/api/embed", b'{"error":"model \\"Foo:8B\\" not found, try pulling it first"}'),
        ("/api/embeddings", b'{"error":"model \\"Foo:8B\\" not found, try pulling it first"}'),
    ],
)
def test_not_found(path: str, body: bytes) -> None:
    """Contract 2.6: the name as the client spelled it, in the route's words."""
    assert error_body(ModelNotFound("Foo:8B"), path) == body


@pytest.mark.parametrize("path", ["/api/generate", "/api/embed"])
def test_blank_name_is_not_found(path: str) -> None:
    """Contract 2.6: generate and embed look a missing name up, and say so in the same words."""
    assert error_body(ModelNotFound(""), path) == b'{"error":"model \'\' not found"}'


def test_quoted_name_is_escaped() -> None:
    """Contract 2.6: the embedding routes print the name with Go's %q."""
    body = error_body(ModelNotFound('a"b\n'), "/api/embed")
    assert body == b'{"error":"model \\"a\\\\\\"b\\\\n\\" not found, try pulling it first"}'


def test_record_is_a_line() -> None:
    """Contract 1.10: a stream that broke ends with one more line, an error without done."""
    assert error_record(UpstreamBroken("the stream was cut")) == b'{"error":"the stream was cut"}\n'


def test_line_separators_are_escaped() -> None:
    """Rule R4: readers of lines must not split a record at U+0085, U+2028 or U+2029."""
    assert error_record(ProxyError("a\x85b\u2028c\u2029d\ne")) == b'{"error":"a\\u0085b\\u2028c\\u2029d\\ne"}\n'


@pytest.mark.parametrize(
    ("error", "legacy"),
    [
        (UpstreamRefused("too long", status=400), 500),
        (UpstreamRefused("too large", status=413), 500),
        (UpstreamRefused("failed", status=500), 500),
        (UpstreamBroken("embedding contains NaN or Inf values", status=400), 500),
        # Contract 11.6: these tell whether, and when, to ask again.
        (UpstreamRefused("slow down", status=429), 429),
        (UpstreamRefused("overloaded", status=503), 503),
        (UpstreamRefused("no such deployment", status=404), 404),
        (UpstreamUnauthorised(), 502),
        (UpstreamUnreachable("refused"), 502),
        (UpstreamTimeout("late"), 504),
        (UpstreamBroken("invalid JSON"), 502),
        # Contract 2.6 and 1.7: what is wrong with the request itself was found before a runner was asked.
        (ModelNotFound("m"), 404),
        (InvalidRequest("model is required"), 400),
    ],
)
def test_status(error: ProxyError, legacy: int) -> None:
    """Contract 5.10: the older route of embeddings calls 500 what a runner objects to; all others keep the status."""
    assert status(error, "/api/embeddings") == legacy
    assert status(error, "/api/embed") == status(error, "/api/chat") == error.status


@pytest.mark.parametrize(
    "message",
    ["123", "-1.5", "null", "true", '"text"', "[]", '{"error":{"message":"x"}}', " 1 ", "NaN", "Infinity", "9" * 5000],
)
def test_text_that_is_json(message: str) -> None:
    """Contract 10.1, 11.6: an error is no JSON text, which the Python client would read once more, and break on."""
    for body in (error_body(ProxyError(message)), error_record(ProxyError(message))):
        text = json.loads(body)["error"]
        assert text == f"error: {message}"
        with pytest.raises(json.JSONDecodeError):
            json.loads(text)


def test_text_that_is_deep() -> None:
    """Contract 11.6: nor one that is too deep to be read."""
    assert error_body(ProxyError("[" * 200_000 + "]" * 200_000)).startswith(b'{"error":"error: [[')


@pytest.mark.parametrize("message", ["", " ", "\n"])
def test_error_without_a_text(message: str) -> None:
    """Contract 1.9: an error is never empty: clients in JavaScript and Go would take it for none."""
    assert error_body(ProxyError(message)) == b'{"error":"unknown error"}'
