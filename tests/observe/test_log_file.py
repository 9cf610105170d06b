"""The log in a file: whole, with a limit, shared by processes, and never in the way of anybody."""

import fcntl
import logging
import os
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ollama_openai_proxy.observe.log_file import KEPT, LogFile
from ollama_openai_proxy.observe.logs import lifecycle
from support.lines import logged
from support.processes import eventually

SIZE = 10_000
LINE = "x" * 999 + "\n"
# Each line names its process and its number.
MANY = """
import sys
from pathlib import Path
from ollama_openai_proxy.observe.log_file import LogFile
from ollama_openai_proxy.observe.log_writer import LineWriter
writer = LineWriter(LogFile(Path(sys.argv[1]), 100_000), str)
for number in range(1000):
    writer.put(f"{sys.argv[2]} {number:04} {'y' * 100}\\n")
writer.close(30)
sys.exit(writer.dropped > 0)
"""
# No file may have more than 10,000 bytes: to the process that is a disk that is full.
FULL = """
import logging, resource, sys
from pathlib import Path
from ollama_openai_proxy.observe.log_file import LogFile
from ollama_openai_proxy.observe.logs import configure
resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
logs = configure("info", file=LogFile(Path(sys.argv[1]), 1_000_000))
for number in range(100):
    logging.getLogger("any").info("%d %s", number, "z" * 300)
logs.close(30)
print(logs.dropped)
"""
NOBODY = """
import os, sys
from contextlib import suppress
from pathlib import Path
from ollama_openai_proxy.observe.log_file import LogFile
with suppress(PermissionError):
    os.setuid(65534)
try:
    LogFile(Path(sys.argv[1]), 100_000).check()
except OSError as error:
    print(error.strerror or error)
"""


def wanted() -> bool:
    return True


