"""Which origins are allowed, and what they are told (contract 1.5)."""

from __future__ import annotations

import pytest

from ollama_openai_proxy.serve.origins import Origins, is_same

ALLOWED_HEADERS = (
    "Authorization,Content-Type,User-Agent,Accept,X-Requested-With,Openai-Beta,X-Stainless-Arch,X-Stainless-Async,"
    "X-Stainless-Custom-Poll-Interval,X-Stainless-Helper-Method,X-Stainless-Lang,X-Stainless-Os,"
    "X-Stainless-Package-Version,X-Stainless-Poll-Helper,X-Stainless-Retry-Count,X-Stainless-Runtime,"
    "X-Stainless-Runtime-Version,X-Stainless-Timeout"
)
LOCAL = [f"{scheme}://{host}" for scheme in ("http", "https") for host in ("localhost", "127.0.0.1", "0.0.0.0")]  # noqa: S104  # no address to bind
BUILT_IN = [
    *LOCAL,
    *(f"{origin}:3000" for origin in LOCAL),
    "app://obsidian.md",
    "file://",
    "file:///home",
    "tauri://localhost",
    "vscode-webview://1a2b3c",
    "vscode-file://vscode-app",
]
FOREIGN = [
    "https://evil.example",
    "http://localhost.evil.example",
    "http://127.0.0.1.evil.example",
    "http://127.0.0.2",
    "http://[::1]:3000",
    "ftp://localhost",
    "HTTP://localhost",
    "http://Localhost",
    "chrome-extension://abc",
    "vscode://x",
    "tauri:/localhost",
    "null",
]


@pytest.mark.parametrize("origin", BUILT_IN)
def test_built_in(origin: str) -> None:
    """Rule 4: this machine's pages with and without a port, and apps, whatever else is listed."""
    assert Origins(()).allows(origin)
    assert Origins(("https://a.example",)).allows(origin)


@pytest.mark.parametrize("origin", FOREIGN)
def test_a10_foreign(origin: str) -> None:
    """Rules 3, 4: anything else is refused, `null` too; case counts in what is sent."""
    assert not Origins(()).allows(origin)
    assert not Origins(("https://a.example",)).allows(origin)


LISTED: dict[str, tuple[str, str, bool]] = {
    "exact": ("https://a.example", "https://a.example", True),
    "exact, with space": ("  https://a.example ", "https://a.example", True),
    "exact, in capitals": ("https://A.Example", "https://a.example", True),
    "exact, asked in capitals": ("https://a.example", "https://A.example", False),
    "exact, another port": ("https://a.example", "https://a.example:8443", False),
    "exact, a longer name": ("https://a.example", "https://a.example.evil", False),
    "exact, another scheme": ("https://a.example", "http://a.example", False),
    "a star at the end": ("chrome-extension://*", "chrome-extension://abc", True),
    "a star at the end, nothing there": ("chrome-extension://*", "chrome-extension://", True),
    "a star at the end, another scheme": ("chrome-extension://*", "moz-extension://abc", False),
    "a star for the port": ("https://a.example:*", "https://a.example:8443", True),
    "a star for the port, none": ("https://a.example:*", "https://a.example", False),
    "a star in front": ("*.a.example", "https://x.a.example", True),
    "a star in front, another end": ("*.a.example", "https://a.example.evil", False),
    "a star in front, the end within": ("*.a.example", "https://x.a.example:1", False),
    "a star within": ("https://*.a.example", "https://x.y.a.example", True),
    "a star within, nothing there": ("https://*.a.example", "https://.a.example", True),
    "a star within, another scheme": ("https://*.a.example", "http://x.a.example", False),
    "a star within, both ends the same": ("https://a*a", "https://a", False),
    "a star, in capitals": ("https://*.A.example", "https://x.a.example", True),
    "a star, in capitals, asked so": ("MyApp://*", "MyApp://x", True),
    "any": ("*", "https://evil.example", True),
    "any, null": ("*", "null", True),
    "null, listed": ("null", "null", True),
    "null, listed, another": ("null", "nullx", False),
    "null, not listed": ("https://a.example", "null", False),
}


@pytest.mark.parametrize(("entry", "origin", "allowed"), LISTED.values(), ids=LISTED.keys())
def test_listed(entry: str, origin: str, allowed: bool) -> None:
    """Rule 4: an entry is exact, or has one star, which stands for anything."""
    assert Origins(("https://other.example", entry)).allows(origin) is allowed


def test_headers() -> None:
    """Rules 5, 8: the origin itself and Vary; never credentials, never exposed headers."""
    assert Origins(()).headers("app://x") == [(b"access-control-allow-origin", b"app://x"), (b"vary", b"Origin")]


def test_a11_headers_of_a_preflight() -> None:
    """Rule 6: exactly these, with three values of Vary."""
    assert sorted(Origins(()).preflight("app://x")) == [
        (b"access-control-allow-headers", ALLOWED_HEADERS.encode()),
        (b"access-control-allow-methods", b"GET,POST,PUT,PATCH,DELETE,HEAD,OPTIONS"),
        (b"access-control-allow-origin", b"app://x"),
        (b"access-control-max-age", b"43200"),
        (b"vary", b"Access-Control-Request-Headers"),
        (b"vary", b"Access-Control-Request-Method"),
        (b"vary", b"Origin"),
    ]


def test_headers_for_all() -> None:
    """Rule 7: with a bare star the answer is a star, without Vary."""
    origins = Origins(("https://a.example", "*"))
    assert origins.headers("null") == [(b"access-control-allow-origin", b"*")]
    assert b"vary" not in dict(origins.preflight("null"))
    assert dict(origins.preflight("null"))[b"access-control-allow-origin"] == b"*"


@pytest.mark.parametrize(
    ("origin", "same"),
    [
        ("http://models.example:8080", True),
        ("https://models.example:8080", True),
        ("https://models.example", False),
        ("HTTP://models.example:8080", False),
        ("null", False),
    ],
)
def test_same_origin(origin: str, same: bool) -> None:
    """Rule 2: an origin is the server's own if it is the Host header with http or https before it."""
    assert is_same(origin, "models.example:8080") is same
