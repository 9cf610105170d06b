"""The aliases that clients have made: one table, for however many processes share its folder.

With a folder the file there is the table. Whoever looks sees what was written last, by whomever;
whoever changes it holds a lock, reads, and replaces the file as a whole, so that no change is lost
and a process that dies leaves the old file or the new one.
"""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ollama_openai_proxy.errors import InvalidRequest, ProxyError
from ollama_openai_proxy.translate import aliases as table
from ollama_openai_proxy.translate.aliases import Alias

MAX_ALIASES = 1_000
MAX_ALIAS = 1024 * 1024  # bytes, as they are stored
MAX_TABLE = 8 * 1024 * 1024  # it is read in the event loop

_FILE = "aliases.json"
_LOCK = "aliases.lock"
_NEW = "aliases.json.new"  # a fixed name: what a process left that died is written over
_MODE = 0o600  # system prompts may be nobody else's business
_LOCK_SECONDS = 10.0
_LOOK_SECONDS = 0.005
_log = logging.getLogger(__name__)

Table = tuple[Alias, ...]
Edit = Callable[[Table], Table]
_Seen = tuple[int, int, int] | None


class Aliases:
    """The table of aliases, in memory or in a folder."""

    def __init__(self, folder: Path | None = None, *, patience: float = _LOCK_SECONDS) -> None:
        """`folder`: where the table is kept; None: in memory. It is not looked at yet.

        `patience`: seconds for which a change waits for those of other processes.
        """
        self._folder = folder
        self._patience = patience
        self._all: Table = ()
        self._seen: _Seen = None  # which file `_all` was read from
        self._told = False  # that it can't be read
        self._turn = asyncio.Lock()

    def current(self) -> Table:
        """Return all aliases: the same object until one of them changes.

        What can't be read is logged, and the last table that could be is kept.
        """
        if self._folder:
            self._look(self._folder / _FILE)
        return self._all

    async def put(self, alias: Alias) -> None:
        """Add the alias, or replace the one of its name. Raises ProxyError: then nothing has changed."""
        _check(alias)

        def edit(aliases: Table) -> Table:
            others = without(aliases, alias.name)
            if len(others) >= MAX_ALIASES:
                raise InvalidRequest(f"there are {MAX_ALIASES} aliases already: delete one first")
            return (*others, alias)

        await self._change(edit)

    async def remove(self, name: str) -> bool:
        """Remove the alias of this name; tell whether there was one. Raises ProxyError: then nothing has changed."""
        before = 0

        def edit(aliases: Table) -> Table:
            nonlocal before
            before = len(aliases)
            return without(aliases, name)

        return len(await self._change(edit)) < before

    async def _change(self, edit: Edit) -> Table:
        async with self._turn:  # so that changes take one thread at most
            if not self._folder:
                self._all = _limited(edit(self._all))[0]
                return self._all
            try:
                return await asyncio.to_thread(_rewrite, self._folder, edit, self._patience)
            except OSError as error:
                reason = error.strerror or str(error)
            except ValueError as error:
                reason = f"the file of all aliases {error}"
            _log.error("the aliases can't be stored: %s", reason)
            raise ProxyError(f"the alias can't be stored: {reason}")

    def _look(self, path: Path) -> None:
        seen = None
        try:
            seen = _signature(os.stat(path))  # noqa: PTH116  # a third of the time, for each request
            if seen == self._seen:
                return
            self._all, self._seen = _read(path)
        except FileNotFoundError:
            if self._all:
                _log.warning("the file of all aliases is gone, and they with it")
            self._all, self._seen = (), None
        except (OSError, ValueError) as error:
            if not self._told:
                _log.error("the file of all aliases %s", _reason(error))
            self._told = True
            if isinstance(error, ValueError):  # no request is to read again what is as bad as it was
                self._seen = seen
        else:
            self._told = False


def check(folder: Path, *, writable: bool) -> None:
    """Check that a folder can be used, and what is in it. Raises OSError, whose text names the setting.

    Nothing is changed. `writable`: whether clients may change anything.
    """
    path = folder / _FILE
    try:
        folder.stat()
        if writable:
            with _locked(folder):
                _write(folder / _NEW, b"", None)
                (folder / _NEW).unlink()
    except OSError as error:
        raise OSError(f"DATA_DIR can't be used: {error.strerror or error}") from None
    try:
        _read(path)
    except FileNotFoundError:
        return
    except (OSError, ValueError) as error:
        raise OSError(f"DATA_DIR: {path} {_reason(error)}") from None


def without(aliases: Table, name: str) -> Table:
    """Return the aliases but for that of this name, in whatever case."""
    return tuple(alias for alias in aliases if alias.name.casefold() != name.casefold())


def _check(alias: Alias) -> None:
    """Check that it can be read again. Raises InvalidRequest."""
    try:
        size = len(table.encode((alias,)))
        if size <= MAX_ALIAS:
            table.decode(table.encode((alias,)))
    except (ValueError, RecursionError):
        raise InvalidRequest("the alias can't be stored: it is nested too deeply") from None
    if size > MAX_ALIAS:
        raise InvalidRequest(f"the alias can't be stored: it has more than {MAX_ALIAS} bytes")


def _limited(aliases: Table) -> tuple[Table, bytes]:
    """Return the table, and what is written of it. Raises InvalidRequest."""
    data = table.encode(aliases)
    if len(data) > MAX_TABLE:
        raise InvalidRequest(f"the alias can't be stored: all of them would have more than {MAX_TABLE} bytes")
    return aliases, data


def _rewrite(folder: Path, edit: Edit, patience: float) -> Table:
    path = folder / _FILE
    with _locked(folder, patience):
        try:
            before, seen = _read(path)
        except FileNotFoundError:
            before, seen = (), None
        aliases, data = _limited(edit(before))
        new = folder / _NEW
        try:
            _write(new, data, seen)
            new.replace(path)
        except OSError:
            new.unlink(missing_ok=True)
            raise
        _keep(folder)
    return aliases


@contextmanager
def _locked(folder: Path, patience: float = _LOCK_SECONDS) -> Iterator[None]:
    """Keep all others from changing the table. Raises OSError."""
    descriptor = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _MODE)
    try:
        deadline = time.monotonic() + patience
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    raise TimeoutError("another process does not let go of it") from None
            time.sleep(_LOOK_SECONDS)
        yield
    finally:
        os.close(descriptor)


def _read(path: Path) -> tuple[Table, _Seen]:
    """Return what the file holds, and which one it was. Raises OSError, and ValueError if it is damaged."""
    with path.open("rb") as file:
        seen = _signature(os.fstat(file.fileno()))
        data = file.read(2 * MAX_TABLE + 1)
    if len(data) > 2 * MAX_TABLE:
        raise ValueError("is too large")
    return table.decode(data), seen


def _write(path: Path, data: bytes, before: _Seen) -> None:
    """Write the file to the disk, younger than the one it is to replace: two in one tick of the clock differ."""
    path.unlink(missing_ok=True)  # what was left may be a link, or anybody's to read
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _MODE)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        changed = max(time.time_ns(), before[0] + 1 if before else 0)
        os.utime(descriptor, ns=(changed, changed))
        os.fsync(descriptor)


def _keep(folder: Path) -> None:
    """Write the folder's new entry to the disk. The change is made already; some file systems have no such call."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _signature(found: os.stat_result) -> _Seen:
    return found.st_mtime_ns, found.st_ino, found.st_size


def _reason(error: OSError | ValueError) -> str:
    return f"can't be read: {error.strerror or error}" if isinstance(error, OSError) else str(error)
