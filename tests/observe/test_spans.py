"""What spans say of an exchange, and what they do not."""

from typing import Any

import pytest

from ollama_openai_proxy.observe.record import Record
from ollama_openai_proxy.observe.spans import (
    address,
    client_end,
    client_failed,
    client_name,
    client_start,
    server_end,
    server_failed,
    server_name,
    server_start,
)

SECOND = 1_000_000_000


def exchange(**facts: Any) -> Record:
    known = {"method": "POST", "path": "/api/chat", "route": "/api/chat", "status": 200, "outcome": "ok"}
    return Record(**{"request_id": "id-1", "started": SECOND, **known, **facts})


@pytest.mark.parametrize(
    ("facts", "name"),
    [
        ({}, "POST /api/chat"),
        ({"path": "/api/blobs/sha256:123", "route": "/api/blobs/{digest}"}, "POST /api/blobs/{digest}"),
        ({"path": "/wp-login.php", "route": ""}, "POST"),
        ({"method": "BREW", "route": "/api/chat"}, "HTTP /api/chat"),
        ({"method": "post", "route": ""}, "HTTP"),
    ],
)
def test_name_of_the_exchange(facts: dict[str, Any], name: str) -> None:
    """HTTP conventions: a known method and the route's template; a client can't make new names."""
    assert server_name(exchange(**facts)) == name


def test_start_of_the_exchange() -> None:
    """HTTP conventions: method, path and scheme are required; a method nobody knows is `_OTHER`."""
    assert server_start(exchange()) == {
        "http.request.method": "POST",
        "url.path": "/api/chat",
        "url.scheme": "http",
    }
    assert server_start(exchange(method="BREW"))["http.request.method"] == "_OTHER"


def test_end_of_the_exchange() -> None:
    """The route, the status, how it ended, and when tokens came, in seconds after the request."""
    record = exchange(attempts=2, first_token=int(1.5 * SECOND), last_token=4 * SECOND)
    assert server_end(record) == {
        "http.route": "/api/chat",
        "http.response.status_code": 200,
        "ollama_openai_proxy.outcome": "ok",
        "ollama_openai_proxy.request_id": "id-1",
        "ollama_openai_proxy.attempts": 2,
        "ollama_openai_proxy.time_to_first_token": 0.5,
        "ollama_openai_proxy.time_to_last_token": 3.0,
    }


@pytest.mark.parametrize("facts", [{"status": 0}, {"status": 499, "outcome": "client_abort"}])
def test_no_status_was_sent(facts: dict[str, Any]) -> None:
    """HTTP conventions: a status only if one was sent, and 499 never is; no route, no attribute for it."""
    assert {"http.response.status_code", "http.route"}.isdisjoint(server_end(exchange(route="", **facts)))


@pytest.mark.parametrize(
    ("status", "outcome", "server", "client"),
    [
        (200, "ok", False, False),
        (400, "bad_request", False, True),
        (404, "not_found", False, True),
        (429, "up_429", False, True),
        (400, "up_4xx", False, True),
        (502, "up_connect", True, True),
        (504, "up_ttft_timeout", True, True),
        (503, "draining", True, True),
        (500, "internal", True, True),
        (500, "", True, True),
        (200, "up_truncated", True, True),
        (200, "up_midstream_error", True, True),
        (200, "draining", True, True),
        (0, "", True, True),
        (200, "client_abort", False, False),
        (499, "client_abort", False, False),
        (0, "client_abort", False, False),
        (200, "client_timeout", False, False),
    ],
)
def test_failed(status: int, outcome: str, *, server: bool, client: bool) -> None:
    """By convention 4xx is an error of the client span only; that a client left is nobody's.

    `error.type` is there if and only if there is an error, and it is the outcome.
    """
    record = exchange(status=status, outcome=outcome)
    assert server_failed(record) is server
    assert client_failed(record) is client
    assert server_end(record).get("error.type") == ((outcome or "internal") if server else None)
    assert client_end("chat", record, 0).get("error.type") == ((outcome or "internal") if client else None)
    assert server_end(record)["ollama_openai_proxy.outcome"] == (outcome or "internal")


