import pytest

from ollama_openai_proxy.errors import InvalidRequest, ModelNotFound, ProxyError, UpstreamBroken
from ollama_openai_proxy.translate.ollama.errors import error_body, error_record


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
