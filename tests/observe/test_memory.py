"""The share of its memory that a container uses, as the kernel's files tell it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from ollama_openai_proxy.observe.memory import Memory, watch
from support.waiting import eventually

MIB = 2**20


def unified(folder: Path, limit: str, used: int, inactive: int = 0) -> None:
    """Make a group of version 2."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "memory.max").write_text(f"{limit}\n")
    (folder / "memory.current").write_text(f"{used}\n")
    (folder / "memory.stat").write_text(f"anon 1\nfile 2\ninactive_anon 9999999\ninactive_file {inactive}\nslab 3\n")


def older(folder: Path, limit: int, used: int, inactive: int = 0) -> None:
    """Make a group of version 1."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "memory.limit_in_bytes").write_text(f"{limit}\n")
    (folder / "memory.usage_in_bytes").write_text(f"{used}\n")
    (folder / "memory.stat").write_text(f"cache 1\ninactive_file 7\ntotal_inactive_file {inactive}\n")


def share(tmp_path: Path, own: str) -> float:
    (tmp_path / "cgroup").write_text(own)
    return Memory(tmp_path / "fs", tmp_path / "cgroup").share()


@pytest.mark.parametrize(
    ("limit", "used", "inactive", "expected"),
    [
        (str(100 * MIB), 50 * MIB, 0, 0.5),
        (str(100 * MIB), 95 * MIB, 20 * MIB, 0.75),
        (str(100 * MIB), 10 * MIB, 20 * MIB, 0),
        (str(100 * MIB), 120 * MIB, 0, 1.2),
        ("max", 50 * MIB, 0, 0),
        ("0", 50 * MIB, 0, 0),
        ("x", 50 * MIB, 0, 0),
    ],
)
def test_j14_version_2(tmp_path: Path, limit: str, used: int, inactive: int, expected: float) -> None:
    """J14: what is used, without what the kernel would drop, by the limit; no limit is 0, for it is never reached."""
    unified(tmp_path / "fs", limit, used, inactive)
    assert share(tmp_path, "0::/\n") == pytest.approx(expected)


def test_j14_own_group(tmp_path: Path) -> None:
    """J14: without a namespace the group is below the mounted folder; the nearest limit above it counts."""
    unified(tmp_path / "fs" / "a" / "b.scope", "max", 30 * MIB)
    unified(tmp_path / "fs" / "a", str(40 * MIB), 30 * MIB)
    unified(tmp_path / "fs" / "other", str(40 * MIB), 40 * MIB)
    assert share(tmp_path, "0::/a/b.scope\n") == pytest.approx(0.75)
    unified(tmp_path / "fs" / "a" / "b.scope", str(31 * MIB), 31 * MIB)
    assert share(tmp_path, "0::/a/b.scope\n") == 1
    assert share(tmp_path, "0::/../../a\n") == 0


@pytest.mark.parametrize("path", ["/", "/docker/1a2b"])
def test_j14_version_1(tmp_path: Path, path: str) -> None:
    """J14: so with version 1, in whose containers the path is the host's and the mounted folder the container's."""
    own = f"9:name=systemd:/x\n5:cpu,memory:{path}\n3:cpuset:/y\n0::/\n"
    older(tmp_path / "fs" / "memory", 100 * MIB, 80 * MIB, 10 * MIB)
    assert share(tmp_path, own) == pytest.approx(0.7)
    older(tmp_path / "fs" / "memory", 9223372036854771712, 80 * MIB)
    assert share(tmp_path, own) == 0


@pytest.mark.parametrize("own", ["", "x", "0::/gone\n", "1:memory:/gone\n", "::\n"])
def test_j14_nothing_to_look_at(tmp_path: Path, own: str) -> None:
    """J14: where there are no groups, or they have no such files, there is no limit, and nothing fails."""
    assert share(tmp_path, own) == 0
    assert Memory(tmp_path, tmp_path / "missing").share() == 0


def test_this_process() -> None:
    """It can be told of the process that runs this, too: 0 without a limit, else a share of it."""
    assert 0 <= Memory().share() < 10


async def test_watch() -> None:
    """It is looked at again and again."""
    told: list[float] = []
    task = asyncio.create_task(watch(lambda: len(told) / 10, told.append))
    await eventually(lambda: len(told) >= 3)
    task.cancel()
    assert told[:3] == [0, 0.1, 0.2]


def test_j14_bytes_that_are_left(tmp_path: Path) -> None:
    """J14: what may be taken is told of the group that has the least left, and is infinite without a limit."""
    (tmp_path / "cgroup").write_text("0::/a/b\n")
    memory = Memory(tmp_path / "fs", tmp_path / "cgroup")
    assert memory.left(0.9) == float("inf")
    unified(tmp_path / "fs" / "a", str(100 * MIB), 80 * MIB, inactive=10 * MIB)
    unified(tmp_path / "fs" / "a" / "b", str(90 * MIB), 30 * MIB)
    assert memory.left(0.9) == pytest.approx(20 * MIB)
    assert memory.left(0.5) == pytest.approx(-20 * MIB)
