"""Programs that tests run: from the environment of the tests, or from PATH."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest


def installed(name: str) -> str:
    """Return the path of a program. Without it the test is skipped; where CI is set, it fails."""
    beside = Path(sys.executable).with_name(name)
    found = str(beside) if beside.exists() else shutil.which(name)
    if found is None and not os.environ.get("CI"):
        pytest.skip(f"{name} is not installed")
    assert found is not None, f"{name} is not installed"
    return found
