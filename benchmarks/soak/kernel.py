"""What Linux tells of a process and of its connections."""

from __future__ import annotations

import os
import re
import resource
import subprocess
from pathlib import Path
from typing import NamedTuple

MIB = 1024 * 1024
_TICKS = os.sysconf("SC_CLK_TCK")


class Memory(NamedTuple):
    """Bytes: what is in memory, and what is the process's own, wherever it is."""

    resident: int
    own: int


def memory(pid: int) -> Memory:
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    sizes = {name: int(value) * 1024 for name, value in re.findall(r"^(\w+):\s+(\d+) kB$", status, re.MULTILINE)}
    return Memory(sizes["VmRSS"], sizes["RssAnon"] + sizes["VmSwap"])


def descriptors(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))  # noqa: PTH208  # of a process, not of files


def cpu(pid: int) -> float:
    """Return the seconds of CPU time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def unsent(port: int) -> int | None:
    """Return the bytes of kernel memory that hold what this port's clients have not taken; None without `ss`."""
    try:
        found = subprocess.run(
            ["ss", "-Htmn", "sport", "=", f":{port}"], capture_output=True, text=True, timeout=10, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return sum(int(size) for size in re.findall(r"skmem:\([^)]*\bw(\d+)", found.stdout))


def allow_many_files() -> None:
    """Allow this process and those it starts as many open files as the system does."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
