"""What goes wrong while connecting: which word it gets in the log, and whether it may be tried again."""

from __future__ import annotations

import errno
import os
import socket
import ssl
from typing import Any, cast

import aiohttp
import pytest
from aiohttp.client_reqrep import ConnectionKey

from ollama_openai_proxy.upstream.errors import TRANSPORT, is_out_of_files, is_unconnected, translated

_KEY = cast("Any", ConnectionKey)("backend.example", 443, False, True, None, None, None)


def refused(number: int) -> aiohttp.ClientConnectorError:
    return aiohttp.ClientConnectorError(_KEY, OSError(number, os.strerror(number)))


NAME = aiohttp.ClientConnectorDNSError(_KEY, socket.gaierror(socket.EAI_NONAME, "no such name"))
BUSY = aiohttp.ClientConnectorDNSError(_KEY, socket.gaierror(socket.EAI_AGAIN, "not now"))
CERTIFICATE = aiohttp.ClientConnectorCertificateError(_KEY, ssl.SSLCertVerificationError("self-signed"))
RESET = aiohttp.ClientConnectorError(_KEY, ConnectionResetError())

CASES: dict[str, tuple[aiohttp.ClientError, bool, str, bool]] = {
    "refused": (refused(errno.ECONNREFUSED), False, "up_connect", True),
    "unreachable": (refused(errno.EHOSTUNREACH), False, "up_connect", True),
    "no such name": (NAME, False, "up_dns", False),
    "no name for now": (BUSY, False, "up_dns", True),
    "certificate": (CERTIFICATE, True, "up_tls", False),
    "reset in a handshake": (RESET, True, "up_tls", True),
    "reset without TLS": (RESET, False, "up_connect", True),
    "too late": (aiohttp.ConnectionTimeoutError(), False, "up_connect_timeout", False),
    "closed": (aiohttp.ServerDisconnectedError(), False, "up_reset", False),
    "lost": (aiohttp.ClientOSError(errno.ECONNRESET, "reset"), False, "up_reset", False),
}


@pytest.mark.parametrize(("error", "tls", "outcome", "again"), CASES.values(), ids=CASES.keys())
def test_d4_j5_connections_that_fail(error: aiohttp.ClientError, tls: bool, outcome: str, again: bool) -> None:
    """D4, J5: each way to fail has its word and counts for the breaker; only without a connection is it tried again."""
    ours = translated(error, tls=tls)
    assert (ours.outcome, ours.outcome in TRANSPORT, is_unconnected(error)) == (outcome, True, again)
    assert "backend.example" not in ours.message


def test_d2_late_by_its_name() -> None:
    """D2: what was too late while a name was looked up is told as that."""
    ours = translated(aiohttp.ConnectionTimeoutError(), in_lookup=True)
    assert (ours.status, ours.outcome) == (504, "up_dns")


@pytest.mark.parametrize(("tls", "outcome"), [(True, "up_tls"), (False, "up_connect_timeout")])
def test_d7_late_by_tls(tls: bool, outcome: str) -> None:
    """D7: what was too late when there was a connection is a matter of TLS, if it was to be spoken."""
    ours = translated(aiohttp.ConnectionTimeoutError(), tls=tls, reached=True)
    assert (ours.status, ours.outcome) == (504, outcome)


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE])
def test_d12_out_of_files(number: int) -> None:
    """D12: that this process has no descriptor left says nothing of the backend, and is not tried again."""
    assert is_out_of_files(refused(number))
    assert not is_unconnected(refused(number))
    assert not is_out_of_files(refused(errno.ECONNREFUSED))
