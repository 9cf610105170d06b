"""The thread that writes log lines: whoever logs never waits for the reader of the log.

Lines wait in a queue with a limit. When it is full, or the sink takes nothing, they are dropped
and counted: a proxy that can't tell what it does still does it.
"""

from __future__ import annotations

import os
import select
import threading
import time
from collections.abc import Callable, Iterator
from queue import Empty, SimpleQueue
from typing import Protocol, TextIO

LIMIT = 4096  # lines that wait
_LOOK_UP = 0.2  # seconds between two looks at whether a blocked write is still wanted
_GATHER = 0.01  # seconds in which lines come together, for each time that the thread wakes up costs more than a line
_LATE = 1.0  # seconds for a line that comes after the end


class Sink(Protocol):
    """Where lines go."""

    def write(self, lines: str, still_wanted: Callable[[], bool]) -> int:
        """Write lines, as long as they are wanted. Returns how many were not written."""
        ...


class Output:
    """A stream that is written to past its buffer, for what is left in that breaks the exit of the interpreter.

    Writes hold whole lines and at most PIPE_BUF bytes, which a pipe takes at once or not at all:
    processes that share it do not tear each other's lines.
    """

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream
        self._encoding = getattr(stream, "encoding", None) or "utf-8"
        self._torn = False  # the last line was written in part
        self._file: int | None = None
        self._room = select.poll()
        try:
            if stream is not None:
                self._file = stream.fileno()
                self._room.register(self._file, select.POLLOUT)
        except (OSError, ValueError):  # a stream in memory, or one that is closed
            return

    def write(self, lines: str, still_wanted: Callable[[], bool]) -> int:
        """Write lines, as long as they are wanted. Returns how many were not written."""
        if self._file is None:
            return self._write_text(lines)
        written = 0
        data = lines.encode(self._encoding, "backslashreplace")
        if end := b"\n" if self._torn else b"":
            data = end + data
        try:
            while written < len(data) and self._wait(still_wanted):
                written += self._write_some(data[written : written + select.PIPE_BUF])
        except (OSError, ValueError):  # no reader, a full disk, closed
            pass
        if written:
            self._torn = data[written - 1] != ord("\n")
        return data.count(b"\n", max(written, len(end)))

    def _write_some(self, data: bytes) -> int:
        if self._file is None or self._stream is None or self._stream.closed:
            raise ValueError("the stream is closed")  # its number may be another file's by now
        try:
            return os.write(self._file, data)
        except BlockingIOError:  # others who share the pipe made it so, and were faster
            return 0

    def _wait(self, still_wanted: Callable[[], bool]) -> bool:
        """Return whether there is room; False when nobody wants to know any more."""
        room = self._room.poll(0)
        while not room and still_wanted():
            room = self._room.poll(_LOOK_UP * 1000)
        return bool(room)

    def _write_text(self, lines: str) -> int:
        try:
            if self._stream is not None:
                self._stream.write(lines)
                self._stream.flush()
                return 0
        except (OSError, ValueError):
            pass
        return lines.count("\n")


class LineWriter:
    """The queue and its thread, of one sink: no other waits for it.

    `tell` makes the line that says how many were dropped.
    """

    def __init__(self, sink: Sink, tell: Callable[[int], str]) -> None:
        self._sink = sink
        self._tell = tell
        self._lines: SimpleQueue[str | None] = SimpleQueue()
        self._refused = 0  # changed by who calls `put`
        self._lost = 0  # changed by the thread
        self._told = 0
        self._closed = False
        self._abandoned = False  # what is blocked is not waited for any more
        self._thread = threading.Thread(target=self._run, name="log-writer", daemon=True)
        self._thread.start()

    @property
    def dropped(self) -> int:
        """How many lines nobody will read."""
        return self._refused + self._lost

    def put(self, line: str) -> None:
        """Queue a line, which ends with a newline. Calls must not overlap: logging's handlers have a lock."""
        if not self._thread.is_alive():
            self._put_late(line)
        elif self._lines.qsize() >= LIMIT:
            self._refused += 1
        else:
            self._lines.put(line)

    def close(self, seconds: float) -> None:
        """Write what waits, for at most so long, and end the thread. A line that comes later is written at once."""
        if self._closed:
            return
        self._closed = True
        self._lines.put(None)
        self._thread.join(seconds)
        self._abandoned = self._thread.is_alive()
        self._refused += sum(line is not None for line in self._waiting())
        self._lines.put(None)  # for the one that was taken

    def _put_late(self, line: str) -> None:
        """Write a line after the end, or in a forked process: an uncaught exception, say."""
        deadline = time.monotonic() + _LATE
        lost = self._sink.write(line, lambda: not self._abandoned and time.monotonic() < deadline)
        self._abandoned = self._abandoned or lost > 0  # the next does not wait again
        self._refused += lost

    def _run(self) -> None:
        ended = False
        while not ended and (line := self._lines.get()) is not None:
            time.sleep(_GATHER)
            batch = [line]
            for following in self._waiting():
                if following is None:
                    ended = True
                else:
                    batch.append(following)
            lost = sum(self._sink.write(lines, self._is_wanted) for lines in _pieces(batch))
            self._lost += lost
            if not lost and self._lines.qsize() < LIMIT // 2:
                self._tell_dropped()

    def _tell_dropped(self) -> None:
        dropped = self.dropped
        if dropped > self._told and not self._sink.write(self._tell(dropped - self._told), self._is_wanted):
            self._told = dropped

    def _is_wanted(self) -> bool:
        return not self._abandoned

    def _waiting(self) -> Iterator[str | None]:
        """Yield what waits now, and not without end."""
        try:
            for _ in range(self._lines.qsize()):
                yield self._lines.get_nowait()
        except Empty:
            return


def _pieces(lines: list[str]) -> Iterator[str]:
    """Join lines to pieces of at most PIPE_BUF characters, which as JSON are bytes; a longer line is a piece."""
    piece: list[str] = []
    size = 0
    for line in lines:
        if piece and size + len(line) > select.PIPE_BUF:
            yield "".join(piece)
            piece, size = [], 0
        piece.append(line)
        size += len(line)
    yield "".join(piece)
