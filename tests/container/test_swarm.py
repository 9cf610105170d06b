"""The stack for Docker Swarm: what it says, and an update of it while it is used."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from support import engine
from support.engine import ROOT, docker
from support.processes import eventually

STACK = "proxy-test-stack"
VARIABLES = {"PROXY_IMAGE", "OPENAI_API_BASE_URL", "PROXY_NETWORK", "OPENAI_API_KEY_SECRET"}
FILE = ROOT / "deploy" / "swarm.yml"
CLIENT = Path(__file__).with_name("swarm_client.py")
# A test has no backend and little time; IPVS, which Swarm's own addresses need, is not in each kernel.
OVERRIDE = """
version: "3.9"
services:
  proxy:
    command: [serve, --demo, --rate=40]
    healthcheck: {interval: 1s}
    deploy:
      endpoint_mode: dnsrr
      update_config: {monitor: 1s}
"""


@pytest.fixture(scope="module")
def proxy() -> dict[str, Any]:
    found = yaml.safe_load(FILE.read_text(encoding="utf-8"))["services"]["proxy"]
    assert isinstance(found, dict)
    return found


def seconds(duration: str) -> float:
    return float(duration.removesuffix("s"))


def test_grace(proxy: dict[str, Any]) -> None:
    """P17: a task has the time of its drain and more, and the delay is within the drain."""
    drain, delay = float(proxy["environment"]["DRAIN_TIMEOUT"]), float(proxy["environment"]["DRAIN_DELAY"])
    assert seconds(proxy["stop_grace_period"]) >= drain + 10
    assert 0 < delay < drain


def test_order(proxy: dict[str, Any]) -> None:
    """P17: an update starts before it stops, one task at a time; a rollback stops before it starts (moby#43081)."""
    update, rollback = proxy["deploy"]["update_config"], proxy["deploy"]["rollback_config"]
    assert (update["order"], update["parallelism"], update["failure_action"]) == ("start-first", 1, "rollback")
    assert (rollback["order"], rollback["parallelism"]) == ("stop-first", 1)
    assert proxy["deploy"]["replicas"] >= 2
    assert "ports" not in proxy  # P17: with start-first a port of the host would be taken; P12: and be open to all


def test_same_limits_as_compose(proxy: dict[str, Any]) -> None:
    """G21: what Compose's base says of a container holds here, as far as Swarm knows it."""
    base = yaml.safe_load((ROOT / "docker" / "docker-compose.base.yml").read_text(encoding="utf-8"))["services"]
    compose = base["hardened"] | base["proxy"]
    assert {name: proxy[name] for name in ("init", "read_only", "cap_drop", "logging")} == {
        name: compose[name] for name in ("init", "read_only", "cap_drop", "logging")
    }
    limits = proxy["deploy"]["resources"]["limits"]
    assert limits["pids"] == compose["pids_limit"]
    assert f":-{limits['memory'].lower()}}}" in compose["mem_limit"]
    assert f":-{proxy['stop_grace_period']}}}" in compose["stop_grace_period"]


def test_key_is_a_secret(proxy: dict[str, Any]) -> None:
    """D11: the key is a file that only the user of the image reads."""
    (secret,) = proxy["secrets"]
    assert proxy["environment"]["OPENAI_API_KEY_FILE"] == f"/run/secrets/{secret['source']}"
    assert (secret["uid"], secret["gid"], secret["mode"]) == ("1000", "1000", 0o400)
    assert "OPENAI_API_KEY" not in proxy["environment"]


def test_guide() -> None:
    """G24: what the guide makes and sets is what the stack asks for."""
    page = (ROOT / "docs" / "scaling.md").read_text(encoding="utf-8")
    stack = FILE.read_text(encoding="utf-8")
    assert {*re.findall(r"^export (\w+)=", page, re.MULTILINE)} == {*re.findall(r"\$\{(\w+):\?", stack)}
    (network,) = re.findall(r"^docker network create --driver overlay (\S+)$", page, re.MULTILINE)
    (secret,) = re.findall(r"^docker secret create (\S+) -$", page, re.MULTILINE)
    assert {*re.findall(r"name: \$\{\w+:-(\S+)\}", stack)} == {network, secret}
    (command,) = re.findall(r"^docker stack deploy --compose-file (\S+) ", page, re.MULTILINE)
    assert ROOT / command == FILE


@pytest.mark.parametrize("missing", ["PROXY_IMAGE", "OPENAI_API_BASE_URL"])
def test_guards(needs_engine: None, missing: str) -> None:  # noqa: ARG001  # a fixture has no other way to be asked for
    """G21: what has no default is asked for by name."""
    given = {"PROXY_IMAGE": "x", "OPENAI_API_BASE_URL": "http://x"}
    done = deploy(**{name: value for name, value in given.items() if name != missing})
    assert done.returncode != 0
    assert missing in done.stderr


def deploy(*more: str | Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Deploy the stack as docs/scaling.md shows it, with what this engine has."""
    files = [f"--compose-file={path}" for path in (FILE, *more)]
    command = [engine.client() or "", "stack", "deploy", *files, "--resolve-image=never", STACK]
    environ = {name: value for name, value in os.environ.items() if name not in VARIABLES} | variables
    return subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60, check=False)  # noqa: S603  # the engine's client


@pytest.fixture
def swarm(needs_engine: None, tmp_path: Path) -> Iterator[None]:  # noqa: ARG001  # a fixture has no other way to be asked for
    """A swarm of this one node, with what the stack expects of it; it is left again at the end."""
    if docker("info", "--format={{.Swarm.LocalNodeState}}") != "inactive":
        pytest.skip("the engine is in a swarm already, which is not the test's to use")
    docker("swarm", "init", "--advertise-addr=127.0.0.1")
    try:
        docker("network", "create", "--driver=overlay", "--attachable", STACK)
        key = tmp_path / "key"
        key.write_text("sk-unused\n")
        docker("secret", "create", STACK, str(key))
        yield
    finally:
        docker("swarm", "leave", "--force")


def tasks() -> set[str]:
    """The containers of the tasks that run and are healthy."""
    label = f"--filter=label=com.docker.swarm.service.name={STACK}_proxy"
    return {*docker("ps", "--quiet", "--filter=health=healthy", label).split()}


def updated() -> bool:
    state = docker("service", "inspect", f"{STACK}_proxy", "--format={{json .UpdateStatus}}")
    return bool((json.loads(state) or {}).get("State") == "completed")


def is_confined(task: str) -> None:
    """P6: the engine gave the container the limits of the file."""
    found = engine.inspect(task)["HostConfig"]
    assert (found["ReadonlyRootfs"], found["Init"], found["CapDrop"]) == (True, True, ["ALL"])
    assert (found["Memory"], found["NanoCpus"], found["PidsLimit"]) == (256 * 1024**2, 1_000_000_000, 128)


@pytest.mark.usefixtures("swarm")
def test_update_under_load(prod: str, tmp_path: Path) -> None:
    """G12, G23, P17: an update replaces all tasks, and no request fails or is cut meanwhile."""
    override = tmp_path / "override.yml"
    override.write_text(OVERRIDE)
    variables = {"PROXY_IMAGE": prod, "OPENAI_API_BASE_URL": "http://unused/v1"}
    variables |= {"PROXY_NETWORK": STACK, "OPENAI_API_KEY_SECRET": STACK}
    done = deploy(override, **variables)
    assert done.returncode == 0, done.stderr
    eventually(lambda: len(tasks()) == 2, within=40)
    before = tasks()
    for task in before:
        is_confined(task)
    options = (f"--network={STACK}", "--entrypoint=python")
    with engine.container(prod, "-c", CLIENT.read_text(), "ollama-openai-proxy", options=options) as client:
        # Another setting, and so other tasks.
        override.write_text(f"{OVERRIDE}    environment: {{LOG_LEVEL: warning}}\n")
        assert deploy(override, **variables).returncode == 0
        eventually(updated, within=60)
        eventually(lambda: len(tasks()) == 2, within=20)
        assert not before & tasks()
        client.signal("TERM")
        assert client.wait() == 0, client.logs()
        (found,) = client.lines()
    assert found["failed"] == []
    assert found["asked"] > 50
