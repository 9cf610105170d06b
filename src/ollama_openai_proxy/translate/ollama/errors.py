"""Errors in Ollama's words (contract 1.9, 2.6)."""

from __future__ import annotations

import json

import msgspec

from ollama_openai_proxy.errors import ModelNotFound, ProxyError, UpstreamBroken, UpstreamRefused
from ollama_openai_proxy.translate.ollama.golang import quote
from ollama_openai_proxy.translate.text import escape_separators


def error_body(error: ProxyError, path: str = "") -> bytes:
    """Return `{"error": "..."}`: always a plain string, as every client expects.

    `path` is the route's: some say the same in other words.
    """
    message = _not_found(error.model, path) if isinstance(error, ModelNotFound) else error.message
    return escape_separators(msgspec.json.encode({"error": _plain(message)}))


def _plain(message: str) -> str:
    """Return a text that every client takes for one.

    The Python client reads an error that is JSON once more, and breaks on what then is no object; others take an
    empty one for none (contract 10.1, 11.6).
    """
    try:
        json.loads(message)
    except json.JSONDecodeError:
        return message if message.strip() else "unknown error"
    except (ValueError, RecursionError):  # numbers of thousands of digits, and depths: JSON, too
        pass
    return f"error: {message}"


def status(error: ProxyError, path: str) -> int:
    """Return the status of an error on this route.

    `/api/embeddings` calls 500 whatever a runner has to object to a prompt (contract 5.10); that the model is not
    there, that there are too many requests, and that nobody answered are no objections.
    """
    objects = isinstance(error, UpstreamRefused | UpstreamBroken) and 400 <= error.status < 500
    return 500 if objects and path == "/api/embeddings" and error.status not in (404, 429) else error.status


def _not_found(model: str, path: str) -> str:
    if model and path in ("/api/embed", "/api/embeddings"):
        return f"model {quote(model)} not found, try pulling it first"
    return f"model '{model}' not found"


def error_record(error: ProxyError) -> bytes:
    """Return the line that ends a stream which broke (contract 1.10)."""
    return error_body(error) + b"\n"