def test_call() -> None:
    """GenAI conventions: operation and model are the name, and the attributes are as they are spelled there."""
    record = exchange(
        model="llama3.2",
        known_model="meta/llama-3.2:free",
        streamed=True,
        prompt_tokens=7,
        completion_tokens=0,
        finish_reason="stop",
        attempts=1,
        first_token=3 * SECOND,
    )
    assert client_name("chat", record) == "chat meta/llama-3.2:free"
    assert client_start("chat", record) == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "meta/llama-3.2:free",
        "gen_ai.request.stream": True,
    }
    assert client_end("chat", record, 2 * SECOND) == {
        "gen_ai.request.model": "meta/llama-3.2:free",
        "gen_ai.request.stream": True,
        "gen_ai.usage.input_tokens": 7,
        "gen_ai.usage.output_tokens": 0,
        "gen_ai.response.finish_reasons": ("stop",),
        "gen_ai.response.time_to_first_chunk": 1.0,
        "ollama_openai_proxy.attempts": 1,
    }


def test_what_is_not_known_is_left_out() -> None:
    """No count is invented, no finish reason, and the time to the first chunk is for streams only."""
    record = exchange(first_token=2 * SECOND)
    assert client_name("embeddings", record) == "embeddings"
    assert client_start("embeddings", record).keys() == {"gen_ai.operation.name", "gen_ai.provider.name"}
    assert client_end("embeddings", record, SECOND) == {"ollama_openai_proxy.attempts": 0}


@pytest.mark.parametrize(
    ("operation", "facts", "reasons"),
    [
        ("chat", {"outcome": "up_truncated"}, ("error",)),
        ("text_completion", {"outcome": "client_abort"}, ("error",)),
        ("chat", {"outcome": "up_truncated", "finish_reason": "length"}, ("length",)),
        ("embeddings", {"outcome": "up_5xx"}, None),
        ("chat", {}, None),
    ],
)
def test_finish_reasons(operation: str, facts: dict[str, Any], reasons: tuple[str] | None) -> None:
    """GenAI conventions: a reason that was expected and did not come, as after a cut, is `error`."""
    assert client_end(operation, exchange(**facts), 0).get("gen_ai.response.finish_reasons") == reasons


def test_clients_words_are_limited() -> None:
    """What a client sends takes at most 128 characters of a span, and any encoder takes it."""
    words = "\ud800" + "\N{CJK UNIFIED IDEOGRAPH-4E2D}" * 500
    record = exchange(model=words, path=f"/{words}", request_id="r" * 500, finish_reason=words)
    for attributes in (server_start(record), server_end(record), client_end("chat", record, 0)):
        for value in attributes.values():
            text = "".join(value) if isinstance(value, tuple) else str(value)
            assert len(text) <= 128
            text.encode()
    assert len(client_name("chat", record)) <= 128 + len("chat ")
    assert client_start("chat", record)["gen_ai.request.model"] == "?" + words[1:128]


@pytest.mark.parametrize(
    ("upstream", "expected"),
    [
        ("api.openai.com", {"server.address": "api.openai.com"}),
        ("127.0.0.1:8000", {"server.address": "127.0.0.1", "server.port": 8000}),
        ("[::1]:8000", {"server.address": "::1", "server.port": 8000}),
        ("https://api.openai.com/v1", {"server.address": "api.openai.com", "server.port": 443}),
        ("http://user:sk-canary@backend/v1?key=sk-canary", {"server.address": "backend", "server.port": 80}),
        ("user:sk-canary@backend:81", {"server.address": "backend", "server.port": 81}),
    ],
)
def test_address(upstream: str, expected: dict[str, Any]) -> None:
    """Host and port of the upstream, and nothing of the credentials that a URL may hold."""
    assert address(upstream) == expected
