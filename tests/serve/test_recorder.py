"""What is said of every request: its id, its line, its figures; and what ends at its edge."""

from __future__ import annotations

import re

import pytest
from starlette.types import Receive, Scope, Send

from support.asgi import call
from support.recording import recorded


async def ok(_scope: Scope, _receive: Receive, send: Send) -> None:
    """An application that answers every request."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"ok"})


@pytest.mark.parametrize(
    "given", ["a", "3f2504e0-4f89-11d3-9a0c-0305e82c3301", "Root=1-67891233:abc+def/x.y_z", "x" * 128]
)
async def test_request_id_is_kept(given: str) -> None:
    """A request id of the client's is answered as it came."""
    _, headers = await call(recorded(ok), "GET", "/", [("X-Request-Id", given)])
    assert [value for name, value in headers if name == "x-request-id"] == [given]


@pytest.mark.parametrize("given", [None, "", "x" * 129, "a b", 'a"b', "a;b", "é", "a\tb", "<script>", "a\x1bb"])
async def test_request_id_is_made(given: str | None) -> None:
    """A missing or malformed request id is replaced by one of 32 hex digits, other for each request."""
    headers = [] if given is None else [("X-Request-Id", given)]
    made = [dict((await call(recorded(ok), "GET", "/", headers))[1])["x-request-id"] for _ in range(2)]
    assert all(re.fullmatch(r"[0-9a-f]{32}", value) for value in made)
    assert made[0] != made[1]
