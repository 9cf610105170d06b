"""The command, run as its users run it: arguments and environment in; lines, signals and exit status out."""

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from support.processes import answers, eventually, free_port

COMMAND = (sys.executable, "-m", "ollama_openai_proxy")
DEMO = ("serve", "--demo", "--rate", "0")
PROMPTLY = 10.0  # far below DRAIN_TIMEOUT, far above what a loaded machine needs
NOWHERE = {"OPENAI_API_BASE_URL": "http://127.0.0.1:1/v1"}


def run(folder: Path, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """Run a command that ends by itself, with these settings and no other."""
    return subprocess.run(  # noqa: S603  # our own command
        [*COMMAND, *arguments], cwd=folder, env=settings, capture_output=True, text=True, timeout=60, check=False
    )


class Served:
    """A `serve` that runs. What it prints goes to files, which are never full as a pipe may be."""

    def __init__(self, folder: Path, process: subprocess.Popen[bytes], port: int) -> None:
        self._folder = folder
        self.process = process
        self.url = f"http://127.0.0.1:{port}"

    @property
    def out(self) -> str:
        return (self._folder / "out").read_text()

    @property
    def err(self) -> str:
        return (self._folder / "err").read_text()

    def how_to_try(self) -> str | None:
        """What was printed, once all of it is there."""
        return self.out if "print(" in self.out else None

    def up(self) -> bool:
        assert self.process.poll() is None, self.err
        return answers(f"{self.url}/live")


@contextmanager
def served(folder: Path, *arguments: str, prefix: Sequence[str] = (), **settings: str) -> Iterator[Served]:
    """Run `serve` until the block ends; the block begins when it answers. `prefix` is a command that runs it."""
    port = int(settings.get("PROXY_PORT") or free_port())
    environment = {"PROXY_PORT": str(port), **settings}
    command = [*prefix, *COMMAND, *arguments]
    with (
        (folder / "out").open("wb") as out,
        (folder / "err").open("wb") as err,
        subprocess.Popen(command, cwd=folder, env=environment, stdout=out, stderr=err) as process,  # noqa: S603  # our own command
    ):
        running = Served(folder, process, port)
        try:
            eventually(running.up, within=60)
            yield running
        finally:
            process.kill()


def one_line(text: str) -> str:
    (line,) = text.splitlines()
    return line


def parsed(output: str) -> list[dict[str, Any]]:
    """Return the objects of a log; an error if any line is something else."""
    lines = [json.loads(line) for line in output.splitlines()]
    assert all(isinstance(line, dict) for line in lines)
    return lines
