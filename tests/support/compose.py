"""Docker Compose, asked through its command line, with nothing of this machine's settings."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from support import engine

DOCKER = engine.ROOT / "docker"
# Where the engine's own Compose is, in the order in which its client looks.
PLUGINS = (
    Path("~/.docker/cli-plugins"),
    Path("/usr/local/lib/docker/cli-plugins"),
    Path("/usr/local/libexec/docker/cli-plugins"),
    Path("/usr/lib/docker/cli-plugins"),
    Path("/usr/libexec/docker/cli-plugins"),
)
# What of this process's environment is about the engine, and about no setting of a container.
KEPT = ("DOCKER_CERT_PATH", "DOCKER_HOST", "DOCKER_TLS_VERIFY", "HOME", "PATH")
# What production can't do without.
NEEDED = {"OPENAI_API_BASE_URL": "http://backend:8000/v1", "OPENAI_API_KEY_FILE": "./no-key"}
ABSENT = "Compose is not installed: neither the engine's own, nor, for x86-64 only, that of the group `container`"
EVERYTHING = ("--profile=*",)


def _runs(found: Path) -> bool:
    """Whether it is a program, and one for this machine."""
    if not os.access(found, os.X_OK):
        return False
    try:
        return subprocess.run([found, "version"], capture_output=True, timeout=30, check=False).returncode == 0  # noqa: S603  # Compose
    except OSError:
        return False


@cache
def program() -> Path | None:
    """Return the engine's own Compose, or else the one of the package, which is for x86-64 only.

    Of the package, it is the real program: the wrapper beside it loses the exit status.
    """
    found = [folder.expanduser() / "docker-compose" for folder in PLUGINS]
    package = importlib.util.find_spec("compose")
    if package and package.origin:
        found.append(Path(package.origin).with_name("docker-compose"))
    return next((path for path in found if _runs(path)), None)


def check_installed() -> None:
    """Skip where there is no Compose; where CI is set, there must be one."""
    if program() is None and not os.environ.get("CI"):
        pytest.skip(ABSENT)
    assert program(), ABSENT


def file(name: str, folder: Path = DOCKER) -> Path:
    return folder / f"docker-compose.{name}.yml"


BASE, DEV = (file("base"),), (file("dev"),)
PROD = (file("prod"),)
OVERLAID = (*PROD, *map(file, ("local", "logs", "data")))
MODELS = (*PROD, file("models"))
KEYS = (*PROD, file("keys"))


class Config(dict[str, Any]):
    """Files in one, with all that they refer to."""

    @property
    def services(self) -> dict[str, dict[str, Any]]:
        found: dict[str, dict[str, Any]] = self["services"]
        return found

    @property
    def proxy(self) -> dict[str, Any]:
        return self.services["proxy"]


@cache
def rendered(files: Sequence[Path] = OVERLAID) -> Config:
    """Return what Compose makes of the files with what is needed, and all profiles. Not to be changed."""
    return Compose(files, NEEDED, EVERYTHING).config()


@dataclass(frozen=True)
class Compose:
    """Compose with these files, and with settings that its shell has, or the file that --env-file names."""

    files: Sequence[Path]
    settings: Mapping[str, str] = field(default_factory=dict)
    options: Sequence[str] = ()
    folder: Path = engine.ROOT

    def run(self, *arguments: str, within: float = 120) -> subprocess.CompletedProcess[str]:
        """Run a command in the folder and return all that came of it."""
        environ = {name: os.environ[name] for name in KEPT if name in os.environ}
        # Relative, as people write them.
        named = [f"--file={os.path.relpath(path, self.folder)}" for path in self.files]
        command = [str(program()), *self.options, *named, *arguments]
        return subprocess.run(  # noqa: S603  # Compose, with our own files
            command,
            cwd=self.folder,
            env={**environ, **self.settings},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=within,
            check=False,
        )

    def do(self, *arguments: str, within: float = 120) -> str:
        """Run a command and return its standard output. Raises engine.Failed."""
        done = self.run(*arguments, within=within)
        if done.returncode:
            raise engine.Failed(f"{' '.join(arguments)}: {done.stderr.strip()}")
        return done.stdout

    def config(self) -> Config:
        """Return what Compose makes of the files."""
        return Config(json.loads(self.do("config", "--format=json")))

    def container(self, service: str) -> engine.Container:
        """Return the one container of a service."""
        (number,) = self.do("ps", "--all", "--quiet", service).split()
        return engine.Container(number)

    @contextmanager
    def up(self, *arguments: str) -> Iterator[None]:
        """Start all, wait until it is healthy, and remove it at the end."""
        try:
            self.do("up", "--detach", "--wait", "--wait-timeout=60", "--no-build", *arguments)
            yield
        finally:
            self.run("down", "--volumes", "--timeout=10")
