"""Backends that can't be talked to: black holes, closed ports, TLS that is wrong in one way or another."""

from __future__ import annotations

import asyncio
import socket
import ssl
import subprocess
import warnings
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from support.scripted import Connection, Step, Upstream


class BlackHole:
    """A listener whose backlog is full: connections are neither taken nor refused. Use it as a context manager."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=0)
        self._fillers = [socket.socket() for _ in range(3)]
        for filler in self._fillers:
            filler.setblocking(False)
            filler.connect_ex(self._listener.getsockname())
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}/v1"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listener.close()
        for filler in self._fillers:
            filler.close()

    @asynccontextmanager
    async def opened(self, steps: Sequence[Step]) -> AsyncIterator[Upstream]:
        """Let connections in: a backend that answers chats for the model m so."""
        upstream = Upstream()
        upstream.script("m", steps)
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: Connection(upstream), sock=self._listener)
        try:
            yield upstream
        finally:
            server.close()
            await upstream.stop()


def closed_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def closed() -> str:
    """The base URL of a backend that is not there."""
    return f"http://127.0.0.1:{closed_port()}/v1"


class Authority:
    """A certificate authority of the test's own, and the certificates that it issues. Needs the program openssl."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.file = folder / "ca.pem"
        self._run(
            "req -x509 -newkey ec:p256 -nodes -days 30 -subj /CN=tests -addext keyUsage=critical,keyCertSign"
            " -keyout ca.key -out ca.pem"
        )

    def issue(self, name: str, *, expired: bool = False) -> ssl.SSLContext:
        """Return what a server needs to claim to be `name`, a host name or an address."""
        kind = "IP" if name[0].isdigit() else "DNS"
        extensions = f"subjectAltName={kind}:{name}\nauthorityKeyIdentifier=keyid\nsubjectKeyIdentifier=hash\n"
        (self._folder / "ext").write_text(extensions)
        (self._folder / "index").write_text("")
        (self._folder / "ca.cnf").write_text(_CONFIGURATION.format(folder=self._folder))
        self._run(f"req -newkey ec:p256 -nodes -subj /CN={name} -keyout {name}.key -out {name}.csr")
        until = "200102000000Z" if expired else "20991231000000Z"
        self._run(
            f"ca -batch -notext -config ca.cnf -startdate 200101000000Z -enddate {until}"
            f" -extfile ext -cert ca.pem -keyfile ca.key -in {name}.csr -out {name}.pem"
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self._folder / f"{name}.pem", self._folder / f"{name}.key")
        return context

    def _run(self, arguments: str) -> None:
        command = ["openssl", *arguments.replace("ec:p256", "ec -pkeyopt ec_paramgen_curve:P-256").split()]
        subprocess.run(command, cwd=self._folder, check=True, capture_output=True, timeout=30)  # noqa: S603  # no shell


_CONFIGURATION = """
[ca]
default_ca = tests
[tests]
database = {folder}/index
new_certs_dir = {folder}
default_md = sha256
unique_subject = no
rand_serial = yes
policy = policy
[policy]
commonName = supplied
"""


def only_tls_1_0(context: ssl.SSLContext) -> ssl.SSLContext:
    """Let the server speak nothing newer."""
    context.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # it is old: that is what the test is about
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = ssl.TLSVersion.TLSv1
    return context


class Told:
    """What a listener was told within TLS, and how many connections came."""

    def __init__(self) -> None:
        self.connections = 0
        self.heard = bytearray()
        self.url = ""


@asynccontextmanager
async def tls_listener(context: ssl.SSLContext, answer: bytes = b"") -> AsyncIterator[Told]:
    """Listen with TLS; answer the first bytes that come, and note all."""
    told = Told()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        told.connections += 1
        try:
            while read := await reader.read(65536):
                told.heard += read
                if read.endswith((b"\r\n\r\n", b"}")):
                    writer.write(answer)
        except OSError:
            pass  # the peer has gone
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    told.url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    try:
        yield told
    finally:
        server.close()
