"""What spans say of an exchange, in the words of OpenTelemetry's conventions. Pure.

The span of the exchange follows those for HTTP servers, the span of the call those for clients of
generative models. What they have no word for begins with `ollama_openai_proxy.`.
"""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlsplit

from ollama_openai_proxy.observe.record import Record

Attributes = dict[str, str | bool | int | float | Sequence[str]]

_METHODS = {"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "QUERY", "TRACE"}
# How an exchange ends that nobody has to look into.
_NO_FAULT = {"ok", "client_abort", "client_timeout"}
_CLIENT_LEFT = 499  # a word for the log: no such status was sent


def server_name(record: Record) -> str:
    """Return method and route: the path itself is the client's to choose."""
    method = record.method if record.method in _METHODS else "HTTP"
    return f"{method} {record.route}" if record.route else method


def server_start(record: Record) -> Attributes:
    """Return what is known of the exchange when it begins."""
    method = record.method if record.method in _METHODS else "_OTHER"
    return {"http.request.method": method, "url.path": _text(record.path), "url.scheme": "http"}


def server_end(record: Record) -> Attributes:
    """Return what is known of the exchange at its end."""
    found: Attributes = {
        "ollama_openai_proxy.outcome": _outcome(record),
        "ollama_openai_proxy.request_id": _text(record.request_id),
        "ollama_openai_proxy.attempts": record.attempts,
    }
    if record.route:
        found["http.route"] = record.route
    if record.status and record.status != _CLIENT_LEFT:
        found["http.response.status_code"] = record.status
    if record.first_token is not None:
        found["ollama_openai_proxy.time_to_first_token"] = _seconds(record.first_token - record.started)
    if record.last_token is not None:
        found["ollama_openai_proxy.time_to_last_token"] = _seconds(record.last_token - record.started)
    if server_failed(record):
        found["error.type"] = _outcome(record)
    return found


def server_failed(record: Record) -> bool:
    """Return whether the exchange failed; by convention what the client did wrong (4xx) is no failure."""
    if record.status >= 400:
        return record.status >= 500
    return client_failed(record)  # in the middle of its answer


def client_name(operation: str, record: Record) -> str:
    """Return operation and model."""
    return f"{operation} {model}" if (model := _model(record)) else operation


def client_start(operation: str, record: Record) -> Attributes:
    """Return what is known of the call when it begins."""
    # The provider names the dialect that is spoken, whoever it is spoken with.
    return {"gen_ai.operation.name": operation, "gen_ai.provider.name": "openai", **_asked(record)}


def client_end(operation: str, record: Record, asked: int) -> Attributes:
    """Return what is known of the call at its end; `asked` is when it began."""
    found: Attributes = {**_asked(record), "ollama_openai_proxy.attempts": record.attempts}
    if record.prompt_tokens is not None:
        found["gen_ai.usage.input_tokens"] = record.prompt_tokens
    if record.completion_tokens is not None:
        found["gen_ai.usage.output_tokens"] = record.completion_tokens
    if record.finish_reason:
        found["gen_ai.response.finish_reasons"] = (_text(record.finish_reason),)
    elif operation != "embeddings" and record.outcome != "ok":
        found["gen_ai.response.finish_reasons"] = ("error",)
    if record.streamed and record.first_token is not None:
        found["gen_ai.response.time_to_first_chunk"] = _seconds(record.first_token - asked)
    if client_failed(record):
        found["error.type"] = _outcome(record)
    return found


def client_failed(record: Record) -> bool:
    """Return whether the call failed, unless the client ended it."""
    return record.outcome not in _NO_FAULT


def address(upstream: str) -> Attributes:
    """Return host and port of a URL or of what it has between `//` and `/`, and nothing else of it."""
    url = urlsplit(upstream if "://" in upstream else f"//{upstream}")
    port = url.port or {"http": 80, "https": 443}.get(url.scheme)
    return {"server.address": url.hostname or "", **({"server.port": port} if port else {})}


def _asked(record: Record) -> Attributes:
    found: Attributes = {"gen_ai.request.model": model} if (model := _model(record)) else {}
    if record.streamed:
        found["gen_ai.request.stream"] = True
    return found


def _outcome(record: Record) -> str:
    return record.outcome or "internal"


def _model(record: Record) -> str:
    return _text(record.known_model or record.model)


def _text(value: str) -> str:
    """Return what any encoder takes, and not more than 128 characters."""
    return value[:128].encode("utf-8", "replace").decode()


def _seconds(nanoseconds: int) -> float:
    return max(nanoseconds, 0) / 1e9
