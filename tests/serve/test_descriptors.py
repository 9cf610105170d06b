"""Open files, and the connections that fit."""

from __future__ import annotations

import subprocess
import sys

import pytest

SHOW = """
import resource, sys
from ollama_openai_proxy.serve.descriptors import allowed, raise_limit
resource.setrlimit(resource.RLIMIT_NOFILE, (int(sys.argv[1]), int(sys.argv[2])))
raise_limit()
print(*resource.getrlimit(resource.RLIMIT_NOFILE), allowed(4096), allowed(10))
"""


@pytest.mark.parametrize(
    ("soft", "hard", "shown"),
    [
        (200, 1000, "1000 1000 468 10"),
        (256, 256, "256 256 96 10"),
        (64, 64, "64 64 1 1"),
        (10_000, 10_000, "10000 10000 4096 10"),
    ],
)
def test_a4_open_files(soft: int, hard: int, shown: str) -> None:
    """A4, C13: the soft limit becomes the hard one; a connection needs two files, and some are for everything else."""
    command = [sys.executable, "-c", SHOW, str(soft), str(hard)]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip() == shown  # noqa: S603  # our own command
