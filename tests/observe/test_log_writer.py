"""K11: whoever logs never waits, whatever becomes of the output."""

import io
import os
import select
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

import pytest

from ollama_openai_proxy.observe.log_writer import LIMIT, LineWriter, Output
from support.processes import eventually

LINE = "x" * 99 + "\n"
MANY = """
import sys
from ollama_openai_proxy.observe.log_writer import LineWriter, Output
writer = LineWriter(Output(sys.stdout), str)
for _ in range(2000):
    writer.put(sys.argv[1] * 399 + "\\n")
writer.close(30)
"""
FORKED = """
import os, sys, warnings
from ollama_openai_proxy.observe.log_writer import LineWriter, Output
warnings.simplefilter("ignore")
writer = LineWriter(Output(sys.stdout), str)
if not (child := os.fork()):
    writer.put("child\\n")
    os._exit(0)
os.waitpid(child, 0)
"""


def tell(count: int) -> str:
    return f"dropped {count}\n"


def wanted() -> bool:
    return True


@contextmanager
def pipe() -> Iterator[tuple[int, TextIO]]:
    """The end to read from, and the one that is written to."""
    reading, writing = os.pipe()
    with os.fdopen(writing, "w") as stream:
        try:
            yield reading, stream
        finally:
            with suppress(OSError):
                os.close(reading)


def fill(stream: TextIO) -> int:
    """Write to a pipe until it takes no more; returns how many bytes it took."""
    os.set_blocking(stream.fileno(), False)
    size = 0
    with suppress(BlockingIOError):
        while True:
            size += os.write(stream.fileno(), b"\n" * select.PIPE_BUF)
    os.set_blocking(stream.fileno(), True)
    return size


def drain(reading: int, size: int) -> bytes:
    data = b""
    while len(data) < size and (read := os.read(reading, size - len(data))):
        data += read
    return data


def test_order() -> None:
    """Lines come out whole and in the order in which they were put, and none is lost."""
    with pipe() as (reading, stream):
        writer = LineWriter(Output(stream), tell)
        lines = [f"line {number}\n" for number in range(1000)]
        for line in lines:
            writer.put(line)
        writer.close(10)
        assert drain(reading, len("".join(lines))).decode() == "".join(lines)
        assert writer.dropped == 0


def test_k11_blocked_pipe() -> None:
    """K11: with a pipe that nobody reads, 10,000 lines are taken at once, the end comes in time, and all is counted."""
    with pipe() as (_, stream):
        fill(stream)
        writer = LineWriter(Output(stream), tell)
        begun = time.monotonic()
        for _ in range(10_000):
            writer.put(LINE)
        assert time.monotonic() - begun < 2
        begun = time.monotonic()
        writer.close(0.5)
        assert time.monotonic() - begun < 1.5
        eventually(lambda: writer.dropped == 10_000, within=5)


def test_blocked_thread_ends() -> None:
    """The thread of a log that was closed ends, even if the pipe stays full."""
    with pipe() as (_, stream):
        fill(stream)
        before = {*threading.enumerate()}
        writer = LineWriter(Output(stream), tell)
        writer.put(LINE)
        writer.close(0.1)
        eventually(lambda: not {*threading.enumerate()} - before, within=5)


def test_tells_what_was_dropped() -> None:
    """When there is room again, one line says how many lines are missing, and the lines go on."""
    with pipe() as (reading, stream):
        size = fill(stream)
        writer = LineWriter(Output(stream), tell)
        count = 0
        while writer.dropped < 7:
            writer.put("line\n")
            count += 1
        assert count > LIMIT
        drain(reading, size)
        expected = "line\n" * (count - 7) + "dropped 7\n"
        assert drain(reading, len(expected)).decode() == expected
        writer.put("last\n")
        writer.close(10)
        assert drain(reading, 5) == b"last\n"
        assert writer.dropped == 7


def test_k11_broken_pipe() -> None:
    """K11: when the reader has gone, lines are counted as dropped, and nothing is raised."""
    with pipe() as (reading, stream):
        os.close(reading)
        writer = LineWriter(Output(stream), tell)
        for _ in range(3):
            writer.put(LINE)
        writer.close(10)
        assert writer.dropped == 3
        writer.put(LINE)
        assert writer.dropped == 4


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device that is always full")
def test_k11_full_disk() -> None:
    """K11: a full disk takes no line, which is counted; nothing is raised."""
    with Path("/dev/full").open("w", encoding="ascii") as stream:
        writer = LineWriter(Output(stream), tell)
        writer.put(LINE)
        writer.close(10)
        assert writer.dropped == 1


