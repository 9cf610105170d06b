"""A container engine, asked through its command line, as people ask it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
import tomllib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import httpx

ROOT = Path(__file__).parents[2]
IMAGE = "ollama-openai-proxy"
PORT = 11434
# What an operator sets for a container that is to be able to do nothing but its work.
HARDENED = ("--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges", "--pids-limit=64")


class Failed(Exception):
    """The engine refused; the message is what it said."""


@cache
def client() -> str | None:
    """Return the client to use: one that can build with BuildKit, and whose engine answers."""
    chosen = os.environ.get("ENGINE")
    folders = os.environ.get("PATH", "").split(os.pathsep)
    found = [chosen] if chosen else [shutil.which("docker", path=folder) for folder in folders]
    return next((path for path in found if path and _builds(path) and _succeeds(path, "info")), None)


def _builds(path: str) -> bool:
    """Whether it has BuildKit: newer clients have it in a plugin, older ones in themselves."""
    version = subprocess.run([path, "--version"], capture_output=True, text=True, check=False).stdout  # noqa: S603  # the engine's client
    number = version.partition("version ")[2].partition(".")[0]
    return _succeeds(path, "buildx", "version") or (number.isdecimal() and int(number) < 23)


def _succeeds(*command: str) -> bool:
    return subprocess.run(command, capture_output=True, timeout=60, check=False).returncode == 0  # noqa: S603  # the engine's client


def docker(*arguments: str, check: bool = True, timeout: float = 120) -> str:
    """Run the client and return its standard output. Raises Failed."""
    done = run(*arguments, timeout=timeout)
    if check and done.returncode:
        raise Failed(f"{' '.join(arguments)}: {done.stderr.strip()}")
    return done.stdout.strip()


def run(*arguments: str, timeout: float = 120) -> subprocess.CompletedProcess[str]:
    """Run the client and return all that came of it."""
    engine = client()
    assert engine is not None
    command = [engine, *arguments]
    environ = {**os.environ, "DOCKER_BUILDKIT": "1"}
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout, env=environ, check=False)  # noqa: S603  # the engine's client


def build(*targets: str, options: str = "") -> None:
    """Build targets of docker/Dockerfile, as a person would. Raises Failed."""
    environ = {**os.environ, "ENGINE": client() or "", "BUILD_OPTIONS": options or os.environ.get("BUILD_OPTIONS", "")}
    command = [str(ROOT / "scripts" / "image"), *targets]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=900, check=False)  # noqa: S603  # our own script
    if done.returncode:
        raise Failed(done.stdout[-2000:] + done.stderr[-6000:])


def inspect(name: str) -> dict[str, Any]:
    """Return what the engine knows of an image or a container."""
    (found,) = json.loads(docker("inspect", name))
    assert isinstance(found, dict)
    return found


class Container:
    """A container that was started."""

    def __init__(self, number: str) -> None:
        self.id = number

    @property
    def url(self) -> str:
        """Where it is reached from here."""
        return f"http://{docker('port', self.id, str(PORT)).splitlines()[0]}"

    def logs(self) -> str:
        """All that it wrote, on standard output and standard error."""
        done = run("logs", self.id)
        return done.stdout + done.stderr

    def lines(self) -> list[dict[str, Any]]:
        """Its lines, each of which must be a JSON object."""
        lines = [json.loads(line) for line in self.logs().splitlines()]
        assert all(isinstance(line, dict) for line in lines)
        return lines

    def exec(self, *command: str) -> subprocess.CompletedProcess[str]:
        return run("exec", self.id, *command)

    def python(self, code: str) -> str:
        """Run Python inside, there being nothing else in some images, and return what it prints."""
        done = self.exec("/usr/local/bin/python3", "-I", "-c", code)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def is_running(self) -> bool:
        return bool(inspect(self.id)["State"]["Running"])

    def ready(self, path: str = "/ready") -> bool:
        assert self.is_running(), self.logs()
        try:
            return httpx.get(f"{self.url}{path}", timeout=5).status_code == 200
        except httpx.TransportError:
            return False

    def wait_ready(self, within: float = 60.0) -> None:
        deadline = time.monotonic() + within
        while not self.ready():
            assert time.monotonic() < deadline, self.logs()
            time.sleep(0.02)

    def wait(self, within: float = 60.0) -> int:
        """Return its exit status, once it has one."""
        return int(docker("wait", self.id, timeout=within))

    def signal(self, name: str) -> None:
        docker("kill", f"--signal={name}", self.id)


@contextmanager
def container(image: str, *arguments: str, options: Sequence[str] = (), **environment: str) -> Iterator[Container]:
    """Start a container, whose port is published on loopback, and remove it at the end."""
    settings = [f"--env={name}={value}" for name, value in environment.items()]
    published = () if any(option.startswith("--network") for option in options) else (f"--publish=127.0.0.1::{PORT}",)
    started = Container(docker("run", "--detach", *published, *options, *settings, image, *arguments))
    try:
        yield started
    finally:
        docker("rm", "--force", "--volumes", started.id, check=False)


@contextmanager
def serving(image: str, *arguments: str, options: Sequence[str] = (), **environment: str) -> Iterator[Container]:
    """Start a container in front of the embedded backend, and wait until it is ready."""
    with container(image, "serve", "--demo", "--rate=0", *arguments, options=options, **environment) as started:
        started.wait_ready()
        yield started


def version() -> str:
    """Return the version that pyproject.toml gives the project."""
    with (ROOT / "pyproject.toml").open("rb") as file:
        found = tomllib.load(file)["project"]["version"]
    assert isinstance(found, str)
    return found
