"""Several worker processes on the same listening sockets, and the small parent that keeps them running.

The parent knows neither the application nor asyncio. A worker is a new process: the command with `--slot SLOT --fds
3,4`, the sockets under those numbers, and as standard input a pipe in which nothing is ever written: it ends when the
parent has ended, however that came. Each worker leads a process group, so that a terminal's Ctrl-C reaches only the
parent.

Until `run` takes the signals, its caller may end on them or block them: then none is lost.
"""

from __future__ import annotations

import logging
import math
import os
import select
import signal
import socket
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

_STOP = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_FAILED = 1
_FAILED_STARTS = (1, 2, 3)  # an error, bad settings, uvicorn's word for a lifespan or socket that failed
_START_SECONDS = 5.0  # who ends with one of these earlier has never served
_STABLE_SECONDS = 1.0  # who ends earlier is replaced after a pause
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 5.0
_MOST_REPLACEMENTS, _WINDOW_SECONDS = 20, 60.0
_HURRY_SECONDS = 1.0  # between the second signal and SIGKILL
_KILL_SECONDS = 5.0  # between SIGKILL and giving up on a process that the kernel holds
_LONGEST_WAIT = 3600.0  # poll takes no endless numbers


@dataclass
class _Slot:
    """The place of a worker: its successors have the same number."""

    number: int
    pid: int | None = None
    started: float = 0.0
    due: float | None = 0.0  # when to start the next worker; None when there is one or none is wanted
    pause: float = 0.0  # before the last replacement


