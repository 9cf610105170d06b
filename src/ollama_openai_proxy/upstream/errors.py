"""Foreign errors become ours here, by the table at the end."""

from __future__ import annotations

import errno

import aiohttp

from ollama_openai_proxy.errors import UpstreamBroken, UpstreamError, UpstreamTimeout, UpstreamUnreachable
from ollama_openai_proxy.upstream.resolver import is_passing

INVALID = "invalid response from upstream"
NO_NAME = "the upstream's name could not be resolved"
# How a call fails when its connection does, and not what came over it.
TRANSPORT = frozenset({"up_dns", "up_connect", "up_connect_timeout", "up_tls", "up_reset"})
_NO_TLS = "the upstream's TLS could not be verified"
_LATE = "timed out connecting to the upstream"
_NO_FILES = (errno.EMFILE, errno.ENFILE)


def is_half_head(error: aiohttp.ClientError) -> bool:
    return isinstance(error, aiohttp.ServerDisconnectedError) and not isinstance(error.message, str)


def is_unconnected(error: aiohttp.ClientError) -> bool:
    """Whether no connection came about, for a reason that may be gone in a moment."""
    if not isinstance(error, aiohttp.ClientConnectorError) or isinstance(error, aiohttp.ClientSSLError):
        return False
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return is_passing(error.os_error)
    return not is_out_of_files(error)


def is_out_of_files(error: aiohttp.ClientError) -> bool:
    """Whether it is this process, or its machine, that can open no more connections."""
    return isinstance(error, aiohttp.ClientConnectorError) and error.os_error.errno in _NO_FILES


def translated(
    error: aiohttp.ClientError, *, in_lookup: bool = False, tls: bool = False, reached: bool = False
) -> UpstreamError:
    """Return our error. `in_lookup`: what took too long, if that it is, was to look up the name. `tls`: whether TLS
    was to be spoken, for servers that close when they do not like what they are offered. `reached`: whether there was
    a connection to speak it over."""
    if is_half_head(error):
        return UpstreamBroken(INVALID)
    if tls and reached and isinstance(error, aiohttp.ConnectionTimeoutError):
        return UpstreamTimeout(_LATE, outcome="up_tls")
    if in_lookup and isinstance(error, aiohttp.ConnectionTimeoutError):
        return UpstreamTimeout(_LATE, outcome="up_dns")
    if tls and isinstance(error, aiohttp.ClientConnectorError) and isinstance(error.os_error, ConnectionResetError):
        return UpstreamUnreachable(_NO_TLS, outcome="up_tls")
    for kind, make, message, outcome in _ERRORS:
        if isinstance(error, kind):
            return make(message, outcome=outcome)
    return UpstreamBroken(INVALID)


# The first that fits counts: special ones come before the kinds they belong to.
_ERRORS: tuple[tuple[type[aiohttp.ClientError], type[UpstreamError], str, str], ...] = (
    (aiohttp.ClientConnectorDNSError, UpstreamUnreachable, NO_NAME, "up_dns"),
    (aiohttp.ClientSSLError, UpstreamUnreachable, _NO_TLS, "up_tls"),
    (aiohttp.ConnectionTimeoutError, UpstreamTimeout, _LATE, "up_connect_timeout"),
    (aiohttp.ClientConnectorError, UpstreamUnreachable, "the upstream refused the connection", "up_connect"),
    (aiohttp.ServerDisconnectedError, UpstreamUnreachable, "the upstream closed the connection", "up_reset"),
    (aiohttp.ClientPayloadError, UpstreamBroken, "the upstream closed the stream before finishing", "up_truncated"),
    (aiohttp.ClientOSError, UpstreamUnreachable, "the connection to the upstream was lost", "up_reset"),
    (aiohttp.ClientConnectionError, UpstreamBroken, "the upstream closed the stream before finishing", "up_truncated"),
)
