"""What the images tell of themselves."""

from __future__ import annotations

import subprocess
from datetime import UTC, datetime
from typing import Any

import pytest

from support import engine

# What the official base image says of itself.
BASE_NAMES = ("GPG_KEY", "PYTHON_VERSION", "PYTHON_SHA256")


@pytest.fixture(scope="module")
def config(image: str) -> dict[str, Any]:
    found = engine.inspect(image)["Config"]
    assert isinstance(found, dict)
    return found


def git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=engine.ROOT, capture_output=True, text=True, check=True)  # noqa: S603, S607  # as scripts/image asks it
    return done.stdout.strip()


def test_user_is_a_number(config: dict[str, Any]) -> None:
    """G10: Kubernetes' runAsNonRoot wants a number."""
    assert config["User"] == "1000:1000"


def test_runs_without_a_shell(config: dict[str, Any]) -> None:
    """P2: no shell stands between the signals and the process."""
    assert config["Entrypoint"] == ["ollama-openai-proxy"]
    assert config["Cmd"] == ["serve"]
    assert config["StopSignal"] == "SIGTERM"
    assert config["Shell"] is None if "Shell" in config else True


def test_health_check(config: dict[str, Any]) -> None:
    """G9, P1: a check starts no shell, and its deadline is longer than that of the probe, which is 3 s."""
    check = config["Healthcheck"]
    assert check["Test"] == ["CMD", "python", "-I", "-S", "/app/probe.pyc"]
    assert check["Interval"] == 30_000_000_000
    assert check["Timeout"] >= 4_000_000_000
    assert check["Retries"] == 3


def test_labels(config: dict[str, Any]) -> None:
    """G15 and the OCI's names: what it is, of which commit, and when that was; not when it was built."""
    labels = {name.removeprefix("org.opencontainers.image."): value for name, value in config["Labels"].items()}
    assert labels["title"] == engine.IMAGE
    assert labels["version"] == engine.version()
    changed = "-dirty" if git("status", "--porcelain") else ""
    assert labels["revision"] == git("rev-parse", "HEAD") + changed
    assert labels["licenses"] == "MIT"
    assert "python:3.12-slim" in labels["base.name"]
    created = datetime.fromtimestamp(int(git("log", "-1", "--format=%ct")), UTC)
    assert datetime.fromisoformat(labels["created"]) == created


def test_environment(config: dict[str, Any]) -> None:
    """What the image sets is known: nothing of the build, no key, no backend."""
    variables = dict(variable.split("=", 1) for variable in config["Env"])
    assert {name: value for name, value in variables.items() if name not in BASE_NAMES} == {
        "PATH": "/app/bin:/usr/local/bin:/usr/bin:/bin",
        "LANG": "C.UTF-8",
        "PYTHONDONTWRITEBYTECODE": "1",
        "OLLAMA_HOST": "[::]:11434",
        "MANAGEMENT_ENABLED": "false",
    }


def test_both_images_run_alike(images: None) -> None:  # noqa: ARG001  # what it asks for is built
    """Only what is around the proxy differs: how it is started, checked and stopped is the same."""
    first, second = (engine.inspect(f"{engine.IMAGE}:{target}")["Config"] for target in ("prod", "distroless"))
    for config in (first, second):
        config.pop("Image", None)
        config.pop("Hostname", None)
        config["Env"] = sorted(each for each in config["Env"] if each.partition("=")[0] not in BASE_NAMES)
    assert first == second
