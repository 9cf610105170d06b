"""The process may open no more files: what it can't do it says, and it goes on (reliability 2.D, D12)."""

from __future__ import annotations

import json
import resource
from pathlib import Path

import httpx

from support.command import served
from support.listeners import closed
from support.processes import eventually

UNLIMITED = (4096, 4096)


def descriptors(process: int) -> set[int]:
    return {int(entry.name) for entry in Path(f"/proc/{process}/fd").iterdir()}


def test_d12_no_descriptor_for_the_upstream(tmp_path: Path) -> None:
    """D12: a request whose call can't be made for want of descriptors is 503 with Retry-After, and the next one that
    has one is served as ever."""
    settings = {"OPENAI_API_BASE_URL": closed(), "FORWARD_UNKNOWN_MODELS": "true", "BREAKER_FAILURES": "0"}
    asked = {"model": "m", "messages": [{"role": "user", "content": "x"}]}
    with (
        served(tmp_path, "serve", **settings) as running,
        httpx.Client(base_url=running.url, trust_env=False) as client,
    ):
        process = running.process.pid
        assert client.post("/api/chat", json=asked, timeout=30).status_code == 502
        # The connection is kept: the request needs no descriptor, its call does.
        held = eventually(lambda: descriptors(process), within=10)
        resource.prlimit(process, resource.RLIMIT_NOFILE, (min(set(range(4096)) - held), UNLIMITED[1]))
        shed = client.post("/api/chat", json=asked, timeout=30)
        assert (shed.status_code, shed.json()) == (503, {"error": "the server has too many connections open"})
        assert int(shed.headers["Retry-After"]) >= 1
        assert client.get("/live").status_code == 200
        resource.prlimit(process, resource.RLIMIT_NOFILE, UNLIMITED)
        assert client.post("/api/chat", json=asked, timeout=30).status_code == 502
        told = eventually(lambda: outcomes(running.out, 3), within=10)
    assert told == ["up_connect", "shed_full", "up_connect"]


def outcomes(log: str, count: int) -> list[str] | None:
    """Return how the chats ended, once there are so many."""
    lines = [json.loads(line) for line in log.splitlines()]
    found = [line["outcome"] for line in lines if line.get("route") == "/api/chat"]
    return found if len(found) == count else None
