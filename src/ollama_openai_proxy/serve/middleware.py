"""The rules on origins and hosts, as plain ASGI, in Ollama's order (contract 1.4)."""

from __future__ import annotations

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ollama_openai_proxy.serve.headers import values
from ollama_openai_proxy.serve.hosts import Hosts, address_of
from ollama_openai_proxy.serve.origins import Headers, Origins, is_same
from ollama_openai_proxy.serve.recorder import record_of


class OriginGuard:
    """Refuses what a web page from elsewhere, or a name rebound to this machine, must not reach."""

    def __init__(self, app: ASGIApp, *, origins: tuple[str, ...], hosts: Hosts) -> None:
        self._app = app
        self._origins = Origins(origins)
        self._hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        hosts, origins = values(scope, b"host"), values(scope, b"origin")
        if problem := _ambiguous(scope, hosts):
            if "told" in scope:
                record_of(scope).outcome = "bad_request"
            await _refuse(send, problem)
            return
        host, origin = hosts[0] if hosts else "", origins[0] if origins else ""
        cors: Headers = []
        if origin and not is_same(origin, host):
            if not self._origins.allows(origin):
                await _answer(send, 403)
                return
            if scope["method"] == "OPTIONS":
                await _answer(send, 204, self._origins.preflight(origin))
                return
            cors = self._origins.headers(origin)
        await self._check_host(scope, receive, _adding(send, cors) if cors else send, host)

    async def _check_host(self, scope: Scope, receive: Receive, send: Send, host: str) -> None:
        if not self._hosts.allows(host):
            self._hosts.tell(host)
            await _answer(send, 403)
        elif self._hosts.loopback and scope["method"] == "OPTIONS" and not address_of(host):
            await _answer(send, 204)
        else:
            await self._app(scope, receive, send)


def _ambiguous(scope: Scope, hosts: list[str]) -> str:
    """Return why it is not known which host is asked, "" if it is (RFC 9112, 3.2; the words are Go's)."""
    if len(hosts) > 1:
        return "too many Host headers"
    return "" if hosts or scope.get("http_version") == "1.0" else "missing required Host header"


def _adding(send: Send, headers: Headers) -> Send:
    async def add(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message.get("headers", ()), *headers]
        await send(message)

    return add


async def _refuse(send: Send, problem: str) -> None:
    """Answer as Go's server does before any handler is asked."""
    body = f"400 Bad Request: {problem}".encode()
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 400, "headers": [*headers, (b"connection", b"close")]})
    await send({"type": "http.response.body", "body": body})


async def _answer(send: Send, status: int, headers: Headers | None = None) -> None:
    length: Headers = [] if status == 204 else [(b"content-length", b"0")]
    await send({"type": "http.response.start", "status": status, "headers": [*(headers or ()), *length]})
    await send({"type": "http.response.body", "body": b""})
