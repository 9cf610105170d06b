"""What a backend says when it fails, in whichever shape its vendor chose.

The message is kept, on one line and without what must not leave: markup, URLs, keys, the input
that some frameworks repeat.
"""

from __future__ import annotations

import json
import re
from typing import Any

from ollama_openai_proxy.errors import InvalidRequest, ModelNotFound, ProxyError, UpstreamRefused, UpstreamUnauthorised
from ollama_openai_proxy.translate.text import mend

Secrets = tuple[str, ...]

_MAX_MESSAGE = 500
_MAX_KIND = 48  # characters of a code or a type
_MAX_DEPTH = 12
_OVERLOADED_SECONDS = 5  # when to come back to a backend that is loading or overloaded and does not say
_LOOKS_SECRET = re.compile(
    r"(?<![a-z0-9])(?:(?:sk|pk|key|gsk|xai|hf)[-_][\w*.-]{4,}|Bearer\s+\S+|AIza[\w-]{8,})", re.IGNORECASE | re.ASCII
)
_URL = re.compile(r"[a-z][a-z0-9+.-]{1,15}://\S+", re.IGNORECASE)
_SPACE = re.compile(r"[\s\x00-\x1f\x7f-\x9f\u2028\u2029]+")
_MARKUP = re.compile(
    r"<(?:!doctype|/?(?:html|head|body|title|h[1-6]|center|div|p|pre|span|script|style|br|hr|a)\b)", re.IGNORECASE
)
_TRACEBACK = "Traceback (most recent call last)"
_LITELLM = "litellm."  # how the sentences of a LiteLLM proxy begin: after the line end it tells of its own insides
# TGI's, in its clients: https://github.com/huggingface/text-generation-inference (clients/python).
_TGI_STATUS = {"validation": 400, "generation": 500, "overloaded": 503, "incomplete_generation": 502}
# What OpenAI and Anthropic call an error, for where no number tells:
# https://platform.openai.com/docs/guides/error-codes, https://docs.anthropic.com/en/api/errors.
_KINDS = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "invalid_api_key": 401,
    "permission_error": 403,
    "not_found_error": 404,
    "rate_limit_error": 429,
    "rate_limit_exceeded": 429,
    "insufficient_quota": 429,
    "overloaded_error": 503,
}
# The model, not the route, is what is missing; nor is it there but unfit for the request.
_NO_MODEL = re.compile(r"\bmodels?\b|\bdeployment\b", re.IGNORECASE)
_UNFIT = re.compile(r"\bno endpoints found\b|\bsupported in\b", re.IGNORECASE)
_NO_PATH = re.compile(
    r"^(?:\w+ ){0,5}not found\W*$|\b(?:invalid|request) url\b|^cannot (?:get|post)\b|\bno route\b", re.IGNORECASE
)
# What OpenAI, vLLM, llama.cpp, TEI, Mistral, Gemini, LM Studio and LiteLLM say; the last two are codes and types.
_TOO_LONG = re.compile(
    r"\b(?:maximum|model'?s|available|max) context (?:length|size|window)|exceeds? (?:the )?(?:model )?context length"
    r"|context length of only|too large to process|must have less than \d+ tokens|exceed\w* (?:the )?max\w* [^.]{0,40}"
    r"tokens?\b|too long: \d+ tokens|context_?(?:length|window)_?exceeded|exceed_context_size",
    re.IGNORECASE,
)
_EXCEEDS = re.compile("exceed|too large|longer|too long")
_CONTEXT_EXCEEDED = "the input exceeds the context length"

_NO_ROUTE = "the upstream has no such endpoint; check its base URL"


def decode_error(
    status: int,
    body: bytes,
    *,
    model: str = "",
    no_route: str = "",
    too_long: str = "",
    retry_after: int | None = None,
    secrets: Secrets = (),
) -> ProxyError:
    """Translate an error reply: its status, as much of its body as was read, the seconds until it may be asked again.

    `model` is what the client calls the model, for the case that the backend does not have it;
    `no_route` what to tell the client if the backend has no such endpoint, where that is a matter of
    what was asked; `too_long` what to tell it, in place of the backend's words, if the input is longer than the
    model's context; `secrets` must not appear in the message.
    """
    error = _parse(body)
    message = clean(_message(error), secrets)
    if _is_unauthorised(status, message):
        return UpstreamUnauthorised()
    if status in (404, 405, 501):
        found = _not_found(error, message, model) if status == 404 else None
        if no_route and (found is None or found.message == _NO_ROUTE):
            return InvalidRequest(no_route)
        if found:
            return found
    if _is_too_long(status, error, message):
        return UpstreamRefused(too_long or _says_too_long(message), status=400, outcome="up_4xx")
    client_status = _tgi_status(error) or _client_status(status)
    return UpstreamRefused(
        message or f"the upstream answered with status {status}",
        status=client_status,
        outcome=_outcome(status),
        retry_after=_patience(client_status) if retry_after is None else retry_after,
    )


def _says_too_long(message: str) -> str:
    """Return the message with the words that clients look for (contract 11.6)."""
    told = "context" in message and _EXCEEDS.search(message)
    return message if told else f"{_CONTEXT_EXCEEDED}: {message}" if message else _CONTEXT_EXCEEDED


