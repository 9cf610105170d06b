"""The file that log lines go to, beside standard output: it has a limit, and may be shared by processes.

Whoever writes opens it, locks it, and looks whether it is still the one of that name: another process may have begun
a new one, or logrotate may have taken it away. logging's own handlers do not fit: of several processes each would
rename the file, and what a full disk refused stays in their buffer.
"""

from __future__ import annotations

import fcntl
import logging
import os
import re
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

KEPT = 5  # older files: NAME.1 is the youngest of them
_FLAGS = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK | os.O_CLOEXEC  # a FIFO blocks nobody
_MODE = 0o640
_LOOK_UP = 0.005  # seconds between two tries to lock it: a lock is held for one write
_TRIES = 100  # far more new files than can begin while one process looks for the current one
_PAUSE = 60.0  # seconds between two lines that tell of failures
_COLOUR = re.compile("\x1b\\[[0-9;]*m")  # only our own: what others chose is escaped

_log = logging.getLogger(__name__)


class _NotWanted(Exception):
    """Nobody waits any more for the lines to be written."""


class LogFile:
    """A file of at most `size` bytes, unless one line has more, and KEPT older ones. Nothing stays open."""

    def __init__(self, path: Path, size: int) -> None:
        # Where a link leads to: it is the file that is renamed, not the link.
        self._path = Path(os.path.realpath(path))
        self._older = [self._path.parent / f"{self._path.name}.{number}" for number in range(1, KEPT + 1)]
        self._given = path
        self._size = size
        self._told: float | None = None

    def check(self) -> None:
        """Raise OSError if lines can't be written now, or no new file can begin when this one is full."""
        try:
            with _opened(self._path) as file:
                _try_lock(file)  # an error where the file system knows no locks
        except FileNotFoundError as error:
            if self._given.exists():  # /dev/stdout leads to what has no name, a pipe
                raise OSError("not a regular file") from None
            raise FileNotFoundError(error.errno, "no such folder") from None
        if not os.access(self._path.parent, os.W_OK | os.X_OK):
            raise PermissionError("its folder can't be written, and new files begin there")

    def write(self, lines: str, still_wanted: Callable[[], bool]) -> int:
        """Write all lines or none, as long as they are wanted. Returns how many were not written."""
        data = _COLOUR.sub("", lines).encode("utf-8", "backslashreplace")
        try:
            with self._locked(len(data), still_wanted) as file:
                _append(file, data)
        except _NotWanted:
            return data.count(b"\n")
        except OSError as error:
            self._tell(error)
            return data.count(b"\n")
        return 0

    @contextmanager
    def _locked(self, needed: int, still_wanted: Callable[[], bool]) -> Iterator[int]:
        """The current file, with room for so many bytes, and nobody else's until the block ends."""
        for _ in range(_TRIES):
            with _opened(self._path) as file:
                while not _try_lock(file):
                    if not still_wanted():
                        raise _NotWanted
                    time.sleep(_LOOK_UP)
                if not self._is_current(file):
                    continue
                size = os.fstat(file).st_size
                if not size or size + needed <= self._size:
                    yield file
                    return
                self._begin_new()
        raise OSError("others rename it all the time")

    def _is_current(self, file: int) -> bool:
        try:
            return os.path.samestat(os.fstat(file), self._path.stat())
        except FileNotFoundError:
            return False

    def _begin_new(self) -> None:
        """Rename the file and those before it, up to the first name that is free: a try that failed left it.

        Only whoever has locked the current file does this, so one process at a time.
        """
        names = [self._path, *self._older]
        free = next((number for number, name in enumerate(names) if not os.path.lexists(name)), KEPT)
        for number in range(free, 0, -1):
            names[number - 1].replace(names[number])

    def _tell(self, error: OSError) -> None:
        """Log why, which goes to standard output, too. Not each time: that would fill it."""
        now = time.monotonic()
        if self._told is None or now - self._told >= _PAUSE:
            self._told = now
            _log.warning("can't write to the log file", extra={"error": error.strerror or str(error)})


@contextmanager
def _opened(path: Path) -> Iterator[int]:
    file = os.open(path, _FLAGS, _MODE)
    try:
        if not stat.S_ISREG(os.fstat(file).st_mode):
            raise OSError("not a regular file")
        yield file
    finally:
        os.close(file)  # and with it the lock


def _try_lock(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _append(file: int, data: bytes) -> None:
    """Append all or nothing: half a line would be the beginning of the next."""
    size = os.fstat(file).st_size
    written = 0
    try:
        while written < len(data):
            written += os.write(file, data[written:])
    except OSError:
        if written:
            os.ftruncate(file, size)
        raise
