"""How much of the memory that its container may use a process uses: what the kernel's control groups tell."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from math import inf
from pathlib import Path

_SECONDS = 0.5
_NO_LIMIT = 2**60  # bytes: version 1 tells none as the largest number of pages


class Group:
    """A group with a limit on memory, of either version."""

    def __init__(self, folder: Path, *, unified: bool) -> None:
        names = ("memory.current", "memory.max") if unified else ("memory.usage_in_bytes", "memory.limit_in_bytes")
        self._used, self._limit = (folder / name for name in names)
        self._details = folder / "memory.stat"
        self._files = b"inactive_file " if unified else b"total_inactive_file "

    def share(self) -> float:
        """Return the used share of the limit, 0 without a limit.

        What the kernel keeps of files that nobody has used of late does not count: it is dropped when the memory is
        needed. Kubernetes counts so, too.
        """
        used, limit = self._read()
        return used / limit if limit else 0.0

    def left(self, share: float) -> float:
        """Return the bytes that are left until that share is used: less than 0 above it, infinite without a limit."""
        used, limit = self._read()
        return limit * share - used if limit else inf

    def _read(self) -> tuple[int, int]:
        """Return what is used, and the limit: 0 if there is none. Bytes."""
        try:
            limit = self._limit.read_bytes().strip()
            if limit == b"max" or not 0 < int(limit) < _NO_LIMIT:
                return 0, 0
            return max(int(self._used.read_bytes()) - self._reclaimable(), 0), int(limit)
        except (OSError, ValueError):
            return 0, 0

    def _reclaimable(self) -> int:
        lines = self._details.read_bytes().splitlines()
        return next((int(line.split()[1]) for line in lines if line.startswith(self._files)), 0)


class Memory:
    """The groups that this process is in. One that holds it may have a limit that is nearer than its own."""

    def __init__(self, mounted: Path = Path("/sys/fs/cgroup"), own: Path = Path("/proc/self/cgroup")) -> None:
        self._groups = tuple(_groups(mounted, own))

    def share(self) -> float:
        """Return the used share of the limit that is nearest, 0 without a limit."""
        return max((group.share() for group in self._groups), default=0.0)

    def left(self, share: float) -> float:
        """Return the bytes that are left until that share of the nearest limit is used, infinite without a limit."""
        return min((group.left(share) for group in self._groups), default=inf)


def _groups(mounted: Path, own: Path) -> Iterator[Group]:
    try:
        lines = own.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return
    for line in lines:
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        unified = number == "0" and not controllers
        if unified or "memory" in controllers.split(","):
            top = mounted if unified else mounted / "memory"
            for folder in _upwards(path):
                yield Group(top / folder, unified=unified)


def _upwards(path: str) -> Iterator[Path]:
    """Return the folder and all that hold it, below the one where groups are mounted."""
    folder = Path(path.strip("/"))
    if ".." not in folder.parts:  # else it is outside of what this container sees
        while folder.parts:
            yield folder
            folder = folder.parent
    yield Path()


async def watch(share: Callable[[], float], tell: Callable[[float], None]) -> None:
    """Look again and again, until cancelled. The files are the kernel's and small: to read them takes no thread."""
    while True:
        tell(share())
        await asyncio.sleep(_SECONDS)
