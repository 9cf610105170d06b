"""The real command in a process of its own."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support.processes import START_SECONDS, answers, eventually, free_port


@dataclass
class Proxy:
    """A proxy that runs in a process of its own."""

    url: str
    process: subprocess.Popen[bytes]
    folder: Path

    @property
    def output(self) -> str:
        return (self.folder / "out").read_text(encoding="utf-8")

    @property
    def errors(self) -> str:
        return (self.folder / "err").read_text(encoding="utf-8")

    def exchanges(self, model: str | None = None) -> list[dict[str, Any]]:
        """The lines of the log that tell of an exchange, or only those with one model."""
        complete = self.output.rpartition("\n")[0].splitlines()
        lines = [line for line in map(json.loads, complete) if line["message"] == "exchange"]
        return [line for line in lines if model in (None, line.get("model"))]

    def up(self) -> bool:
        assert self.process.poll() is None, self.errors
        return answers(f"{self.url}/live")


@contextmanager
def serving(folder: Path, *arguments: str, **settings: str) -> Iterator[Proxy]:
    """Run `serve` until the block ends, and check that SIGTERM ends it well."""
    port = free_port()
    command = [sys.executable, "-m", "ollama_openai_proxy", "serve", *arguments]
    environment = {"PROXY_PORT": str(port), **settings}
    with (
        (folder / "out").open("wb") as out,
        (folder / "err").open("wb") as err,
        subprocess.Popen(command, cwd=folder, env=environment, stdout=out, stderr=err) as process,  # noqa: S603  # our own command
    ):
        proxy = Proxy(f"http://127.0.0.1:{port}", process, folder)
        try:
            eventually(proxy.up, within=START_SECONDS)
            yield proxy
            process.terminate()
            assert process.wait(timeout=30) == 0
            assert proxy.errors == ""
        finally:
            process.kill()
