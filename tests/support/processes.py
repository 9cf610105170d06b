"""The proxy and its backends as processes of their own, for the tests that need the whole program."""

import os
import random
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

import httpx

T = TypeVar("T")

START_SECONDS = 60.0  # a cold start on a loaded machine; a failed start is noticed at once


def eventually(result: Callable[[], T | None], *, within: float) -> T:
    """The first result that is not None and not False."""
    deadline = time.monotonic() + within
    while (value := result()) is None or value is False:
        assert time.monotonic() < deadline, f"not within {within} s"
        time.sleep(0.02)
    return value


@contextmanager
def running_proxy(folder: Path, *arguments: str, **settings: str) -> Iterator[str]:
    """Run `ollama-openai-proxy serve` with these settings and none of this process's own; yields its URL."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    command = [str(Path(sys.executable).with_name("ollama-openai-proxy")), "serve", *arguments]
    environ = {"PROXY_HOST": "127.0.0.1", "PROXY_PORT": str(port), **settings}
    with running(command, folder, environ, lambda _log: answers(url)):
        yield url


@contextmanager
def running(
    command: Sequence[str], folder: Path, settings: Mapping[str, str], ready: Callable[[str], T | None]
) -> Iterator[T]:
    """Run the command until the block ends; yields what `ready` makes of its output, once that is something."""
    environ = {name: os.environ[name] for name in ("HOME", "LANG", "PATH", "TMPDIR") if name in os.environ}
    log = folder / f"{Path(command[0]).name}.log"
    with (
        log.open("wb") as output,
        # Its input ends when this process does, however that ends.
        subprocess.Popen(  # noqa: S603  # our own command
            command, cwd=folder, env={**environ, **settings}, stdin=subprocess.PIPE, stdout=output, stderr=output
        ) as process,
    ):

        def started() -> T | None:
            text = log.read_text(encoding="utf-8", errors="replace")
            assert process.poll() is None, f"{command} ended with {process.returncode}:\n{text}"
            return ready(text)

        try:
            yield eventually(started, within=START_SECONDS)
        finally:
            process.terminate()
            process.wait(timeout=30)


def free_port() -> int:
    """Return a port that nobody listens on, and that the system gives to nobody who asks for any."""
    while True:
        port = random.randrange(10_000, 32_000)  # noqa: S311  # no secret
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


def answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=5, trust_env=False).status_code == 200
    except httpx.TransportError:
        return False
