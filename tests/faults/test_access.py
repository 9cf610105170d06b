"""Keys of clients, as an operator meets them: what a start says, and what goes on working (reliability L6, L15, M3)."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from support.command import DEMO, NOWHERE, one_line, parsed, run, served
from support.processes import eventually, free_port

KEY = "canary-client-key"
ALL = "0.0.0.0"  # noqa: S104  # that is what is tested


def test_l15_open_to_others(tmp_path: Path) -> None:
    """L15: a start on an address that others reach, without keys, is one warning, however many workers there are."""
    with served(tmp_path, "serve", "--workers", "2", PROXY_HOST=ALL, **NOWHERE) as running:
        eventually(lambda: "PROXY_API_KEY" in running.out + running.err, within=10)
    told = [line for line in parsed(running.out + running.err) if "PROXY_API_KEY" in line["message"]]
    assert [line["level"] for line in told] == ["WARNING"]


@pytest.mark.parametrize("settings", [{"PROXY_HOST": ALL, "PROXY_API_KEY": KEY}, {"PROXY_HOST": "127.0.0.1"}])
def test_l15_nothing_to_tell(tmp_path: Path, settings: dict[str, str]) -> None:
    """L15: with keys, or where only this machine reaches it, there is nothing to warn of."""
    with served(tmp_path, "serve", **settings, **NOWHERE) as running:
        pass
    assert "PROXY_API_KEY" not in running.out + running.err


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"REQUIRE_AUTH": "true"}, "REQUIRE_AUTH"),
        ({"PROXY_API_KEY_FILE": "missing"}, "PROXY_API_KEY_FILE"),
        ({"PROXY_API_KEY_FILE": "."}, "PROXY_API_KEY_FILE"),
        ({"PROXY_API_KEY": ""}, "PROXY_API_KEY"),
        ({"PROXY_API_KEY": f"{KEY} x"}, "PROXY_API_KEY"),
        ({"PROXY_API_KEY": KEY, "PROXY_API_KEY_FILE": "x"}, "PROXY_API_KEY"),
        ({"TRUSTED_PROXIES": "10.0.0.1/8"}, "TRUSTED_PROXIES"),
    ],
)
def test_l6_l15_start_that_fails(tmp_path: Path, settings: dict[str, str], name: str) -> None:
    """L6, L15: keys that can't be used, or are wanted and missing, stop the start in one line without any value."""
    done = run(tmp_path, "serve", PROXY_PORT="0", **settings, **NOWHERE)
    assert done.returncode != 0
    assert name in one_line(done.stderr)
    assert KEY not in done.stdout + done.stderr


def test_l6_m3_keys_in_use(tmp_path: Path) -> None:
    """L6, M3: keys of a file let in; the probe needs none; nothing that is printed holds one."""
    (tmp_path / "keys").write_bytes(f"{KEY}\r\nother\r\n".encode())
    settings = {"PROXY_API_KEY_FILE": "keys", "REQUIRE_AUTH": "true", "LOG_LEVEL": "debug"}
    with served(tmp_path, *DEMO, **settings) as running:
        port = running.url.rpartition(":")[2]
        for path in ("/live", "/ready"):
            assert run(tmp_path, "probe", path, PROXY_PORT=port, **settings).returncode == 0
        assert httpx.get(f"{running.url}/api/tags").status_code == 401
        for key in (KEY, "other"):
            assert httpx.get(f"{running.url}/api/tags", headers={"Authorization": f"Bearer {key}"}).status_code == 200
        answered = httpx.get(f"{running.url}/health", headers={"Authorization": f"Bearer {KEY}"})
        assert answered.status_code == 200
        assert KEY not in answered.text + answered.headers.get("x-request-id", "")
    assert KEY not in running.out + running.err


def test_m7_metrics_on_a_port_of_their_own(tmp_path: Path) -> None:
    """M7: METRICS_PORT moves the metrics to a port that can be closed: there they want no key."""
    port = free_port()
    with served(tmp_path, *DEMO, PROXY_API_KEY=KEY, METRICS_PORT=str(port)) as running:
        assert httpx.get(f"http://127.0.0.1:{port}/metrics").status_code == 200
        assert httpx.get(f"{running.url}/metrics").status_code == 401
