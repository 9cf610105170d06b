"""`probe`: the exit status that a health check goes by, and the line that says why."""

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from ollama_openai_proxy import probe
from support.processes import free_port, running_proxy

ALONE = [sys.executable, "-I", "-S", probe.__file__]
INSTALLED = [str(Path(sys.executable).with_name("ollama-openai-proxy")), "probe"]
MODULE = [sys.executable, "-m", "ollama_openai_proxy", "probe"]
WAYS = pytest.mark.parametrize("command", [ALONE, INSTALLED, MODULE], ids=["alone", "installed", "module"])
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


def run(folder: Path, settings: Mapping[str, str], *arguments: str, command: list[str] = ALONE) -> tuple[int, str]:
    """Run `probe`; return its exit status and what it said. It never writes to standard output."""
    done = subprocess.run(  # noqa: S603  # our own command
        [*command, *arguments], cwd=folder, env=settings, capture_output=True, text=True, timeout=30, check=False
    )
    assert done.stdout == ""
    return done.returncode, done.stderr


@contextmanager
def answering(*pieces: bytes, host: str = "127.0.0.1", to_the_end: bool = True) -> Iterator[tuple[str, list[bytes]]]:
    """Answer one connection with these bytes, in pieces; yields the port, and what was asked once it was."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    asked: list[bytes] = []
    over = threading.Event()

    def answer() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            asked.append(connection.recv(65536))
            with suppress(ConnectionError):  # who has asked may be gone
                for piece in pieces:
                    connection.sendall(piece)
                    over.wait(0.02)  # so that they leave one by one
            if not to_the_end:
                over.wait(20)

    with socket.create_server((host, 0), family=family) as listener:
        thread = threading.Thread(target=answer)
        thread.start()
        try:
            yield str(listener.getsockname()[1]), asked
        finally:
            over.set()
            thread.join(timeout=10)


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running_proxy(tmp_path_factory.mktemp("proxy"), "--demo") as url:
        yield url.rpartition(":")[2]


@WAYS
def test_a_running_proxy(tmp_path: Path, proxy: str, command: list[str]) -> None:
    """G9: a proxy that runs is well, whichever way it is asked, and the path to ask for can be given."""
    assert run(tmp_path, {"PROXY_PORT": proxy}, command=command) == (0, "")
    said = f"probe: 127.0.0.1:{proxy} answered 404\n"
    assert run(tmp_path, {"PROXY_PORT": proxy}, "/nowhere", command=command) == (1, said)


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (b"HTTP/1.1 503 Service Unavailable\r\n\r\n", "answered 503"),
        (b"HTTP/1.1 404 Not Found\r\n\r\n", "answered 404"),
        (b"HTTP/1.1 2000 OK\r\n\r\n", "gave no HTTP answer"),
        (b"HTTP/1.1 200 O", "gave no HTTP answer"),
        (b"HTTP/2 200\r\n\r\n", "gave no HTTP answer"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "gave no HTTP answer"),
        (b"\x15\x03\x03\x00\x02\x02\x46", "gave no HTTP answer"),
        (b"\n", "gave no HTTP answer"),
        (b"\xff" * 100_000, "gave no HTTP answer"),
        (b"HTTP/1.1 \xd9\xa2\xd9 OK\r\n\r\n", "gave no HTTP answer"),
        (b"", "gave no HTTP answer"),
    ],
    ids=["503", "404", "2000", "cut", "HTTP/2", "SSH", "TLS", "empty line", "endless line", "other digits", "nothing"],
)
def test_no_200(tmp_path: Path, reply: bytes, said: str) -> None:
    """All but a 200 is exit status 1 and one line, never a traceback, whatever it is that listens there."""
    with answering(reply) as (port, _):
        assert run(tmp_path, {"PROXY_PORT": port}) == (1, f"probe: 127.0.0.1:{port} {said}\n")


def test_pieces(tmp_path: Path) -> None:
    """The first line of the answer may arrive in pieces, and nobody says how many more lines follow."""
    with answering(*(bytes([byte]) for byte in OK[:17]), to_the_end=False) as (port, _):
        assert run(tmp_path, {"PROXY_PORT": port}) == (0, "")


@pytest.mark.parametrize(("arguments", "path"), [((), "/live"), (("/ready",), "/ready")])
def test_request(tmp_path: Path, arguments: tuple[str, ...], path: str) -> None:
    """G9: it asks for `/live`, which asks nobody else, under a host that the guard against rebound names lets in."""
    with answering(OK) as (port, asked):
        assert run(tmp_path, {"PROXY_PORT": port}, *arguments) == (0, "")
    assert asked == [f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode()]


@pytest.mark.parametrize(
    ("listens_on", "settings"),
    [
        ("127.0.0.1", {}),
        ("127.0.0.1", {"PROXY_HOST": "0.0.0.0"}),  # noqa: S104  # asked at, nothing is bound to it
        ("127.0.0.1", {"PROXY_HOST": "0"}),
        ("127.0.0.1", {"PROXY_HOST": "[]"}),
        ("127.0.0.1", {"PROXY_HOST": "localhost"}),
        ("127.0.0.2", {"PROXY_HOST": "127.0.0.2"}),
        ("127.0.0.1", {"PROXY_HOST": "::"}),
        ("::1", {"PROXY_HOST": "[::1]"}),
        ("::1", {"PROXY_HOST": "0:0:0:0:0:0:0:0"}),
        ("127.0.0.1", {"OLLAMA_HOST": "[::]"}),
    ],
    ids=str,
)
def test_l14_address(tmp_path: Path, listens_on: str, settings: dict[str, str]) -> None:
    """P9, L14: it asks where the proxy listens; if that is everywhere, at the loopback address that all hosts have."""
    with answering(OK, host=listens_on) as (port, _):
        assert run(tmp_path, {"PROXY_PORT": port, **settings}) == (0, "")


@pytest.mark.parametrize("listens_on", ["127.0.0.1", "::1"])
def test_several_addresses(tmp_path: Path, listens_on: str) -> None:
    """P9: if the name has several addresses, as localhost often has, each is tried."""
    (tmp_path / "hosts").write_text("::1 both\n127.0.0.1 both\n", encoding="utf-8")
    with_hosts = [
        "unshare",
        "--user",
        "--map-root-user",
        "--mount",
        "/bin/sh",
        "-c",
        'mount --bind hosts /etc/hosts && "$@"',
    ]
    allowed = subprocess.run([*with_hosts, "-", "true"], cwd=tmp_path, capture_output=True, timeout=30, check=False)  # noqa: S603  # a tool of util-linux
    if allowed.returncode:
        pytest.skip("this machine lets nobody have a list of hosts of their own")
    with answering(OK, host=listens_on) as (port, _):
        settings = {"PROXY_HOST": "both", "PROXY_PORT": port, "PATH": os.environ["PATH"]}
        assert run(tmp_path, settings, command=[*with_hosts, "-", *ALONE]) == (0, "")


@pytest.mark.parametrize(("host", "shown"), [("0.0.0.0", "127.0.0.1"), ("::", "127.0.0.1"), ("::1", "[::1]")])  # noqa: S104  # asked at
def test_address_is_named(tmp_path: Path, host: str, shown: str) -> None:
    """What is told names the address that was tried."""
    port = str(free_port())
    said = f"probe: {shown}:{port} refused the connection\n"
    assert run(tmp_path, {"PROXY_HOST": host, "PROXY_PORT": port}) == (1, said)


@WAYS
def test_nobody_there(tmp_path: Path, command: list[str]) -> None:
    """With nobody listening it says so."""
    port = str(free_port())
    said = f"probe: 127.0.0.1:{port} refused the connection\n"
    assert run(tmp_path, {"PROXY_PORT": port}, command=command) == (1, said)


DRIPPING = (b"H",) * 2000


@pytest.mark.parametrize("pieces", [(), DRIPPING], ids=["silent", "dripping"])
def test_deadline(tmp_path: Path, pieces: tuple[bytes, ...]) -> None:
    """Three seconds are the limit for all of it, also when something comes all the time."""
    with answering(*pieces, to_the_end=False) as (port, _):
        assert run(tmp_path, {"PROXY_PORT": port}) == (1, "probe: no answer within 3 s\n")


def test_deadline_of_the_connection(tmp_path: Path) -> None:
    """So they are for a connection that nobody takes."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener, socket.socket() as first:
        first.connect(listener.getsockname())  # the queue of the listener is full with it
        said = run(tmp_path, {"PROXY_PORT": str(listener.getsockname()[1])})
    assert said == (1, "probe: no answer within 3 s\n")


