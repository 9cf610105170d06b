"""`probe`: the exit status that an orchestrator's health check goes by."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from ollama_openai_proxy.probe import probe
from support.processes import free_port

EVERYWHERE = "0.0.0.0"  # noqa: S104  # asked of, nothing is bound to it


@contextmanager
def answering(reply: bytes, host: str = "127.0.0.1") -> Iterator[tuple[int, list[bytes]]]:
    """Answer one connection with these bytes; yields the port, and what was asked once it was."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    asked: list[bytes] = []

    def answer() -> None:
        connection, _ = listener.accept()
        with connection:
            asked.append(connection.recv(65536))
            connection.sendall(reply)

    with socket.create_server((host, 0), family=family) as listener:
        thread = threading.Thread(target=answer)
        thread.start()
        yield listener.getsockname()[1], asked
        thread.join(timeout=10)


@pytest.mark.parametrize(
    ("reply", "status"),
    [
        (b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok", 0),
        (b"HTTP/1.1 503 Service Unavailable\r\n\r\n", 1),
        (b"HTTP/1.1 404 Not Found\r\n\r\n", 1),
        (b"SSH-2.0-OpenSSH_9.2\r\n", 1),
        (b"", 1),
    ],
    ids=["200", "503", "404", "another protocol", "closed"],
)
def test_status(reply: bytes, status: int) -> None:
    """The exit status is 0 when the answer is 200, and 1 for all else."""
    with answering(reply) as (port, _):
        assert probe("127.0.0.1", port) == status


def test_request() -> None:
    """It asks for `/live` under a host that the guard against rebound names lets in."""
    with answering(b"HTTP/1.1 200 OK\r\n\r\n") as (port, asked):
        probe("127.0.0.1", port)
    head, *headers = asked[0].decode().splitlines()
    assert head == "GET /live HTTP/1.1"
    assert "Host: localhost" in headers
    assert "Connection: close" in headers


@pytest.mark.parametrize(("listens_on", "asked_at"), [("127.0.0.1", EVERYWHERE), ("::1", "::"), ("::1", "::1")])
def test_address(listens_on: str, asked_at: str) -> None:
    """A proxy that listens on all addresses is asked on the loopback one."""
    with answering(b"HTTP/1.1 200 OK\r\n\r\n", listens_on) as (port, _):
        assert probe(asked_at, port) == 0


def test_nobody_there() -> None:
    """With nobody listening the exit status is 1, and nothing is raised."""
    assert probe("127.0.0.1", free_port()) == 1


def test_unknown_host() -> None:
    """A name that means nothing is no traceback either."""
    assert probe("no-such-host.invalid", 1) == 1
