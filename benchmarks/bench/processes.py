"""Processes, each group of them in a session of its own: where they run, what they use, how they end."""

from __future__ import annotations

import http.client
import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from benchmarks.bench.client import HOST

_KEPT = ("HOME", "LANG", "PATH", "TMPDIR")
_STOP = 10.0
_PROCESS_CLOCK = 2  # CPUCLOCK_SCHED of a whole process, as clock_getcpuclockid(3) puts it together


class Cores(NamedTuple):
    """Where what runs: `peer` has its core to itself, the two others share one if there are but two.

    `workers`: two for a peer of several processes, which it shares with the rest if there are fewer than four.
    """

    peer: set[int]
    upstream: set[int]
    client: set[int]
    workers: set[int]

    @classmethod
    def here(cls) -> Cores:
        cores = sorted(os.sched_getaffinity(0))
        if len(cores) < 2:
            raise OSError("two cores are needed: one for what is measured, one for the rest")
        return cls({cores[-1]}, {cores[0]}, {cores[1] if len(cores) > 2 else cores[0]}, set(cores[-2:]))


class Memory(NamedTuple):
    """MiB. `peak`: the most so far, of each process by itself, added up."""

    rss: float
    pss: float
    peak: float


class Group:
    """A program that was started, and all processes that it has started."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self._process = process
        self._log = log

    @property
    def ended(self) -> bool:
        return self._process.poll() is not None

    def pids(self) -> list[int]:
        found = (int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit())
        return [pid for pid in found if _session(pid) == self._process.pid]

    def cpu_us(self) -> float:
        """Return the CPU time of all its processes and their threads, also of those that have ended, microseconds."""
        return sum(map(_cpu_ns, self.pids())) / 1000

    def finish(self) -> None:
        """Let it end by itself, as it does when its standard input ends. Raises subprocess.TimeoutExpired."""
        if self._process.stdin:
            self._process.stdin.close()
        self._process.wait(_STOP)

    def memory(self) -> Memory:
        found = [_memory(pid) for pid in self.pids()]
        return Memory(*(sum(column) for column in zip(*found, strict=True))) if found else Memory(0, 0, 0)

    def said(self) -> str:
        """Return the end of what it has printed, in one line."""
        return " ".join(self._log.read_text(errors="replace").split())[-300:]


@contextmanager
def running(argv: Sequence[str], *, env: dict[str, str], cwd: Path, cores: set[int], log: Path) -> Iterator[Group]:
    """Run a program on these cores until the block ends. Raises OSError."""
    environment = {name: os.environ[name] for name in _KEPT if name in os.environ}
    before = os.sched_getaffinity(0)
    with log.open("wb") as output:
        os.sched_setaffinity(0, cores)  # which it inherits with the first instruction
        try:
            process = subprocess.Popen(
                argv,
                env={**environment, **env},
                cwd=cwd,
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        finally:
            os.sched_setaffinity(0, before)
    group = Group(process, log)
    try:
        yield group
    finally:
        _stop(process)


def listening(group: Group, port: int, within: float, *, path: str = "") -> None:
    """Wait until something accepts connections there, or answers a path with 200. Raises OSError if it does not."""
    deadline = time.monotonic() + within
    while not (_answers(port, path) if path else _accepts(port)):
        if group.ended:
            raise OSError(f"it ended: {group.said()}")
        if time.monotonic() > deadline:
            raise TimeoutError(f"it did not listen within {within:.0f} s: {group.said()}")
        time.sleep(0.002 if not path else 0.05)


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind((HOST, 0))
        port: int = listener.getsockname()[1]
        return port


def _stop(process: subprocess.Popen[bytes]) -> None:
    """End a program and all that it has started, which share its session and its group."""
    for number, within in ((signal.SIGTERM, _STOP), (signal.SIGKILL, _STOP)):
        try:
            os.killpg(process.pid, number)
            process.wait(within)
        except ProcessLookupError:
            break
        except subprocess.TimeoutExpired:
            continue
    process.wait(_STOP)
    if process.stdin:
        process.stdin.close()


def _session(pid: int) -> int:
    fields = _read(pid, "stat").rpartition(")")[2].split()
    return int(fields[3]) if fields else 0


def _cpu_ns(pid: int) -> int:
    """Read the clock that counts the CPU time of another process: nanoseconds, and threads that have ended too."""
    try:
        return time.clock_gettime_ns((~pid << 3) | _PROCESS_CLOCK)
    except OSError:  # it has ended
        return 0


def _memory(pid: int) -> Memory:
    sizes = {
        name: int(size) / 1024
        for page in ("smaps_rollup", "status")
        for name, size in re.findall(r"^(Rss|Pss|VmHWM):\s+(\d+) kB$", _read(pid, page), re.MULTILINE)
    }
    return Memory(sizes.get("Rss", 0), sizes.get("Pss", 0), sizes.get("VmHWM", 0))


def _read(pid: int, page: str) -> str:
    try:
        return Path(f"/proc/{pid}/{page}").read_text(encoding="utf-8", errors="replace")
    except OSError:  # it has ended
        return ""


def _accepts(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex((HOST, port)) == 0


def _answers(port: int, path: str) -> bool:
    connection = http.client.HTTPConnection(HOST, port, timeout=5)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
