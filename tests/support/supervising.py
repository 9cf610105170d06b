"""Running `support/supervised.py`, and knowing what its processes did."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from support import supervised
from support.processes import eventually

SECONDS = 20.0  # for what is at once on a machine with nothing else to do
Event = dict[str, Any]


class Family:
    """A parent and its workers."""

    def __init__(self, process: subprocess.Popen[bytes], output: Path, mark: str) -> None:
        self.process = process
        self._output = output
        self._mark = mark

    def events(self, event: str, **fields: object) -> list[Event]:
        """What was told of this kind, so far."""
        lines = self._output.read_bytes().splitlines(keepends=True)
        told = [json.loads(line) for line in lines if line.startswith(b"{") and line.endswith(b"\n")]
        return [line for line in told if line["event"] == event and fields.items() <= line.items()]

    def wait_for(self, event: str, count: int = 1, **fields: object) -> list[Event]:
        """The same, once there are as many."""

        def enough() -> list[Event] | None:
            found = self.events(event, **fields)
            return found if len(found) >= count else None

        return eventually(enough, within=SECONDS)

    def logged(self, message: str) -> list[Event]:
        return self.events("log", message=message)

    @property
    def text(self) -> str:
        return self._output.read_text(encoding="utf-8", errors="replace")

    def pids(self) -> list[int]:
        """Every process that has the mark of this family in its environment, and has not ended."""
        return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit() and self._owns(entry)]

    def _owns(self, entry: Path) -> bool:
        try:
            return self._mark.encode() in (entry / "environ").read_bytes()
        except OSError:  # it has ended meanwhile
            return False

    def ask(self, path: str = "/", *, listener: int = 0) -> Event:
        """Which worker answers."""
        port = self.wait_for("ready")[0]["ports"][listener]
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=SECONDS)
        try:
            connection.request("GET", path)
            answer: Event = json.loads(connection.getresponse().read())
        finally:
            connection.close()
        return answer

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def ended(self) -> int:
        """The exit status of the parent."""
        return self.process.wait(timeout=SECONDS)


@contextmanager
def running_family(
    folder: Path, count: int, stop_within: float, environ: Mapping[str, str], *, prefix: Sequence[str] = ()
) -> Iterator[Family]:
    """Start a parent with so many workers; what is left of them at the end is killed."""
    mark = f"FAMILY={uuid.uuid4()}"
    output = folder / f"{mark}.log"
    command = [sys.executable, supervised.__file__ or "", "--count", str(count), "--stop-within", str(stop_within)]
    with (
        output.open("ab") as stdout,
        subprocess.Popen(  # noqa: S603  # our own command
            [*prefix, *command],
            env={"PATH": os.environ["PATH"], "FAMILY": mark.partition("=")[2], **environ},
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stdout,
            start_new_session=True,
        ) as process,
    ):
        family = Family(process, output, mark)
        try:
            yield family
        finally:
            for pid in family.pids():
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    continue
