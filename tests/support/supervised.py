"""A parent and its workers as a program of their own: `Supervisor`, and a server of a few lines instead of the proxy.

What happens is written to standard output, one JSON object a line. The environment says what goes wrong.
"""

from __future__ import annotations

import argparse
import json
import logging
import math
import os
import selectors
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from ollama_openai_proxy.workers import Supervisor

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
KNOWN = {*vars(logging.makeLogRecord({})), "message", "taskName"}


def tell(event: str, **fields: object) -> None:
    os.write(1, json.dumps({"event": event, "pid": os.getpid(), "time": time.monotonic(), **fields}).encode() + b"\n")


def descriptors() -> list[int]:
    listed = [int(name) for name in os.listdir("/proc/self/fd")]  # noqa: PTH208  # names only
    return sorted(number for number in listed if Path(f"/proc/self/fd/{number}").exists())  # not the listing's own


class Told(logging.Handler):
    """Log lines as events."""

    def emit(self, record: logging.LogRecord) -> None:
        fields = {name: value for name, value in vars(record).items() if name not in KNOWN}
        tell("log", **{"message": record.getMessage(), "level": record.levelname, **fields})


def parent(count: int, stop_within: float) -> int:
    # What comes before `run` waits for it. One more is blocked, which workers must not see.
    signal.pthread_sigmask(signal.SIG_BLOCK, (*SIGNALS, signal.SIGUSR1))
    if "TTY" in os.environ:  # it becomes the terminal of this session
        os.open(os.environ["TTY"], os.O_RDWR)
    log = logging.getLogger("supervised")
    log.addHandler(Told())
    log.setLevel(logging.DEBUG)
    before = descriptors()
    listeners = [socket.create_server(("127.0.0.1", 0), backlog=100) for _ in range(2)]
    command = [sys.executable, __file__]
    supervisor = Supervisor(
        json.loads(os.environ.get("COMMAND", "null")) or command,
        listeners,
        count,
        environ={**os.environ, "FROM": "parent"},
        stop_within=stop_within,
        on_dead=on_dead,
        log=log,
    )
    tell("ready", ports=[listener.getsockname()[1] for listener in listeners])
    for _ in range(int(os.environ.get("SIGNALS_BEFORE", "0"))):
        os.kill(os.getpid(), signal.SIGTERM)
    status = supervisor.run()
    signal.raise_signal(signal.SIGTERM)
    tell("ended", left_open=sorted(set(descriptors()) - set(before)))
    return status


def on_dead(slot: int) -> None:
    tell("dead", slot=slot)
    for _ in range(int(os.environ.get("SIGNALS_MEANWHILE", "0"))):
        os.kill(os.getpid(), signal.SIGTERM)
    if "ON_DEAD_FAILS" in os.environ:
        raise FileNotFoundError(2, "gone")


class Worker:
    """Serves who it is; ends when it is told, or as the environment says."""

    def __init__(self, slot: int, fds: list[int]) -> None:
        self.slot, self.status, self.until = slot, 0, math.inf
        self.signals = 0
        tell("started", slot=slot, descriptors=descriptors(), fds=fds, group=os.getpgrp(), origin=os.environ["FROM"])
        self.listeners = [socket.socket(fileno=fd) for fd in fds]
        self.reader, writer = os.pipe()
        os.set_blocking(writer, False)
        signal.set_wakeup_fd(writer)
        for number in SIGNALS:
            signal.signal(number, lambda _number, _frame: None)
        self.selector = selectors.DefaultSelector()
        for listener in self.listeners:
            listener.setblocking(False)
            self.watch(listener.fileno(), partial(self.accept, listener))
        self.watch(self.reader, self.signalled)
        self.watch(0, self.alone)

    def watch(self, fd: int, then: Callable[[], None]) -> None:
        self.selector.register(fd, selectors.EVENT_READ, then)

    def run(self) -> int:
        if os.environ.get("END_SLOT", str(self.slot)) == str(self.slot) and "END_STATUS" in os.environ:
            self.status = int(os.environ["END_STATUS"])
            self.until = time.monotonic() + float(os.environ.get("END_AFTER", "0"))
        if "ORPHAN" in os.environ:
            subprocess.run(["sh", "-c", "sleep 1 &"], check=True)  # noqa: S607  # any shell will do
        tell("serving", slot=self.slot)
        while (now := time.monotonic()) < self.until:
            for key, _ in self.selector.select(min(self.until - now, 60.0)):
                key.data()
        return self.status

    def signalled(self) -> None:
        for number in os.read(self.reader, 100):
            tell("signal", slot=self.slot, name=signal.Signals(number).name)
            self.signals += 1
        drain = float(os.environ.get("DRAIN", "0"))  # inf: not even for a second signal
        self.until = time.monotonic() + (drain if self.signals == 1 or drain == math.inf else 0)

    def alone(self) -> None:
        assert os.read(0, 1) == b""
        tell("eof", slot=self.slot)
        self.selector.unregister(0)
        self.until = time.monotonic()

    def accept(self, listener: socket.socket) -> None:
        try:
            connection, address = listener.accept()
        except BlockingIOError:  # the other worker was quicker
            return
        tell("accepted", slot=self.slot, port=address[1])
        threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection: socket.socket) -> None:
        with connection:
            connection.setblocking(True)
            line = connection.recv(4096)
            if line.startswith(b"GET /close "):
                for listener in self.listeners:
                    self.selector.unregister(listener.fileno())
                    listener.close()
            body = json.dumps({"slot": self.slot, "pid": os.getpid()}).encode()
            connection.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(body))
            time.sleep(float(os.environ.get("REPLY_SECONDS", "0")))
            connection.sendall(body)


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--count", type=int)
    parser.add_argument("--stop-within", type=float)
    parser.add_argument("--slot", type=int)
    parser.add_argument("--fds")
    options = parser.parse_args()
    if options.slot is None:
        return parent(options.count, options.stop_within)
    return Worker(options.slot, [int(fd) for fd in options.fds.split(",")]).run()


if __name__ == "__main__":
    sys.exit(main())
