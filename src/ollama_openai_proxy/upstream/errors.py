"""Foreign errors become ours here, by the table at the end."""

from __future__ import annotations

import aiohttp

from ollama_openai_proxy.errors import UpstreamBroken, UpstreamError, UpstreamTimeout, UpstreamUnreachable

INVALID = "invalid response from upstream"
NO_NAME = "the upstream's name could not be resolved"


def is_half_head(error: aiohttp.ClientError) -> bool:
    return isinstance(error, aiohttp.ServerDisconnectedError) and not isinstance(error.message, str)


def translated(error: aiohttp.ClientError) -> UpstreamError:
    if is_half_head(error):
        return UpstreamBroken(INVALID)
    for kind, make, message, outcome in _ERRORS:
        if isinstance(error, kind):
            return make(message, outcome=outcome)
    return UpstreamBroken(INVALID)


# The first that fits counts: special ones come before the kinds they belong to.
_ERRORS: tuple[tuple[type[aiohttp.ClientError], type[UpstreamError], str, str], ...] = (
    (aiohttp.ClientConnectorDNSError, UpstreamUnreachable, NO_NAME, "up_dns"),
    (aiohttp.ClientSSLError, UpstreamUnreachable, "the upstream's TLS could not be verified", "up_tls"),
    (aiohttp.ConnectionTimeoutError, UpstreamTimeout, "timed out connecting to the upstream", "up_connect_timeout"),
    (aiohttp.ClientConnectorError, UpstreamUnreachable, "the upstream refused the connection", "up_connect"),
    (aiohttp.ServerDisconnectedError, UpstreamUnreachable, "the upstream closed the connection", "up_reset"),
    (aiohttp.ClientPayloadError, UpstreamBroken, "the upstream closed the stream before finishing", "up_truncated"),
    (aiohttp.ClientOSError, UpstreamUnreachable, "the connection to the upstream was lost", "up_reset"),
    (aiohttp.ClientConnectionError, UpstreamBroken, "the upstream closed the stream before finishing", "up_truncated"),
)