def test_broken_connection(tmp_path: Path) -> None:
    """A connection that is reset is no traceback."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

        def reset() -> None:
            connection, _ = listener.accept()
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            connection.close()

        thread = threading.Thread(target=reset)
        thread.start()
        assert run(tmp_path, {"PROXY_PORT": str(port)}) == (1, f"probe: 127.0.0.1:{port} broke the connection\n")
        thread.join(timeout=10)


@pytest.mark.parametrize(
    ("arguments", "settings", "said"),
    [
        ((), {"PROXY_HOST": "no-such-host.invalid"}, "no-such-host.invalid:11434 can't be reached: "),
        ((), {"PROXY_HOST": "a..b"}, "a..b:11434 can't be reached: "),
        ((), {"PROXY_HOST": "\udcff\n\x1b[2Jé"}, r"\udcff\n\x1b[2J\xe9:11434 can't be reached: "),
        ((), {"PROXY_HOST": "x" * 300}, f"{'x' * 300}:11434 can't be reached: "),
        ((), {"PROXY_HOST": "é" * 300}, "\\xe9" * 300 + ":11434 can't be reached: "),
        ((), {"OLLAMA_HOST": "http://user:secret@nowhere.invalid:1"}, "[nowhere.invalid:1]:80 can't be reached: "),
        ((), {"OLLAMA_HOST": ":66000"}, "OLLAMA_HOST has a port that is none"),
        ((), {"PROXY_PORT": "http"}, "PROXY_PORT has a port that is none"),
        ((), {"PROXY_PORT": "65536"}, "PROXY_PORT has a port that is none"),
        ((), {"PROXY_PORT": "9" * 5000}, "PROXY_PORT has a port that is none"),
        ((), {"PROXY_PORT": "0"}, "the port is 0, which stands for any that was free"),
        ((), {"PROXY_PORT": " "}, "PROXY_PORT is empty"),
        ((), {"proxy_host": "''"}, "PROXY_HOST is empty"),
        (("ready",), {}, "takes no more than a path, such as /ready"),
        (("/live", "/ready"), {}, "takes no more than a path, such as /ready"),
        (("/live HTTP/1.1\r\nHost: x\r\n\r\n",), {}, "takes no more than a path, such as /ready"),
        (("",), {}, "takes no more than a path, such as /ready"),
    ],
    ids=lambda value: str(value)[:60].encode("ascii", "backslashreplace").decode(),
)
def test_k9_bad_settings(tmp_path: Path, arguments: tuple[str, ...], settings: dict[str, str], said: str) -> None:
    """K9: what can't be used is told in one line without control characters and secrets, and never a traceback."""
    status, line = run(tmp_path, settings, *arguments)
    assert (status, line.count("\n")) == (1, 1)
    assert line.startswith(f"probe: {said}")


