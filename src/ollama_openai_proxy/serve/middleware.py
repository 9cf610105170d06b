"""The rules on origins and hosts, as plain ASGI."""

from __future__ import annotations

import ipaddress
import re
import socket

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ollama_openai_proxy.serve.headers import header

_ALLOWED_HEADERS = (
    "Authorization,Content-Type,User-Agent,Accept,X-Requested-With,Openai-Beta,X-Stainless-Arch,X-Stainless-Async,"
    "X-Stainless-Custom-Poll-Interval,X-Stainless-Helper-Method,X-Stainless-Lang,X-Stainless-Os,"
    "X-Stainless-Package-Version,X-Stainless-Poll-Helper,X-Stainless-Retry-Count,X-Stainless-Runtime,"
    "X-Stainless-Runtime-Version,X-Stainless-Timeout"
)
_PREFLIGHT = [
    (b"access-control-allow-methods", b"GET,POST,PUT,PATCH,DELETE,HEAD,OPTIONS"),
    (b"access-control-allow-headers", _ALLOWED_HEADERS.encode()),
    (b"access-control-max-age", b"43200"),
]
_PREFLIGHT_VARY = [(b"vary", b"Access-Control-Request-Method"), (b"vary", b"Access-Control-Request-Headers")]
_PRIVATE = tuple(map(ipaddress.ip_network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7")))
_LOCAL_HOSTS = ("localhost", "127.0.0.1", "0.0.0.0")  # noqa: S104  # in origins, no address to bind
_LOCAL_ORIGINS = (
    *(f"{scheme}://{host}{port}" for scheme in ("http", "https") for host in _LOCAL_HOSTS for port in ("", ":*")),
    *("app://*", "file://*", "tauri://*", "vscode-webview://*", "vscode-file://*"),
)


class OriginGuard:
    """Refuses what a web page from elsewhere, or a name rebound to this machine, must not reach.

    The rules are Ollama's (contract 1.5, 1.6): CORS with a list of origins, and while bound to
    loopback only hosts that mean this machine or its network.
    """

    def __init__(self, app: ASGIApp, *, origins: tuple[str, ...], check_host: bool) -> None:
        self._app = app
        self._origins = tuple(origin.strip().lower() for origin in (*origins, *_LOCAL_ORIGINS))
        self._all = "*" in self._origins
        self._preflight = _PREFLIGHT if self._all else [*_PREFLIGHT, *_PREFLIGHT_VARY]
        self._check_host = check_host
        self._names = {"", "localhost", socket.gethostname().lower()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        host, origin = header(scope, b"host") or "", header(scope, b"origin")
        foreign = bool(origin) and origin not in (f"http://{host}", f"https://{host}")
        if foreign and not self._allows(origin or ""):
            await _answer(send, 403, [])
            return
        cors = self._cors_headers(origin or "") if foreign else []
        if foreign and scope["method"] == "OPTIONS":
            await _answer(send, 204, [*cors, *self._preflight])
        elif self._check_host and not self._is_local(host):
            await _answer(send, 403, [])
        elif self._check_host and scope["method"] == "OPTIONS" and not _address(host):
            await _answer(send, 204, [])
        else:
            await self._app(scope, receive, _adding(send, cors) if cors else send)

    def _allows(self, origin: str) -> bool:
        return any(_matches(allowed, origin) for allowed in self._origins)

    def _cors_headers(self, origin: str) -> list[tuple[bytes, bytes]]:
        if self._all:
            return [(b"access-control-allow-origin", b"*")]
        return [(b"access-control-allow-origin", origin.encode("latin-1")), (b"vary", b"Origin")]

    def _is_local(self, host: str) -> bool:
        if address := _address(host):
            near = any(address in network for network in _PRIVATE if network.version == address.version)
            return address.is_loopback or address.is_unspecified or near
        name = _hostname(host)
        return name in self._names or name.endswith((".localhost", ".local", ".internal"))


def _hostname(host: str) -> str:
    """Return a Host header without its port, in lower case."""
    return re.sub(r":\d*$", "", host).strip("[]").lower()


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(_hostname(host))
    except ValueError:
        return None


def _matches(allowed: str, origin: str) -> bool:
    start, star, end = allowed.partition("*")
    if not star:
        return allowed == origin
    return len(origin) >= len(start) + len(end) and origin.startswith(start) and origin.endswith(end)


def _adding(send: Send, headers: list[tuple[bytes, bytes]]) -> Send:
    async def add(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message.get("headers", ()), *headers]
        await send(message)

    return add


async def _answer(send: Send, status: int, headers: list[tuple[bytes, bytes]]) -> None:
    length = [] if status == 204 else [(b"content-length", b"0")]
    await send({"type": "http.response.start", "status": status, "headers": [*headers, *length]})
    await send({"type": "http.response.body", "body": b""})
