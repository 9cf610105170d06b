"""Headers of a request."""

from __future__ import annotations

from ollama_openai_proxy.serve.headers import header, joined, named, values

SCOPE = {"headers": [(b"host", b"a"), (b"traceparent", b"1"), (b"x", "é".encode("latin-1")), (b"traceparent", b"2")]}


def test_header() -> None:
    """The first of a name counts; bytes are read as HTTP defines them."""
    assert header(SCOPE, b"traceparent") == "1"
    assert header(SCOPE, b"x") == "é"
    assert header(SCOPE, b"absent") is None


def test_values() -> None:
    """All of a name, in their order: a request may have one header twice."""
    assert values(SCOPE, b"traceparent") == ["1", "2"]
    assert values(SCOPE, b"absent") == []


def test_joined() -> None:
    """Several headers of a name are one, with commas (RFC 9110, 5.3)."""
    assert joined(SCOPE, b"traceparent") == "1,2"
    assert joined(SCOPE, b"host") == "a"
    assert joined(SCOPE, b"absent") is None


def test_named() -> None:
    """By their names, of several of one name the last; it is made once."""
    scope = {**SCOPE}
    found = named(scope)
    assert found == {b"host": b"a", b"traceparent": b"2", b"x": "é".encode("latin-1")}
    assert named(scope) is found