def test_closed_stream(tmp_path: Path) -> None:
    """Nothing is written under the number of a file that was closed: it may be another's by now."""
    with (tmp_path / "log").open("w", encoding="ascii") as stream:
        writer = LineWriter(Output(stream), tell)
        number = stream.fileno()
    with (tmp_path / "other").open("wb", buffering=0) as other:
        assert other.fileno() == number
        writer.put(LINE)
        writer.close(10)
    assert writer.dropped == 1
    assert (tmp_path / "other").read_bytes() == b""


@pytest.mark.parametrize("stream", [None, "closed"])
def test_no_stream(stream: str | None) -> None:
    """A process that was started without standard output drops its lines."""
    closed = io.StringIO()
    closed.close()
    writer = LineWriter(Output(closed if stream else None), tell)
    writer.put(LINE)
    writer.close(10)
    assert writer.dropped == 1


def test_after_the_end() -> None:
    """A line that comes after the end, of an uncaught exception, say, is written at once."""
    with pipe() as (reading, stream):
        writer = LineWriter(Output(stream), tell)
        writer.close(10)
        writer.put(LINE)
        assert os.read(reading, 1000).decode() == LINE
        writer.close(10)
        assert writer.dropped == 0


def test_after_the_end_and_blocked() -> None:
    """Lines that come after the end wait for a full pipe once, for a second, and not each."""
    with pipe() as (_, stream):
        writer = LineWriter(Output(stream), tell)
        writer.close(10)
        fill(stream)
        begun = time.monotonic()
        for _ in range(100):
            writer.put(LINE)
        assert time.monotonic() - begun < 5
        assert writer.dropped == 100


def test_forked_process() -> None:
    """A process that was forked off, which has no thread, writes its lines, too."""
    assert run(FORKED, 1).decode().splitlines() == ["child"]


def test_torn_line() -> None:
    """A line of which a part was written, until the pipe was full for good, ends before the next begins."""
    with pipe() as (reading, stream):
        size = fill(stream) - select.PIPE_BUF
        drain(reading, select.PIPE_BUF)
        output = Output(stream)
        assert output.write("y" * select.PIPE_BUF * 2 + "\n", lambda: False) == 1
        assert drain(reading, size).strip() == b""
        assert output.write("next\n", wanted) == 0
        assert drain(reading, select.PIPE_BUF + 6) == b"y" * select.PIPE_BUF + b"\nnext\n"


def test_not_blocking() -> None:
    """Others who share the pipe may have made it non-blocking: a long line still comes whole."""
    with pipe() as (reading, stream):
        os.set_blocking(stream.fileno(), False)
        writer = LineWriter(Output(stream), tell)
        line = "z" * 300_000 + "\n"
        writer.put(line)
        assert drain(reading, len(line)).decode() == line
        writer.close(10)
        assert writer.dropped == 0


@pytest.mark.parametrize("blocking", [True, False])
def test_processes_share_a_pipe(blocking: bool) -> None:
    """The lines of several processes do not tear each other, however full the pipe is, and none is lost."""
    lines = run(MANY, 3, blocking=blocking).decode().splitlines()
    assert {*lines} == {letter * 399 for letter in "012"}
    assert len(lines) == 3 * 2000


def run(script: str, processes: int, *, blocking: bool = True) -> bytes:
    """What the processes wrote to the pipe that they share."""
    reading, writing = os.pipe()
    os.set_blocking(writing, blocking)
    started = [
        subprocess.Popen([sys.executable, "-c", script, str(number)], stdout=writing)  # noqa: S603  # our own script
        for number in range(processes)
    ]
    os.close(writing)
    with os.fdopen(reading, "rb") as output:
        data = output.read()
    assert [process.wait(30) for process in started] == [0] * processes
    return data


def test_l16_encoding(tmp_path: Path) -> None:
    """L16: what the encoding of the stream lacks is escaped."""
    with (tmp_path / "log").open("w", encoding="ascii") as stream:
        writer = LineWriter(Output(stream), tell)
        writer.put("é \ud800\n")
        writer.close(10)
    assert (tmp_path / "log").read_bytes() == b"\\xe9 \\ud800\n"
