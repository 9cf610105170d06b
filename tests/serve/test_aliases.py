"""The table of aliases: shared, never lost, never half written."""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from ollama_openai_proxy.errors import InvalidRequest, ProxyError
from ollama_openai_proxy.serve import aliases as limits
from ollama_openai_proxy.serve.aliases import Aliases, check
from ollama_openai_proxy.translate.aliases import Alias, encode
from ollama_openai_proxy.translate.models import Preset
from support.waiting import eventually

A, B = Alias("a:latest", "m", 1), Alias("b:latest", "m", 2)
TESTS = Path(__file__).parents[1]
NO_FOLDER = Path("/proc/self")  # where not even root can make a file


def aliasing(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    """Start the process that changes the table (tests/support/aliasing.py)."""
    command = [sys.executable, "-m", "support.aliasing", str(folder), *arguments]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=TESTS, stdin=pipe, stdout=pipe, text=True)  # noqa: S603  # our own words


def file_of(folder: Path) -> Path:
    return folder / "aliases.json"


def files(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


@pytest.fixture(params=["memory", "file"])
def table(request: pytest.FixtureRequest, tmp_path: Path) -> Aliases:
    return Aliases(tmp_path if request.param == "file" else None)


async def test_put_and_remove(table: Aliases) -> None:
    """Contract 5.13, 5.15: what was put is there until it is removed; one of the same name takes its place."""
    assert table.current() == ()
    await table.put(A)
    await table.put(B)
    assert table.current() == (A, B)
    other = Alias("A:Latest", "n", 3)
    await table.put(other)
    assert table.current() == (B, other)
    assert await table.remove("B:latest")
    assert not await table.remove("b:latest")
    assert table.current() == (other,)


async def test_same_object_until_a_change(table: Aliases) -> None:
    """Who joins the aliases with the models looks whether they are the same object."""
    await table.put(A)
    first = table.current()
    assert table.current() is first
    await table.put(A)
    assert table.current() is not first


async def test_is_kept(tmp_path: Path) -> None:
    """Another process with the same folder, or a later one, has the same aliases and sees each change."""
    first, second = Aliases(tmp_path), Aliases(tmp_path)
    await first.put(A)
    assert second.current() == (A,)
    await second.put(B)
    assert first.current() == (A, B)
    assert Aliases(tmp_path).current() == (A, B)
    assert files(tmp_path) == {"aliases.json", "aliases.lock"}
    assert file_of(tmp_path).stat().st_mode & 0o077 == 0


async def test_changes_in_one_tick_are_seen(tmp_path: Path) -> None:
    """Two files of one size that were written at once are two, even where the second gets the number of the first."""
    writer, reader = Aliases(tmp_path), Aliases(tmp_path)
    for count in range(1000, 1100, 2):
        await writer.put(Alias("a:latest", "m", count))
        alias = Alias("a:latest", "m", count + 1)
        await writer.put(alias)  # may have the number of the one that was seen last
        assert reader.current() == (alias,)


async def test_clock_that_goes_back(tmp_path: Path) -> None:
    """A new file is younger than the one it replaces, whatever the clock says: nobody takes it for one seen before."""
    table = Aliases(tmp_path)
    await table.put(A)
    assert table.current() == (A,)
    os.utime(file_of(tmp_path), ns=(4 * 10**18, 4 * 10**18))  # in the year 2096
    assert table.current() == (A,)
    await table.put(B)
    assert file_of(tmp_path).stat().st_mtime_ns > 4 * 10**18
    assert table.current() == (A, B)


def test_no_change_is_lost(tmp_path: Path) -> None:
    """Processes that change the table at once do so one after the other."""
    names = [[f"{who}-{count}:latest" for count in range(15)] for who in range(3)]
    processes = [aliasing(tmp_path, "put", *own) for own in names]
    assert [process.communicate(timeout=60)[0] for process in processes] == ["done\n"] * 3
    kept = {alias.name for alias in Aliases(tmp_path).current()}
    assert kept == {name for own in names for name in own}


async def test_killed_before_the_new_file_is_in_place(tmp_path: Path) -> None:
    """kill -9 between writing and renaming leaves the old table, and nothing that is in the way of the next change."""
    await Aliases(tmp_path).put(A)
    before = file_of(tmp_path).read_bytes()
    with aliasing(tmp_path, "die", "b:latest") as process:
        assert process.wait(timeout=60) == -signal.SIGKILL
    assert (tmp_path / "aliases.json.new").exists()  # it was killed there, and not earlier
    assert file_of(tmp_path).read_bytes() == before
    check(tmp_path, writable=True)
    table = Aliases(tmp_path)
    await table.put(B)
    assert table.current() == (A, B)


async def test_no_room(tmp_path: Path) -> None:
    """A write that fails is a 500 that says why; the table is what it was, in memory and in the file."""
    await Aliases(tmp_path).put(A)
    before = file_of(tmp_path).read_bytes()
    with aliasing(tmp_path, "full", "b:latest") as process:
        told = process.communicate(timeout=60)[0]
    assert told == "500|the alias can't be stored: File too large|True\n"
    assert file_of(tmp_path).read_bytes() == before
    assert files(tmp_path) == {"aliases.json", "aliases.lock"}


async def test_folder_that_can_not_be_written(caplog: pytest.LogCaptureFixture) -> None:
    """A folder that became unwritable is a 500 for the client and a line for the operator."""
    table = Aliases(NO_FOLDER)
    with pytest.raises(ProxyError) as raised:
        await table.put(A)
    assert (raised.value.status, table.current()) == (500, ())
    assert "can't be stored" in raised.value.message
    assert [line.levelname for line in caplog.records] == ["ERROR"]


async def test_process_that_holds_the_lock(tmp_path: Path) -> None:
    """Who waits for another process does so for a time only, and changes nothing."""
    with aliasing(tmp_path, "hold") as process:
        assert process.stdout
        assert process.stdout.readline() == "held\n"
        with pytest.raises(ProxyError) as raised:
            await Aliases(tmp_path, patience=0.05).put(A)
        assert "another process" in raised.value.message
        assert not file_of(tmp_path).exists()
        process.communicate(timeout=60)
    await Aliases(tmp_path).put(A)


async def test_changes_that_wait_take_one_thread(tmp_path: Path) -> None:
    """However many changes wait for another process, the threads that all else needs stay free."""
    table, before = Aliases(tmp_path, patience=60), {*threading.enumerate()}

    def taken() -> int:
        return len({*threading.enumerate()} - before)

    with (tmp_path / "aliases.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        changes = [asyncio.create_task(table.put(Alias(f"a{number}:latest", "m", 1))) for number in range(8)]
        await eventually(taken)
        for _ in range(100):  # each change has had its turn by then
            await asyncio.sleep(0)
        assert taken() == 1
    await asyncio.gather(*changes)
    assert len(table.current()) == len(changes)


async def test_file_that_was_damaged_meanwhile(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A file that somebody damaged is left as it is, told once, and the last good table serves on."""
    table = Aliases(tmp_path)
    await table.put(A)
    assert table.current() == (A,)
    file_of(tmp_path).write_bytes(b"{")
    assert table.current() == table.current() == (A,)
    with pytest.raises(ProxyError, match="damaged"):
        await table.put(B)
    assert file_of(tmp_path).read_bytes() == b"{"
    assert [line.getMessage() for line in caplog.records if "stored" not in line.getMessage()] == [
        "the file of all aliases is damaged: it is not what the proxy wrote"
    ]
    file_of(tmp_path).write_bytes(encode([B]))
    assert table.current() == (B,)


async def test_file_that_can_not_be_read_meanwhile(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """What the system says is told as it is, once, and the last table serves on; then the file is read again."""
    table = Aliases(tmp_path)
    await table.put(A)
    assert table.current() == (A,)
    file_of(tmp_path).rename(tmp_path / "kept")
    file_of(tmp_path).mkdir()
    assert table.current() == table.current() == (A,)
    assert [line.getMessage() for line in caplog.records] == ["the file of all aliases can't be read: Is a directory"]
    file_of(tmp_path).rmdir()
    file_of(tmp_path).write_bytes(encode([B]))
    assert table.current() == (B,)
    file_of(tmp_path).write_bytes(b"{")
    assert table.current() == (B,)
    assert len(caplog.records) == 2  # it is another damage than the first


async def test_damaged_file_is_read_once(tmp_path: Path) -> None:
    """Whoever asks for a model does not read again what is as bad as it was; what was put right is seen."""
    table = Aliases(tmp_path)
    await table.put(A)
    assert table.current() == (A,)
    path, good = file_of(tmp_path), encode([B])
    path.write_bytes(b"{" + b" " * (len(good) - 1))
    assert table.current() == (A,)
    date = path.stat().st_mtime_ns
    path.write_bytes(good)
    os.utime(path, ns=(date, date))  # to all that can be seen it is the same file
    assert table.current() == (A,)
    os.utime(path, ns=(date, date + 1))
    assert table.current() == (B,)


async def test_file_that_is_gone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Who removes the file removes the aliases, and is told so."""
    table = Aliases(tmp_path)
    await table.put(A)
    assert table.current()
    file_of(tmp_path).unlink()
    assert table.current() == ()
    assert [line.levelno for line in caplog.records] == [logging.WARNING]
    await table.put(B)
    assert table.current() == (B,)


async def test_number_of_aliases(tmp_path: Path) -> None:
    """Limits: a full table takes no other name, but a change of one it has."""
    many = [Alias(f"a{number}:latest", "m", 1) for number in range(limits.MAX_ALIASES)]
    file_of(tmp_path).write_bytes(encode(many))
    table = Aliases(tmp_path)
    with pytest.raises(InvalidRequest, match="1000 aliases already") as raised:
        await table.put(B)
    assert raised.value.status == 400
    await table.put(Alias("A0:latest", "n", 2))
    assert len(table.current()) == limits.MAX_ALIASES


async def test_size_of_an_alias(table: Aliases) -> None:
    """Limits: an alias of more than 1 MiB is a 400."""
    with pytest.raises(InvalidRequest, match="1048576 bytes") as raised:
        await table.put(Alias("a:latest", "m", 1, preset=Preset(system="x" * limits.MAX_ALIAS)))
    assert (raised.value.status, table.current()) == (400, ())


async def test_size_of_all(table: Aliases) -> None:
    """Limits: all together may have 8 MiB."""
    large = Preset(system="x" * (limits.MAX_ALIAS - 1000))
    for number in range(8):
        await table.put(Alias(f"a{number}:latest", "m", 1, preset=large))
    with pytest.raises(InvalidRequest, match="8388608 bytes"):
        await table.put(Alias("b:latest", "m", 1, preset=large))
    assert len(table.current()) == 8


async def test_depth(table: Aliases) -> None:
    """Bad input: what could be written and not read again is a 400."""
    deep: list[object] = []
    for _ in range(2000):
        deep = [deep]
    with pytest.raises(InvalidRequest, match="nested too deeply"):
        await table.put(Alias("a:latest", "m", 1, preset=Preset(parameters={"x": deep})))
    assert table.current() == ()
