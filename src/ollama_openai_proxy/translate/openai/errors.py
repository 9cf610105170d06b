"""What a backend says when it fails, in whichever shape its vendor chose.

The message is kept, on one line and without what must not leave: markup, URLs, keys, the input
that some frameworks repeat.
"""

from __future__ import annotations

import json
import re
from typing import Any

from ollama_openai_proxy.errors import ModelNotFound, ProxyError, UpstreamRefused, UpstreamUnauthorised

Secrets = tuple[str, ...]

_MAX_MESSAGE = 500
_LOOKS_SECRET = re.compile(r"\b(?:sk|pk|key|gsk|xai|hf)[-_][\w*.-]{4,}|\bBearer\s+\S+|\bAIza[\w-]{8,}", re.IGNORECASE)
_URL = re.compile(r"\b[a-z][a-z0-9+.-]{1,15}://\S+", re.IGNORECASE)
_SPACE = re.compile(r"[\s\x00-\x1f\x7f-\x9f\u2028\u2029]+")
# The model, not the route, is what is missing.
_NO_MODEL = re.compile(r"\bmodel\b|\bdeployment\b", re.IGNORECASE)

_NO_ROUTE = "the upstream has no such endpoint; check its base URL"


def decode_error(
    status: int, body: bytes, *, model: str = "", retry_after: str | None = None, secrets: Secrets = ()
) -> ProxyError:
    """Translate an error reply: its status, as much of its body as was read, its Retry-After.

    `model` is what the client calls the model, for the case that the backend does not have it;
    `secrets` must not appear in the message.
    """
    if status in (401, 403, 407):
        return UpstreamUnauthorised()
    error = _parse(body)
    message = clean(_message(error), secrets)
    if status == 404:
        if model and _is_missing_model(error, message):
            return ModelNotFound(model)
        return UpstreamRefused(_NO_ROUTE, status=502, outcome="up_4xx")
    return UpstreamRefused(
        message or f"the upstream answered with status {status}",
        status=_client_status(status),
        outcome=_outcome(status),
        retry_after=_seconds(retry_after),
    )


def stream_error(error: Any, secrets: Secrets = ()) -> UpstreamRefused:
    """Translate an error that came where a chunk was due, under status 200."""
    status = _code(error)
    if status in (401, 403, 407):
        return UpstreamUnauthorised()
    message = clean(_message({"error": error} if isinstance(error, str | dict) else error), secrets)
    return UpstreamRefused(
        message or "the upstream reported an error",
        status=_client_status(status) if status else 502,
        outcome="up_midstream_error",
    )


def named_error(data: bytes, secrets: Secrets = ()) -> UpstreamRefused:
    """Translate the data of an SSE event that is named `error`."""
    error = _parse(data)
    inner = error.get("error") if isinstance(error, dict) else None
    return stream_error(inner or error, secrets)


def clean(message: str, secrets: Secrets = ()) -> str:
    """Return the message on one line, short, and without URLs and keys."""
    message = message.partition("\nTraceback")[0]
    for secret in secrets:
        message = message.replace(secret, "[key]")
    message = _URL.sub("[url]", message[: 8 * _MAX_MESSAGE])
    message = _LOOKS_SECRET.sub("[key]", message)
    return _SPACE.sub(" ", message).strip()[:_MAX_MESSAGE]


def _parse(body: bytes) -> Any:
    try:
        return json.loads(body.decode("utf-8", "replace"))
    except (ValueError, RecursionError):
        text = body.decode("utf-8", "replace").strip()
        # A page is for a browser, and binary for nobody; a plain sentence is a message.
        return text if text and text[0] not in "<{[" and "\ufffd" not in text else None


def _message(error: Any) -> str:
    """Return the first text that is meant for people."""
    if isinstance(error, str):
        return error if "<html" not in error.lower() else ""
    if isinstance(error, list):
        return "; ".join(filter(None, map(_message, error[:5])))
    if not isinstance(error, dict):
        return ""
    for key in ("error", "message", "detail", "details", "msg", "errors", "title"):
        if error.get(key) and (text := _message(error[key])):
            return _unwrap(text)
    return ""


def _unwrap(text: str) -> str:
    """Look into JSON within the text: gateways pass on the body of the provider behind them."""
    if not text.startswith("{"):
        return text
    try:
        return _message(json.loads(text)) or text
    except (ValueError, RecursionError):
        return text


def _code(error: Any) -> int:
    """Return the HTTP status that an error object names, or 0."""
    if isinstance(error, dict):
        for key in ("code", "status", "status_code", "statusCode"):
            code = error.get(key)
            if isinstance(code, str) and code.isdecimal():
                code = int(code[:4])
            if isinstance(code, int) and 400 <= code < 600:
                return code
    return 0


def _is_missing_model(error: Any, message: str) -> bool:
    inner = error.get("error") if isinstance(error, dict) else None
    code = inner.get("code") if isinstance(inner, dict) else None
    return code in ("model_not_found", "DeploymentNotFound") or bool(_NO_MODEL.search(message))


def _client_status(status: int) -> int:
    if status in (422, 424):
        return 400
    if status == 529:  # "overloaded", which HTTP calls 503
        return 503
    return status if 400 <= status < 520 else 502


def _outcome(status: int) -> str:
    if status == 429:
        return "up_429"
    return "up_4xx" if 400 <= status < 500 else "up_5xx"


def _seconds(retry_after: str | None) -> int | None:
    """Return Retry-After in whole seconds, at most an hour; None for dates and nonsense."""
    try:
        seconds = float(retry_after or "")
    except ValueError:
        return None
    return min(int(seconds), 3600) if 0 <= seconds < float("inf") else None
