"""The machine sleeps for a while, or the process is stopped (reliability 2.K, K15)."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path

import httpx

from support.command import served

STOPPED = 2.0  # seconds


def test_k15_suspended_and_resumed(tmp_path: Path) -> None:
    """K15: a stream goes on after the process was stopped for a while, and ends whole; so does the next request."""
    asked = {"model": "demo", "messages": [{"role": "user", "content": "Count to twenty"}]}
    with (
        served(tmp_path, "serve", "--demo", "--rate", "20") as running,
        httpx.Client(base_url=running.url, trust_env=False, timeout=30) as client,
    ):
        asked["model"] = client.get("/api/tags").json()["models"][0]["name"]
        with client.stream("POST", "/api/chat", json=asked) as response:
            lines = response.iter_lines()
            first = json.loads(next(lines))
            running.process.send_signal(signal.SIGSTOP)
            time.sleep(STOPPED)
            running.process.send_signal(signal.SIGCONT)
            rest = [json.loads(line) for line in lines]
        assert not first["done"]
        assert rest[-1]["done"]
        assert "error" not in rest[-1]
        assert rest[-1]["total_duration"] >= STOPPED * 1e9
        assert client.post("/api/chat", json={**asked, "stream": False}).json()["done"]
