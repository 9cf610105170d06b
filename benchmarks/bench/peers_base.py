"""What a peer is, and how one is had from PyPI or npm: at an exact version, in a folder of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

ROOT = Path(__file__).parents[2]
HOST = "127.0.0.1"
MODEL = "bench"
_INSTALLED = "installed"
_WITHIN = 900.0  # one installation, seconds
_SHOWN = 300


class Missing(Exception):
    """A peer can't be had here. The message says why."""


class Command(NamedTuple):
    """`env`: what is set beside HOME, LANG, PATH and TMPDIR."""

    argv: list[str]
    env: dict[str, str]
    cwd: Path


class Peer(NamedTuple):
    """A program to measure beside the proxy. It runs as one worker, and logs as little as it lets itself be told to.

    `front`: the dialect that its clients speak. `version(folder)`: of what was installed, "" if it has none.
    `prepare(folder)` installs it below a folder, or finds it there from before; raises Missing. `start(folder, port,
    upstream port, scratch)` says how to start it in front of an upstream on this machine; scratch is a folder to write
    to. `model` is the name to ask for, `headers` go with each request, `seconds` is the time until it listens.
    `about`: what is to be known of its figures.
    """

    name: str
    front: Literal["ollama", "openai"]
    version: Callable[[Path], str]
    prepare: Callable[[Path], None]
    start: Callable[[Path, int, int, Path], Command]
    model: str = MODEL
    headers: dict[str, str] = {}  # noqa: RUF012  # of a tuple, and nobody writes to it
    seconds: float = 60
    about: str = ""


def pip_install(home: Path, packages: Sequence[str]) -> None:
    """Install packages of PyPI into an environment of their own. Raises Missing."""
    if not _installed(home, packages):
        uv = run([sys.executable, str(ROOT / "scripts" / "bootstrap.py"), "--uv"]).strip()
        run([uv, "venv", "--quiet", "--clear", "--no-project", "--python", sys.executable, str(home)])
        run([uv, "pip", "install", "--quiet", "--python", str(python(home)), *packages])
        _note(home, packages)


def npm_install(home: Path, node: Path, packages: Sequence[str]) -> None:
    """Install packages of npm into a folder; what they would run while being installed is not run. Raises Missing."""
    if not _installed(home, packages):
        home.mkdir(parents=True, exist_ok=True)
        npm = node.parents[1] / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
        flags = ["--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier", "--loglevel=error"]
        run([str(node), str(npm), "install", f"--prefix={home}", *flags, *packages])
        _note(home, packages)


def python(home: Path) -> Path:
    return home / "bin" / "python"


def inside(home: Path, pattern: str) -> Path:
    """Return the one file below an environment's packages that a pattern names. Raises Missing."""
    found = next((home / "lib").glob(f"python*/site-packages/{pattern}"), None)
    if not found:
        raise Missing(f"no {pattern} in what was installed")
    return found


def run(command: Sequence[str]) -> str:
    """Return what a command prints. Raises Missing if it fails or takes too long."""
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_WITHIN, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Missing(f"{Path(command[0]).name}: {type(error).__name__}") from error
    if done.returncode:
        words = " ".join((done.stderr or done.stdout).split())
        raise Missing(f"{Path(command[0]).name} failed: {words[-_SHOWN:]}")
    return done.stdout


def is_root() -> bool:
    return os.getuid() == 0


def _installed(home: Path, packages: Sequence[str]) -> bool:
    note = home / _INSTALLED
    return note.is_file() and note.read_text(encoding="utf-8").split() == list(packages)


def _note(home: Path, packages: Sequence[str]) -> None:
    (home / _INSTALLED).write_text("\n".join(packages) + "\n", encoding="utf-8")