def stream_error(error: Any, secrets: Secrets = ()) -> UpstreamRefused:
    """Translate an error that came where a chunk was due, under status 200."""
    status = _code(error)
    message = clean(_message(error), secrets)
    if _is_unauthorised(status, message):
        return UpstreamUnauthorised()
    client_status = _client_status(status) if status else 502
    return UpstreamRefused(
        message or "the upstream reported an error",
        status=client_status,
        outcome="up_midstream_error",
        retry_after=_patience(client_status),
    )


def named_error(data: bytes, secrets: Secrets = ()) -> UpstreamRefused:
    """Translate the data of an SSE event that is named `error`."""
    error = _parse(data)
    inner = error.get("error") if isinstance(error, dict) else None
    return stream_error(inner or error, secrets)


def clean(message: str, secrets: Secrets = ()) -> str:
    """Return the message on one line, short, and without URLs and keys."""
    message = message.partition(_TRACEBACK)[0]
    if message.startswith(_LITELLM):
        message = message.partition("\n")[0]
    for secret in filter(None, secrets):
        message = message.replace(secret, "[key]")
    message = _URL.sub("[url]", message[: 8 * _MAX_MESSAGE])
    message = _LOOKS_SECRET.sub("[key]", message)
    cleaned: str = mend(_SPACE.sub(" ", message).strip()[:_MAX_MESSAGE])
    return cleaned


def _parse(body: bytes) -> Any:
    text = body.decode("utf-8-sig", "replace").strip()
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        # A page is for a browser, and binary for nobody; a plain sentence is a message.
        return text if text and text[0] not in "<{[" and "\ufffd" not in text else None


def _message(error: Any, depth: int = _MAX_DEPTH) -> str:
    """Return the first text that is meant for people."""
    if not depth:
        return ""
    if isinstance(error, str):
        return _text(error, depth)
    if isinstance(error, list):
        return "; ".join(filter(None, (_message(item, depth - 1) for item in error[:5])))
    if not isinstance(error, dict):
        return ""
    for key in ("error", "message", "detail", "details", "msg", "errors", "title"):
        if text := _message(error.get(key), depth - 1):
            return _placed(error, text, depth)
    return ""


def _text(text: str, depth: int) -> str:
    """Look into JSON within the text: gateways pass on the body of the provider behind them."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return "" if _MARKUP.search(text) else text
    return _message(value, depth - 1)


def _placed(error: dict[str, Any], text: str, depth: int) -> str:
    """Add where the fault is: FastAPI's `loc`, and what the provider behind OpenRouter said."""
    if isinstance(loc := error.get("loc"), list):
        return f"{'.'.join(map(str, loc))}: {text}"
    metadata = error.get("metadata")
    raw = _message(metadata.get("raw"), depth - 1) if isinstance(metadata, dict) else ""
    return f"{text}: {raw}" if raw else text


def _code(error: Any) -> int:
    """Return the HTTP status that an error object names, by a number or by its kind, or 0."""
    if isinstance(error, dict):
        for key in ("code", "status", "status_code", "statusCode"):
            code = error.get(key)
            if isinstance(code, str) and code.isdecimal():
                code = int(code[:4])
            if isinstance(code, int) and 400 <= code < 600:
                return code
        kinds = (_KINDS.get(kind) for key in ("code", "type") if isinstance(kind := error.get(key), str))
        return next(filter(None, kinds), 0)
    return 0


def _not_found(error: Any, message: str, model: str) -> ProxyError:
    """Tell a model that is missing from a route that is, and both from what else is called 404."""
    inner = error.get("error") if isinstance(error, dict) else None
    code = inner.get("code") if isinstance(inner, dict) else None
    unfit = _UNFIT.search(message)
    if model and (code in ("model_not_found", "DeploymentNotFound") or (_NO_MODEL.search(message) and not unfit)):
        return ModelNotFound(model)
    if model and inner and message and not _NO_PATH.search(message):
        return UpstreamRefused(message, status=404, outcome="up_4xx")
    return UpstreamRefused(_NO_ROUTE, status=502, outcome="up_4xx")


def _is_unauthorised(status: int, message: str) -> bool:
    """Whether it is our key that is not accepted. A 403 may mean a region, a model or a filter, and says which."""
    return status in (401, 407) or (status == 403 and not message)


def _is_too_long(status: int, error: Any, message: str) -> bool:
    """Whether the input is longer than the context: llama.cpp calls that its own fault, TEI a body too large."""
    inner = error.get("error", error) if isinstance(error, dict) else None
    kinds = [str(inner.get(key))[:_MAX_KIND] for key in ("code", "type")] if isinstance(inner, dict) else []
    return status in (400, 413, 422, 500) and _TOO_LONG.search(" ".join((message, *kinds))) is not None


def _client_status(status: int) -> int:
    # A 403 is between the backend and us; 424 is what TGI says when a generation fails; 529 is
    # "overloaded", which HTTP calls 503.
    translated = {403: 502, 422: 400, 424: 500, 529: 503}.get(status, status)
    return translated if 400 <= translated < 520 else 502


def _outcome(status: int) -> str:
    if status == 429:
        return "up_429"
    return "up_4xx" if 400 <= status < 500 else "up_5xx"


def _tgi_status(error: Any) -> int | None:
    """Return the status that TGI's word for what went wrong stands for, where it says one."""
    kind = error.get("error_type") if isinstance(error, dict) else None
    return _TGI_STATUS.get(kind) if isinstance(kind, str) else None


def _patience(client_status: int) -> int | None:
    return _OVERLOADED_SECONDS if client_status == 503 else None
