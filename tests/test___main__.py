"""`python -m ollama_openai_proxy`."""

import subprocess
import sys
from pathlib import Path

import pytest


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "ollama_openai_proxy", *arguments]
    return subprocess.run(command, cwd=folder, env={}, capture_output=True, text=True, timeout=60, check=False)  # noqa: S603  # our own command


@pytest.mark.parametrize(("arguments", "status"), [(["--help"], 0), ([], 2), (["nonsense"], 2)])
def test_is_the_command(tmp_path: Path, arguments: list[str], status: int) -> None:
    """The module is the command, under the command's name, and passes its exit status on."""
    done = run(tmp_path, *arguments)
    assert done.returncode == status
    assert (done.stdout + done.stderr).startswith("usage: ollama-openai-proxy ")
