"""What goes wrong before a reply becomes one of our errors."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from ollama_openai_proxy.errors import (
    ModelNotFound,
    ProxyError,
    UpstreamBroken,
    UpstreamRefused,
    UpstreamTimeout,
    UpstreamUnauthorised,
    UpstreamUnreachable,
)
from ollama_openai_proxy.upstream.errors import TRANSPORT
from support.opening import CALL, opened
from support.replies import body
from support.scripted import Close, Hold, Pause, Reset, Send, Status, Step
from support.waiting import eventually

OUTCOMES: dict[str, tuple[Sequence[Step], type[ProxyError], int, str]] = {
    "D8 FIN": ((Close(),), UpstreamUnreachable, 502, "up_reset"),
    "D8 RST": ((Pause(0.02), Reset()), UpstreamUnreachable, 502, "up_reset"),
    "E1": ((Hold(),), UpstreamTimeout, 504, "up_ttft_timeout"),
    "E3": ((Send(b"HTTP/1.1 200 OK\r\nA"), Close()), UpstreamBroken, 502, "up_protocol"),
    "E4": ((Send(b"SSH-2.0\r\n"), Close()), UpstreamBroken, 502, "up_protocol"),
    "E9": ((Status(101, "Connection: upgrade", "Upgrade: h2c"), Hold()), UpstreamBroken, 502, "up_protocol"),
    "E11": (body(b"", 302, "Location: /"), UpstreamBroken, 502, "up_protocol"),
    "E16": (body(b"", 200, "Content-Encoding: br"), UpstreamBroken, 502, "up_protocol"),
    "I1": (body({"error": {"message": "no"}}, 400), UpstreamRefused, 400, "up_4xx"),
    "I2": (body(b"", 401), UpstreamUnauthorised, 502, "up_4xx"),
    "I3": (body({"error": {"message": "no", "code": "model_not_found"}}, 404), ModelNotFound, 404, "not_found"),
    "J1": (body(b"", 429, "Retry-After: 3"), UpstreamRefused, 429, "up_429"),
    "I12": (body(b"", 502), UpstreamRefused, 502, "up_5xx"),
}


@pytest.mark.parametrize(("steps", "kind", "status", "outcome"), OUTCOMES.values(), ids=OUTCOMES.keys())
async def test_refused_to_open(steps: Sequence[Step], kind: type[ProxyError], status: int, outcome: str) -> None:
    """2.0: what goes wrong before the reply is one of our errors, with its status and its word for the log."""
    async with opened(steps) as (upstream, backend):
        with pytest.raises(ProxyError) as caught:
            await upstream.open(CALL)
        assert type(caught.value) is kind
        assert (caught.value.status, caught.value.outcome) == (status, outcome)
        await eventually(lambda: not backend.busy, within=1.0)


async def test_client_name_in_errors() -> None:
    """A model that the backend does not have is told under the client's name."""
    async with opened(body({"error": {"message": "model m not found"}}, 404)) as (upstream, _):
        with pytest.raises(ModelNotFound) as caught:
            await upstream.open(CALL)
        assert caught.value.model == "client-name"


def test_transport() -> None:
    """J7: what counts as a failure of the connection, not of what came over it (docs/adr/0021)."""
    assert {"up_dns", "up_connect", "up_connect_timeout", "up_tls", "up_reset"} == TRANSPORT


@pytest.mark.parametrize("head", [b"H", b"HTTP/1.1 200 OK", b"HTTP/1.1 200 OK\r\nA: b\r\n"], ids=len)
async def test_e3_half_a_head(head: bytes) -> None:
    """E3: a connection that closed within a head is told from one that closed before it."""
    async with opened((Send(head), Pause(0.02), Close())) as (upstream, _):
        with pytest.raises(UpstreamBroken) as caught:
            await upstream.open(CALL)
        assert (caught.value.message, caught.value.outcome) == ("invalid response from upstream", "up_protocol")
    async with opened((Pause(0.02), Close())) as (upstream, _):
        with pytest.raises(UpstreamUnreachable) as lost:
            await upstream.open(CALL)
        assert lost.value.message == "the upstream closed the connection"