def run(script: str, *arguments: object) -> str:
    """What the script printed."""
    done = subprocess.run(  # noqa: S603  # our own script
        [sys.executable, "-c", script, *map(str, arguments)], capture_output=True, text=True, timeout=50, check=True
    )
    assert done.stderr == ""
    return done.stdout


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock that every writer needs."""
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def test_appends(tmp_path: Path) -> None:
    """What is in the file stays, and what comes is added."""
    path = tmp_path / "log"
    path.write_text("before\n")
    assert LogFile(path, SIZE).write("é \ud800\n", wanted) == 0
    assert path.read_text() == "before\né \\ud800\n"


def test_mode(tmp_path: Path) -> None:
    """A new file is not for everybody to read: 0640, for the first and for those that follow."""
    file = LogFile(tmp_path / "log", SIZE)
    for _ in range(11):
        file.write(LINE, wanted)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert modes == {"log": 0o640, "log.1": 0o640}


def test_limit(tmp_path: Path) -> None:
    """No file grows beyond the limit; five older ones are kept, the youngest as `.1`, and in all no line is missing."""
    file = LogFile(tmp_path / "log", SIZE)
    for number in range(100):
        assert file.write(f"{number:03} {'x' * 995}\n", wanted) == 0
    names = ["log", *(f"log.{number}" for number in range(1, KEPT + 1))]
    assert KEPT == 5
    assert {path.name for path in tmp_path.iterdir()} == {*names}
    assert all(path.stat().st_size <= SIZE for path in tmp_path.iterdir())
    left = "".join((tmp_path / name).read_text() for name in reversed(names)).splitlines()
    assert [int(line[:3]) for line in left] == [*range(40, 100)]


def test_lower_limit(tmp_path: Path) -> None:
    """A file that is beyond the limit already is left to those that are kept, and a longer line comes whole."""
    path = tmp_path / "log"
    path.write_text("old\n" * SIZE)
    line = "x" * 2 * SIZE + "\n"
    assert LogFile(path, SIZE).write(line, wanted) == 0
    assert (path.read_text(), path.with_name("log.1").read_text()) == (line, "old\n" * SIZE)


@pytest.mark.parametrize("taken", ["moved", "removed"])
def test_taken_away(tmp_path: Path, taken: str) -> None:
    """When somebody else moves or removes the file, as logrotate does, a new one begins."""
    path = tmp_path / "log"
    file = LogFile(path, SIZE)
    file.write("first\n", wanted)
    if taken == "moved":
        path.rename(tmp_path / "log-20260101")
    else:
        path.unlink()
    assert file.write("second\n", wanted) == 0
    assert path.read_text() == "second\n"


def test_link(tmp_path: Path) -> None:
    """Of a file that a link leads to, the file is renamed, where it is, and the link stays."""
    (tmp_path / "volume").mkdir()
    link = tmp_path / "log"
    link.symlink_to("volume/log")
    file = LogFile(link, SIZE)
    for _ in range(11):
        file.write(LINE, wanted)
    assert link.is_symlink()
    assert {path.name for path in (tmp_path / "volume").iterdir()} == {"log", "log.1"}


def test_rename_that_fails(tmp_path: Path) -> None:
    """Where no new file can begin, lines are lost and the older files are not: they do not move up for nothing."""
    (tmp_path / "log.5").mkdir()  # as what no file replaces
    for number in range(1, 5):
        (tmp_path / f"log.{number}").write_text(str(number))
    file = LogFile(tmp_path / "log", SIZE)
    assert [file.write(LINE, wanted) for _ in range(13)] == [0] * 10 + [1] * 3
    assert [(tmp_path / f"log.{number}").read_text() for number in range(1, 5)] == ["1", "2", "3", "4"]


def test_processes_share_a_file(tmp_path: Path) -> None:
    """Of several processes no line is lost, torn or there twice, each file is full before the next, and none begins
    a new one when another just has."""
    path = tmp_path / "log"
    processes = [
        subprocess.Popen([sys.executable, "-c", MANY, str(path), str(number)])  # noqa: S603  # our own script
        for number in range(4)
    ]
    assert [process.wait(50) for process in processes] == [0] * 4
    files = [*tmp_path.iterdir()]
    assert {file.name for file in files} == {"log", *(f"log.{number}" for number in range(1, 5))}
    assert all(100_000 - 4096 < file.stat().st_size <= 100_000 for file in files if file != path)
    lines = [line for file in files for line in file.read_text().splitlines()]
    assert sorted(lines) == [f"{process} {number:04} {'y' * 100}" for process in range(4) for number in range(1000)]


def test_full_disk(tmp_path: Path) -> None:
    """On a full disk the file ends with a whole line, what is missing is counted; standard output has all, and why."""
    *lines, dropped = run(FULL, tmp_path / "log").splitlines()
    kept = (tmp_path / "log").read_text()
    assert kept.endswith("}\n")
    assert [line for line in lines if line in kept.splitlines()] == kept.splitlines()
    assert 10 < len(kept.splitlines()) < 100
    assert len(lines) == 101
    assert [line for line in lines if "can't write to the log file" in line and "File too large" in line] != []
    assert int(dropped) == 101 - len(kept.splitlines())


def test_comes_back(tmp_path: Path) -> None:
    """When the file can be written again, lines go on, and one says how many are missing."""
    folder = tmp_path / "volume"
    with logged(file=LogFile(folder / "log", SIZE)) as lines:
        assert lines.logs
        lifecycle("starting")
        eventually(lambda: lines.logs and lines.logs.dropped >= 2, within=10)  # the line, and the one that says why
        assert lines.logs.dropped == 2
        folder.mkdir()
        lifecycle("ready")
        eventually(
            lambda: "dropped" in (folder / "log").read_text() if folder.joinpath("log").exists() else None, within=10
        )
        messages = [line["message"] for line in lines.read()]
    assert messages == ["lifecycle", "can't write to the log file", "lifecycle"]
    ready, dropped = (folder / "log").read_text().splitlines()
    assert '"ready"' in ready
    assert '"dropped":2' in dropped.replace(" ", "")


def test_k11_blocked_output(tmp_path: Path) -> None:
    """K11: what nobody takes from standard output is in the file."""
    reading, writing = os.pipe()
    with os.fdopen(reading), os.fdopen(writing, "w") as stream:
        with logged(stream=stream, file=LogFile(tmp_path / "log", 10**7)) as lines:
            for number in range(1000):
                logging.getLogger("any").info("%d %s", number, "x" * 200)
            assert lines.logs
            lines.logs.close(0.5)
        assert len((tmp_path / "log").read_text().splitlines()) == 1000


def test_k11_locked_for_long(tmp_path: Path) -> None:
    """K11: a process that holds the file for ever holds up neither who logs nor standard output nor the end."""
    path = tmp_path / "log"
    with locked(path), logged(file=LogFile(path, SIZE)) as lines:
        lifecycle("starting")
        eventually(lambda: "starting" in lines.stream.getvalue(), within=10)
        assert lines.logs
        lines.logs.close(0.2)
        eventually(lambda: lines.logs and lines.logs.dropped == 1, within=10)
    assert path.read_text() == ""


@pytest.mark.parametrize("colour", [True, False])
def test_text(tmp_path: Path, colour: bool) -> None:
    """The file has the lines of standard output, as text if they are, and never their colours."""
    with logged(fmt="text", colour=colour, file=LogFile(tmp_path / "log", SIZE)) as lines:
        logging.getLogger("any").warning("a \x1b[31m line")
        shown = lines.text()
    assert ("\x1b[" in shown) is colour
    kept = (tmp_path / "log").read_text()
    assert "\x1b" not in kept
    assert kept.endswith(" WARN  a \\x1b[31m line logger=any\n")


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("missing/log", "no such folder"),
        ("folder", "Is a directory"),
        ("file/log", "Not a directory"),
        ("loop", "Too many levels of symbolic links"),
        ("n" * 256, "File name too long"),
        ("device", "not a regular file"),
        ("/", "Is a directory"),
    ],
)
def test_refused(tmp_path: Path, name: str, reason: str) -> None:
    """What can't be opened for appending, or is no file that can be renamed, is told with the reason."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "device").symlink_to("/dev/null")
    with pytest.raises(OSError, match=reason):
        LogFile(tmp_path / name, SIZE).check()


