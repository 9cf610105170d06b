"""Signals that a running proxy gets, and being killed, again and again (reliability 2.K)."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import httpx
import pytest

from support.command import parsed, served
from support.processes import free_port

ASKED = {"model": "demo", "messages": [{"role": "user", "content": "Hello"}]}


@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGUSR2, signal.SIGPIPE], ids=lambda each: each.name)
def test_k6_signals_that_mean_nothing(tmp_path: Path, number: signal.Signals, workers: str) -> None:
    """K6: what others take for "open the log again" ends no stream, SIGTERM ends the proxy, and nothing is spewed."""
    with (
        served(tmp_path, "serve", "--demo", "--rate", "40", WORKERS=workers, DRAIN_DELAY="0") as running,
        httpx.stream("POST", f"{running.url}/api/chat", json=ASKED, timeout=30) as response,
    ):
        lines = response.iter_lines()
        next(lines)
        running.process.send_signal(number)
        assert json.loads([*lines][-1])["done"]
        running.process.send_signal(signal.SIGTERM)
        assert running.process.wait(20) == 0
        assert running.err == ""
        parsed(running.out)


@pytest.mark.timeout(240)  # twenty starts, on a loaded machine
def test_k7_killed_again_and_again(tmp_path: Path) -> None:
    """K7: whoever is killed in mid-stream, twenty times, leaves nothing behind that keeps the next one from serving."""
    port = free_port()
    data = tmp_path / "data"
    data.mkdir()
    settings = {"DATA_DIR": str(data), "LOG_FILE": str(tmp_path / "proxy.log")}
    for _ in range(20):
        with (
            served(tmp_path, "serve", "--demo", "--rate", "20", PROXY_PORT=str(port), **settings) as running,
            httpx.stream("POST", f"{running.url}/api/chat", json=ASKED, timeout=30) as response,
        ):
            lines = response.iter_lines()
            assert not json.loads(next(lines))["done"]
            running.process.kill()
            with pytest.raises(httpx.TransportError):
                list(lines)
            running.process.wait(10)
            assert running.err == ""
    assert {path.name for path in tmp_path.iterdir()} == {"data", "proxy.log", "out", "err"}
