"""How long work is told: as lines while it goes on, or as its end alone (contract 1.10, 5.11)."""

from __future__ import annotations

from collections.abc import Sequence

from fastapi import Request, Response
from starlette.types import Receive, Scope, Send

from ollama_openai_proxy.errors import ProxyError
from ollama_openai_proxy.serve.recorder import record_of
from ollama_openai_proxy.translate.ollama.errors import error_body, error_record

_TYPE = "application/json"  # without a charset, other than elsewhere (contract 1.3)
_STREAM = {"Content-Type": "application/x-ndjson", "Cache-Control": "no-cache", "X-Accel-Buffering": "no"}


class Lines(Response):
    """Lines of which each is a write of its own: one client reads one per read (rule R4)."""

    def __init__(self, lines: Sequence[bytes]) -> None:
        super().__init__(headers=_STREAM)
        del self.headers["content-length"]
        self._lines = lines

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        for line in self._lines:
            await send({"type": "http.response.body", "body": line, "more_body": True})
        await send({"type": "http.response.body", "body": b""})


def told(http: Request, lines: Sequence[bytes], error: ProxyError | None = None, *, streamed: bool) -> Response:
    """Return the answer: the lines, and the error if it came to one. Without a line the error is a status."""
    if error:
        record = record_of(http.scope)
        record.outcome, record.error = error.outcome, type(error).__name__
    if streamed and lines:
        return Lines((*lines, error_record(error)) if error else lines)
    if error:
        headers = {} if error.retry_after is None else {"Retry-After": str(error.retry_after)}
        return Response(error_body(error), error.status, headers, _TYPE)
    return Response(lines[-1].rstrip(b"\n"), media_type=_TYPE)
