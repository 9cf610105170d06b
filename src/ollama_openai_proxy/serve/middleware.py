"""The rules on origins and hosts, as plain ASGI, in Ollama's order (contract 1.4)."""

from __future__ import annotations

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ollama_openai_proxy.serve.guard import Guard
from ollama_openai_proxy.serve.headers import header, named, values
from ollama_openai_proxy.serve.hosts import Hosts, address_of
from ollama_openai_proxy.serve.origins import Headers, Origins, is_same
from ollama_openai_proxy.serve.recorder import record_of


class OriginGuard(Guard):
    """Refuses what a web page from elsewhere, or a name rebound to this machine, must not reach."""

    def __init__(self, app: ASGIApp, *, origins: tuple[str, ...], hosts: Hosts) -> None:
        super().__init__(app)
        self._origins = Origins(origins)
        self._hosts = hosts

    def answering(self, scope: Scope) -> ASGIApp:
        headers = named(scope)
        if b"host" in headers and b"origin" not in headers and len(headers) == len(scope["headers"]):  # as mostly
            return self._at_host(scope, headers[b"host"].decode("latin-1"))
        hosts = values(scope, b"host")
        if problem := _ambiguous(scope, hosts):
            if "told" in scope:
                record_of(scope).outcome = "bad_request"
            return _refusing(problem)
        host, origin = hosts[0] if hosts else "", header(scope, b"origin")
        if not origin or is_same(origin, host):
            return self._at_host(scope, host)
        if not self._origins.allows(origin):
            return _answering(403)
        if scope["method"] == "OPTIONS":
            return _answering(204, self._origins.preflight(origin))
        return _adding(self._at_host(scope, host), self._origins.headers(origin))

    def _at_host(self, scope: Scope, host: str) -> ASGIApp:
        if not self._hosts.allows(host):
            self._hosts.tell(host)
            return _answering(403)
        if scope["method"] == "OPTIONS" and self._hosts.loopback and not address_of(host):
            return _answering(204)
        return self.passed(scope)


def _ambiguous(scope: Scope, hosts: list[str]) -> str:
    """Return why it is not known which host is asked, "" if it is (RFC 9112, 3.2; the words are Go's)."""
    if len(hosts) > 1:
        return "too many Host headers"
    return "" if hosts or scope.get("http_version") == "1.0" else "missing required Host header"


def _adding(app: ASGIApp, headers: Headers) -> ASGIApp:
    """Return the application with these headers in its answers."""

    async def adding(scope: Scope, receive: Receive, send: Send) -> None:
        async def add(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *headers]
            await send(message)

        await app(scope, receive, add)

    return adding


def _refusing(problem: str) -> ASGIApp:
    """Return who answers as Go's server does before any handler is asked."""
    body = f"400 Bad Request: {problem}".encode()
    length = (b"content-length", b"%d" % len(body))
    return _answering(400, [(b"content-type", b"text/plain; charset=utf-8"), length, (b"connection", b"close")], body)


def _answering(status: int, headers: Headers | None = None, body: bytes = b"") -> ASGIApp:
    """Return who answers so."""
    length: Headers = [] if status == 204 or body else [(b"content-length", b"0")]

    async def answer(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": status, "headers": [*(headers or ()), *length]})
        await send({"type": "http.response.body", "body": body})

    return answer
