"""CORS as Ollama does it (contract 1.5): which web pages may use the proxy, and what they are told."""

from __future__ import annotations

Headers = list[tuple[bytes, bytes]]

_ALLOWED_HEADERS = (
    "Authorization,Content-Type,User-Agent,Accept,X-Requested-With,Openai-Beta,X-Stainless-Arch,X-Stainless-Async,"
    "X-Stainless-Custom-Poll-Interval,X-Stainless-Helper-Method,X-Stainless-Lang,X-Stainless-Os,"
    "X-Stainless-Package-Version,X-Stainless-Poll-Helper,X-Stainless-Retry-Count,X-Stainless-Runtime,"
    "X-Stainless-Runtime-Version,X-Stainless-Timeout"
)
_PREFLIGHT: Headers = [
    (b"access-control-allow-methods", b"GET,POST,PUT,PATCH,DELETE,HEAD,OPTIONS"),
    (b"access-control-allow-headers", _ALLOWED_HEADERS.encode()),
    (b"access-control-max-age", b"43200"),
]
_PREFLIGHT_VARY: Headers = [(b"vary", b"Access-Control-Request-Method"), (b"vary", b"Access-Control-Request-Headers")]
_LOCAL_HOSTS = ("localhost", "127.0.0.1", "0.0.0.0")  # noqa: S104  # in origins, no address to bind
_LOCAL_ORIGINS = (
    *(f"{scheme}://{host}{port}" for scheme in ("http", "https") for host in _LOCAL_HOSTS for port in ("", ":*")),
    *("app://*", "file://*", "tauri://*", "vscode-webview://*", "vscode-file://*"),
)


class Origins:
    """The origins that are allowed: those of this machine, and `listed`, each with one `*` at most."""

    def __init__(self, listed: tuple[str, ...]) -> None:
        entries = [entry.strip() for entry in (*listed, *_LOCAL_ORIGINS)]
        self._exact = {entry.lower() for entry in entries if "*" not in entry}
        # Browsers send lower case, whatever the list has; other clients what they like.
        wild = {spelling for entry in entries if "*" in entry for spelling in (entry, entry.lower())}
        self._wild = tuple(entry.split("*") for entry in sorted(wild))
        self._all = "*" in entries

    def allows(self, origin: str) -> bool:
        """Whether the list has it. Case counts: an origin is compared as it was sent."""
        return origin in self._exact or any(
            len(origin) >= len(start) + len(end) and origin.startswith(start) and origin.endswith(end)
            for start, end in self._wild
        )

    def headers(self, origin: str) -> Headers:
        """Return what an answer to an allowed origin carries."""
        if self._all:
            return [(b"access-control-allow-origin", b"*")]
        return [(b"access-control-allow-origin", origin.encode("latin-1")), (b"vary", b"Origin")]

    def preflight(self, origin: str) -> Headers:
        """Return what the answer to an allowed preflight carries."""
        return [*self.headers(origin), *_PREFLIGHT, *(() if self._all else _PREFLIGHT_VARY)]


def is_same(origin: str, host: str) -> bool:
    """Whether the origin is the host that was asked: the page then came from here."""
    return origin in (f"http://{host}", f"https://{host}")
