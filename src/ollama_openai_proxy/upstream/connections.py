"""How connections to a backend are made and kept: nothing of the environment takes part but the certificates to trust.

Neither proxies nor `.netrc` (aiohttp's `trust_env` stays off); `SSL_CERT_FILE` and `SSL_CERT_DIR` are OpenSSL's.
"""

from __future__ import annotations

import socket
import ssl

import aiohttp

from ollama_openai_proxy.upstream.heads import MAX_HEAD, MAX_HEADERS, Connector

# What a backend may send before the proxy has read it, or a client taken it: some of it the system holds, some aiohttp.
_SYSTEM_HOLDS = 128 * 1024
_READER_HOLDS = 32 * 1024  # and as much again, before it stops the connection
# A peer that is gone without a word is noticed after two minutes, in a stream that is silent for longer, too.
_KEEPALIVE = ((socket.TCP_KEEPIDLE, 60), (socket.TCP_KEEPINTVL, 15), (socket.TCP_KEEPCNT, 4))


def connector(
    resolver: aiohttp.abc.AbstractResolver, trust: ssl.SSLContext | None, keep_alive: float
) -> aiohttp.TCPConnector:
    """Return what makes connections, and keeps idle ones for so many seconds; 0: for one request only.

    Of several addresses the next is tried when one refuses, or is silent for a quarter of a second.
    """
    return Connector(
        limit=0,
        keepalive_timeout=keep_alive or None,
        force_close=not keep_alive,
        resolver=resolver,
        use_dns_cache=False,  # the resolver has one
        ssl=trust or True,
        socket_factory=_open_socket,
    )


def session(
    connector: aiohttp.TCPConnector, headers: dict[str, str], trace: aiohttp.TraceConfig
) -> aiohttp.ClientSession:
    """Return what sends requests with these headers, and adds, keeps and unpacks nothing by itself."""
    return aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        max_line_size=MAX_HEAD,
        max_field_size=MAX_HEAD,
        max_headers=MAX_HEADERS,
        read_bufsize=_READER_HOLDS,
        skip_auto_headers=("User-Agent", "Accept-Encoding"),
        headers=headers,
        trace_configs=[trace],
    )


def connect_within(seconds: float) -> aiohttp.ClientTimeout:
    """Return the limit for name, connection and TLS together; what comes after has limits elsewhere."""
    return aiohttp.ClientTimeout(total=None, connect=seconds)


def trusted(base_url: str) -> ssl.SSLContext | None:
    """Return which certificates to trust, None if the URL asks for no TLS. Nothing older than TLS 1.2."""
    if not base_url.lower().startswith("https:"):
        return None
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def _open_socket(address: aiohttp.AddrInfoType) -> socket.socket:
    opened = socket.socket(*address[:3])
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _SYSTEM_HOLDS)  # before the handshake, which tells of it
    for option, value in _KEEPALIVE:
        opened.setsockopt(socket.IPPROTO_TCP, option, value)
    return opened
