"""The official JavaScript SDK, npm's `ollama`, against the proxy with its embedded backend."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from support.processes import running_proxy

SOURCES = Path(__file__).parent / "npm"
# Outside the sources, and kept, so that npm need not fetch the SDK each time.
INSTALLED = Path(__file__).parents[2] / ".cache" / "npm-contract"


def install() -> None:
    """Put the SDK of package-lock.json next to a copy of the script, unless it is there."""
    lock = (SOURCES / "package-lock.json").read_bytes()
    marker = INSTALLED / "node_modules" / "installed-from.json"
    shutil.copytree(SOURCES, INSTALLED, dirs_exist_ok=True)
    if not marker.exists() or marker.read_bytes() != lock:
        subprocess.run(["npm", "ci", "--no-audit", "--no-fund"], cwd=INSTALLED, check=True)  # noqa: S607  # wherever npm is
        marker.write_bytes(lock)


# Where CI is set nothing is skipped: a run without node would pass and have tested nothing.
@pytest.mark.skipif(not (shutil.which("npm") or os.environ.get("CI")), reason="node and npm are not installed")
@pytest.mark.timeout(300)
@pytest.mark.parametrize(("script", "rate"), [("contract", "50"), ("options", "0")], ids=["contract", "options"])
def test_javascript_sdk(tmp_path: Path, script: str, rate: str) -> None:
    """Every call of npm's `ollama`, with every option of its types, gets the answer that it expects of Ollama."""
    install()
    with running_proxy(tmp_path, "--demo", "--rate", rate) as url:
        command = ["node", str(INSTALLED / f"{script}.mjs"), url]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)  # noqa: S603  # our own script
    assert done.returncode == 0, done.stdout + done.stderr
