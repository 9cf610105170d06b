"""A name server that does not answer: what waits for it must not hold up the end (K1, D1)."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from support.command import COMMAND
from support.processes import eventually

# In a network of its own, with a name server that takes questions and never answers. The socket is handed on.
UNSHARE = ("unshare", "--user", "--map-root-user", "--mount", "--net")
SILENT = """
import fcntl, os, socket, struct, subprocess, sys
up = struct.pack("16sh14x", b"lo", 0x1 | 0x40)
fcntl.ioctl(socket.socket(socket.AF_INET, socket.SOCK_DGRAM), 0x8914, up)
silent = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
silent.bind(("127.0.0.1", 53))
silent.set_inheritable(True)
subprocess.run(["mount", "--bind", sys.argv[1], "/etc/resolv.conf"], check=True)
os.execv(sys.argv[2], sys.argv[2:])
"""
THREADS_OF_A_LOOKUP = 4  # those that libuv starts for the first


@pytest.mark.parametrize("workers", ["1", "2"])
def test_k1_end_during_a_lookup(tmp_path: Path, workers: str) -> None:
    """K1: while the upstream's name is being looked up, a signal ends the process as promptly as ever."""
    resolver = tmp_path / "resolv.conf"
    resolver.write_text("nameserver 127.0.0.1\noptions timeout:30 attempts:1\n")
    command = [*UNSHARE, sys.executable, "-c", SILENT, str(resolver)]
    probe = [*command, "/bin/true"]
    if not shutil.which(probe[0]) or subprocess.run(probe, capture_output=True, check=False).returncode:  # noqa: S603  # a tool of util-linux
        pytest.skip("namespaces of mounts and networks are not allowed here")
    settings = {"OPENAI_API_BASE_URL": "http://backend.example/v1", "WORKERS": workers, "PATH": "/usr/bin:/bin"}
    with (
        (tmp_path / "out").open("wb") as out,
        subprocess.Popen([*command, *COMMAND, "serve"], cwd=tmp_path, env=settings, stdout=out) as process,  # noqa: S603  # our own command
    ):
        try:
            eventually(lambda: (tmp_path / "out").read_text().count('"ready"') == int(workers), within=60)
            served = children(process.pid) if workers == "2" else [process.pid]
            eventually(lambda: all(threads(each) > THREADS_OF_A_LOOKUP for each in served), within=10)
            process.send_signal(signal.SIGTERM)
            assert process.wait(timeout=5) == 0
        finally:
            process.kill()
    assert (tmp_path / "out").read_text().count('"stopped"') >= int(workers)


def children(parent: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{parent}/task/{parent}/children").read_text().split()]


def threads(process: int) -> int:
    return len(list(Path(f"/proc/{process}/task").iterdir()))
