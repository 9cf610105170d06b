"""The image that tests run in, and the measurement of an image."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

from support import engine

CI = f"{engine.IMAGE}:ci"

pytestmark = pytest.mark.usefixtures("images")


def test_tests_run_inside() -> None:
    """G16: tests run in the image as its user, on what was installed in prod, and say what they covered."""
    some = ("tests/translate/test_sse.py", "tests/test_cli.py", "tests/serve/test_sockets.py")
    loopback = "--sysctl=net.ipv6.conf.all.disable_ipv6=0"  # some tests listen on ::1
    done = engine.run("run", "--rm", loopback, CI, "pytest", "-q", "--cov=ollama_openai_proxy", *some)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"^\d+ passed", done.stdout, re.MULTILINE)
    assert "/app/lib/python3.12/site-packages/ollama_openai_proxy/translate/" in done.stdout


@pytest.mark.parametrize("tool", ["ruff", "mypy", "coverage", "lint-imports"])
def test_tools_are_there(tool: str) -> None:
    """The image has what `scripts/check` asks."""
    assert engine.run("run", "--rm", CI, tool, "--help").returncode == 0


@pytest.mark.parametrize(("limit", "status"), [("1000000", 0), ("-1000000", 1)])
def test_measurement(limit: str, status: int) -> None:
    """G8: the script that the workflow runs tells what the image costs, and fails above the bound that it is given.

    Of a few requests the time that is added may be less than none: it is a difference of two that vary.
    """
    script = [sys.executable, "benchmarks/container.py", "--starts=1", "--requests=5", f"--max-added-ms={limit}"]
    environ = {**os.environ, "ENGINE": engine.client() or ""}
    done = subprocess.run(script, cwd=engine.ROOT, env=environ, capture_output=True, text=True, check=False)  # noqa: S603  # our own script
    assert done.returncode == status, done.stdout + done.stderr
    assert re.search(r"^added, not streamed, ms +p50 -?\d+\.\d+ ", done.stdout, re.MULTILINE)