class Supervisor:
    """Keeps `count` workers running until a signal, or until there is no use in it. It owns the listeners."""

    def __init__(
        self,
        command: Sequence[str],
        listeners: Sequence[socket.socket],
        count: int,
        *,
        environ: Mapping[str, str],
        stop_within: float,
        on_dead: Callable[[int], None],
        log: logging.Logger,
    ) -> None:
        self._command = command
        self._listeners = listeners
        self._environ = environ
        self._stop_within = stop_within
        self._on_dead = on_dead
        self._log = log
        self._slots = [_Slot(number) for number in range(count)]
        self._replaced: deque[float] = deque(maxlen=_MOST_REPLACEMENTS)
        self._stopping = False
        self._status = 0
        self._kill_at = self._give_up_at = math.inf

    def run(self) -> int:
        """Run the workers; return the exit status. The process is to end then: it ignores signals from here on."""
        lifeline, held = os.pipe()
        try:
            with _signals() as signals:
                while not self._stopping or self._running():
                    for number in _wait(signals, self._next() - time.monotonic()):
                        self._signalled(number)
                    self._reap()
                    self._start_due(lifeline)
                    self._kill_overdue()
        finally:
            os.close(lifeline)
            os.close(held)
        return self._status

    def _running(self) -> list[_Slot]:
        return [slot for slot in self._slots if slot.pid is not None]

    def _next(self) -> float:
        """When something is to be done, if no signal comes."""
        return min([self._kill_at, self._give_up_at, *(slot.due for slot in self._slots if slot.due is not None)])

    def _signalled(self, number: int) -> None:
        if number == signal.SIGCHLD:
            return
        if self._stopping:
            # Not SIGTERM again: a service manager may have sent one to each of them, which is no hurry.
            self._send(signal.SIGINT)
            self._kill_at = min(self._kill_at, time.monotonic() + _HURRY_SECONDS)
            self._log.warning("stopping at once", extra={"signal": _name(number)})
        else:
            self._stop(0)
            self._log.info("stopping", extra={"signal": _name(number)})

    def _stop(self, status: int) -> None:
        """Tell every worker to end. Sending comes first: a log or a socket may take its time."""
        self._stopping = True
        self._status = status
        self._kill_at = time.monotonic() + self._stop_within
        self._send(signal.SIGTERM)
        # The workers still accept. Held here too, the sockets would take connections after they have stopped that.
        self._close_listeners()
        for slot in self._slots:
            slot.due = None

    def _send(self, number: signal.Signals) -> None:
        for slot in self._running():
            if slot.pid is not None:  # which nobody else can have: it is ours until `_reap` has seen its end
                os.kill(slot.pid, number)

    def _close_listeners(self) -> None:
        for listener in self._listeners:
            listener.close()

    def _reap(self) -> None:
        """Learn who has ended: workers, and as PID 1 also the orphans of the container, which are no news."""
        by_pid = {slot.pid: slot for slot in self._running()}
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if slot := by_pid.get(pid):
                self._ended(slot, os.waitstatus_to_exitcode(status))

    def _ended(self, slot: _Slot, code: int) -> None:
        lived = time.monotonic() - slot.started
        end = {"status": code} if code >= 0 else {"signal": _name(-code)}
        fields = {"slot": slot.number, "pid": slot.pid, **end, "lived_ms": round(lived * 1000)}
        slot.pid = None
        try:
            self._on_dead(slot.number)
        except OSError as error:
            self._log.warning("can't clear up after a worker", extra={"slot": slot.number, "error": str(error)})
        if self._stopping:
            self._log.info("worker ended", extra=fields)
        elif code in _FAILED_STARTS and lived < _START_SECONDS:
            self._stop(code)
            self._log.error("worker failed to start: stopping", extra=fields)
        else:
            self._replace(slot, lived, "worker ended: replacing it", fields)

    def _replace(self, slot: _Slot, lived: float, message: str, fields: Mapping[str, object]) -> None:
        now = time.monotonic()
        full = len(self._replaced) == _MOST_REPLACEMENTS
        if full and now - self._replaced[0] < _WINDOW_SECONDS:
            self._stop(_FAILED)
            self._log.error("workers end too often: stopping", extra=fields)
            return
        self._replaced.append(now)
        slot.pause = 0.0 if lived >= _STABLE_SECONDS else min(max(2 * slot.pause, _FIRST_PAUSE), _LONGEST_PAUSE)
        slot.due = now + slot.pause
        self._log.warning(message, extra={**fields, "pause_ms": round(slot.pause * 1000)})

    def _start_due(self, lifeline: int) -> None:
        now = time.monotonic()
        for slot in self._slots:
            if slot.due is not None and slot.due <= now:
                self._start(slot, lifeline)

    def _start(self, slot: _Slot, lifeline: int) -> None:
        sockets = [listener.fileno() for listener in self._listeners]
        command = [*self._command, "--slot", str(slot.number), "--fds", ",".join(map(str, sockets))]
        first, slot.started, slot.due = not slot.started, time.monotonic(), None
        try:
            slot.pid = os.posix_spawnp(
                command[0],
                command,
                self._environ,
                # A descriptor put on itself is inherited, and only here.
                file_actions=[(os.POSIX_SPAWN_DUP2, lifeline, 0), *((os.POSIX_SPAWN_DUP2, fd, fd) for fd in sockets)],
                setpgroup=0,
                setsigmask=(),
                setsigdef=signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP},
            )
        except OSError as error:
            fields = {"slot": slot.number, "error": error.strerror}
            if first:
                self._stop(_FAILED)
                self._log.error("can't start a worker: stopping", extra=fields)
            else:
                self._replace(slot, 0.0, "can't start a worker: trying again", fields)
        else:
            self._log.info("worker started", extra={"slot": slot.number, "pid": slot.pid})

    def _kill_overdue(self) -> None:
        now = time.monotonic()
        if now >= self._kill_at:
            self._kill_at, self._give_up_at = math.inf, now + _KILL_SECONDS
            self._send(signal.SIGKILL)
            for slot in self._running():
                self._log.error("worker did not end in time: killed", extra={"slot": slot.number, "pid": slot.pid})
        if now >= self._give_up_at:
            for slot in self._running():
                self._log.error("worker can't be killed", extra={"slot": slot.number, "pid": slot.pid})
                slot.pid = None


@contextmanager
def _signals() -> Iterator[int]:
    """Take the signals; yields where to read the number of each.

    Python's own C handler writes it into a pipe. A signal that comes while something else is done waits there, and two
    of a kind are two. They would not be for `sigtimedwait`, for the kernel merges what is blocked; and a mask would be
    missing in each thread that was started before, a log's for one.
    """
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    for number in (*_STOP, signal.SIGCHLD):
        if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:  # `nohup` has its way
            signal.signal(number, lambda _number, _frame: None)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, (*_STOP, signal.SIGCHLD))
    try:
        yield reader
    finally:
        for number in _STOP:
            # At its end the interpreter takes its handlers away, and one more Ctrl-C would then be the exit status.
            signal.signal(number, signal.SIG_IGN)
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.close(reader)
        os.close(writer)


def _wait(reader: int, seconds: float) -> bytes:
    """Return the numbers of the signals that came, after at most these seconds."""
    poll = select.poll()
    poll.register(reader, select.POLLIN)
    milliseconds = math.ceil(max(0.0, min(seconds, _LONGEST_WAIT)) * 1000)
    return os.read(reader, select.PIPE_BUF) if poll.poll(milliseconds) else b""


def _name(number: int) -> str:
    return next((known.name for known in signal.Signals if known == number), str(number))
