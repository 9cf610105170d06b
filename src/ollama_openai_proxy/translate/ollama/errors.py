"""Errors in Ollama's words (contract 1.9, 2.6)."""

from __future__ import annotations

import msgspec

from ollama_openai_proxy.errors import ModelNotFound, ProxyError
from ollama_openai_proxy.translate.ollama.golang import quote
from ollama_openai_proxy.translate.text import escape_separators


def error_body(error: ProxyError, path: str = "") -> bytes:
    """Return `{"error": "..."}`: always a plain string, as every client expects.

    `path` is the route's: some say the same in other words.
    """
    message = _not_found(error.model, path) if isinstance(error, ModelNotFound) else error.message
    return escape_separators(msgspec.json.encode({"error": message}))


def _not_found(model: str, path: str) -> str:
    if model and path in ("/api/embed", "/api/embeddings"):
        return f"model {quote(model)} not found, try pulling it first"
    return f"model '{model}' not found"


def error_record(error: ProxyError) -> bytes:
    """Return the line that ends a stream which broke (contract 1.10)."""
    return error_body(error) + b"\n"
