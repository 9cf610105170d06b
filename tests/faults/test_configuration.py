"""What the settings bring about in a running process (reliability 2.L, 2.M)."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from support.processes import running_proxy
from support.proxy import KEY, chat, proxied
from support.replies import HI
from support.scripted import Upstream

OTHER = "another-key-9876543210"


async def test_l7_key_that_is_changed(tmp_path: Path) -> None:
    """L7: a key file is read at the start, and until the next one the old key counts, for every call."""
    key = tmp_path / "key"
    key.write_text(KEY)
    used = []
    async with Upstream() as upstream:
        upstream.script("m", HI)
        given = {"OPENAI_API_BASE_URL": upstream.url, "OPENAI_API_KEY_FILE": str(key)}
        for written in (OTHER, OTHER):
            with running_proxy(tmp_path, **given) as url:
                async with httpx.AsyncClient(trust_env=False) as client:
                    for _ in range(2):
                        assert (await client.post(f"{url}/api/chat", json=chat())).status_code == 200
                        key.write_text(written)
        used = [request.headers["authorization"] for request in upstream.posts]
    assert used == [f"Bearer {KEY}"] * 2 + [f"Bearer {OTHER}"] * 2


@pytest.mark.parametrize(
    "headers",
    [(), ("Upgrade-Insecure-Requests: 1",), ("X-Forwarded-Proto: https",), ("Forwarded: proto=https;host=a.example",)],
    ids=["plain", "upgrade", "forwarded", "rfc7239"],
)
async def test_m14_no_tls_of_its_own(headers: tuple[str, ...]) -> None:
    """M14: TLS is what stands before the proxy's business: nobody is sent to https, or told to come back by it."""
    async with proxied() as proxy:
        for path in ("/", "/api/version", "/api/tags"):
            response = await proxy.ask("GET", path, None, *headers)
            assert response.status == 200
            assert response.header("location") is None
            assert response.header("strict-transport-security") is None