def test_pipe(tmp_path: Path) -> None:
    """A pipe is refused, and blocks nobody: a named one without a reader, and one without a name."""
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="No such device or address"):
        LogFile(tmp_path / "pipe", SIZE).check()
    assert LogFile(tmp_path / "pipe", SIZE).write(LINE, wanted) == 1
    reading, writing = os.pipe()  # /dev/stdout often leads to such a one
    with os.fdopen(reading), os.fdopen(writing), pytest.raises(OSError, match="not a regular file"):
        LogFile(Path(f"/proc/self/fd/{writing}"), SIZE).check()


@pytest.mark.parametrize(
    ("exists", "reason"),
    [(False, "Permission denied"), (True, "its folder can't be written, and new files begin there")],
    ids=["no file", "a file"],
)
def test_unwritable_folder(exists: bool, reason: str) -> None:
    """A volume that belongs to somebody else is told at the start, not when the first file is full."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if exists:
            (folder / "log").touch()
            (folder / "log").chmod(0o666)
        folder.chmod(0o555)
        try:
            assert run(NOBODY, folder / "log") == f"{reason}\n"
        finally:
            folder.chmod(0o755)


def test_check_writes_nothing(tmp_path: Path) -> None:
    """The look at the start adds nothing, and does not mind that another process is writing."""
    path = tmp_path / "log"
    path.write_text("before\n")
    with locked(path):
        LogFile(path, SIZE).check()
    assert path.read_text() == "before\n"