def test_bad_dotenv(tmp_path: Path) -> None:
    """A `.env` that is no text is told, too."""
    (tmp_path / ".env").write_bytes(b"A=\xff\n")
    assert run(tmp_path, {}) == (1, "probe: .env can't be read as text\n")


def test_dotenv(tmp_path: Path) -> None:
    """The address may stand in `.env` of the current folder, as for the proxy itself."""
    with answering(OK, host="::1") as (port, _):
        (tmp_path / ".env").write_text(f"# here\nexport proxy_host='::1' # and\nPROXY_PORT={port}\n", encoding="utf-8")
        assert run(tmp_path, {}) == (0, "")


def test_help(tmp_path: Path) -> None:
    """It explains itself."""
    done = subprocess.run([*ALONE, "--help"], cwd=tmp_path, capture_output=True, text=True, timeout=30, check=False)  # noqa: S603  # our own command
    assert (done.returncode, done.stdout.splitlines()[0]) == (0, "usage: ollama-openai-proxy probe [PATH]")


def test_nobody_listens_to_it(tmp_path: Path) -> None:
    """Without a standard error the exit status still says it."""
    command = f"exec {' '.join(ALONE)} 2>&-"
    done = subprocess.run(["/bin/sh", "-c", command], cwd=tmp_path, env={"PROXY_PORT": "x"}, timeout=30, check=False)  # noqa: S603  # our own command
    assert done.returncode == 1


def test_imports_nothing(tmp_path: Path) -> None:
    """G9: alone it imports nothing beyond a bare interpreter but sockets and what a script of one line has."""

    def modules(script: Path) -> set[str]:
        command = [sys.executable, "-I", "-S", "-X", "importtime", str(script)]
        done = subprocess.run(command, cwd=tmp_path, env={}, stderr=subprocess.PIPE, text=True, timeout=30, check=False)  # noqa: S603  # our own command
        return {line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if line.startswith("import time:")}

    (tmp_path / "bare.py").write_text("", encoding="utf-8")
    assert modules(Path(probe.__file__)) - modules(tmp_path / "bare.py") == {"_socket"}
