"""Request bodies: read as bytes, whatever their content type claims (rule R1), and never without limit."""

from __future__ import annotations

from fastapi import Request
from starlette.requests import ClientDisconnect

from ollama_openai_proxy.errors import InvalidRequest

TOO_LARGE = "request body too large"


async def read_body(request: Request, limit: int) -> bytes:
    """Return the body. Raises InvalidRequest when it exceeds `limit` bytes or is never finished."""
    if int(request.headers.get("content-length") or 0) > limit:
        raise InvalidRequest(TOO_LARGE, status=413, outcome="too_large")
    parts: list[bytes] = []
    size = 0
    try:
        async for part in request.stream():
            parts.append(part)
            size += len(part)
            if size > limit:
                raise InvalidRequest(TOO_LARGE, status=413, outcome="too_large")
    except ClientDisconnect:
        raise InvalidRequest("request canceled", status=499, outcome="client_abort") from None
    return parts[0] if len(parts) == 1 else b"".join(parts)
