"""TLS to the backend: who is believed to be it, and what is told when nobody is."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import pytest

from ollama_openai_proxy.errors import UpstreamTimeout, UpstreamUnreachable
from ollama_openai_proxy.upstream.connection import Connection
from ollama_openai_proxy.upstream.dial import Dialer, Unconnected
from support.dialling import (
    LATE,
    UNPROVEN,
    Line,
    Run,
    dialled,
    failure,
    names,
)
from support.listeners import Authority, only_tls_1_0, tls_listener
from support.scripted import Close, Hold, Pause, Reset, Send, Step, Upstream
from support.waiting import eventually, no_descriptors_left, no_errors
from support.wire import Heard


def test_f12_held_back_until_the_backend_has_closed(run: Run, authority: Authority) -> None:
    """F12: within TLS, too, all arrives of what a backend sent before it closed, however long reading is paused."""
    body = b"x" * 3_000_000

    def answer(listener: socket.socket, context: ssl.SSLContext) -> None:
        with context.wrap_socket(listener.accept()[0], server_side=True) as accepted:
            accepted.recv(1000)
            accepted.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
            accepted.shutdown(socket.SHUT_WR)

    async def read() -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            answering = asyncio.create_task(asyncio.to_thread(answer, listener, authority.issue("127.0.0.1")))
            dialer = Dialer(f"https://127.0.0.1:{listener.getsockname()[1]}/v1")
            connection = await dialer.connect(lambda: Connection(lambda _: None, lambda _: None), 5)
            heard = Heard()
            heard.arrived = connection.pause
            connection.ask(b"GET / HTTP/1.1\r\n\r\n", b"", heard)
            while not heard.whole and heard.failure is None:
                connection.resume()
                await asyncio.sleep(0.02)  # as long as a client takes
            assert (heard.failure, heard.body == body) == (None, True)
            await answering
            connection.abort()
            await dialer.close()

    run(read())


@pytest.mark.parametrize("closes", [False, True])
@pytest.mark.usefixtures("authority")
def test_d6_speaks_first(run: Run, *, closes: bool) -> None:
    """D6: what does not wait for TLS to begin speaks none, whether it closes at once or not."""

    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            writer.write(b"SSH-2.0-backend\r\n")
            with suppress(OSError):
                while not closes and await reader.read(1000):
                    pass
        finally:  # when the loop ends, too
            writer.close()

    async def greeted() -> None:
        async with await asyncio.start_server(greet, "127.0.0.1", 0) as server:
            url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
            with pytest.raises(Unconnected) as caught:
                await dialled(url)
            assert (str(caught.value), caught.value.passing) == (UNPROVEN, False)

    run(greeted())


@pytest.mark.usefixtures("authority")
def test_d6_closes_at_once(run: Run) -> None:
    """D6: so does what closes before TLS could begin; that may be gone in a moment, and nobody's mistake is logged."""

    async def left() -> None:
        async with await asyncio.start_server(lambda _reader, writer: writer.close(), "127.0.0.1", 0) as server:
            url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
            with no_errors():
                for _ in range(10):
                    with pytest.raises(Unconnected) as caught:
                        await dialled(url)
                    assert (str(caught.value), caught.value.passing) == (UNPROVEN, True)

    run(left())


def test_d3_an_address_without_tls(run: Run, authority: Authority) -> None:
    """D3: when there is no TLS at one address, the next is connected to."""

    async def connected() -> None:
        async with tls_listener(authority.issue("backend.test")) as told:
            url = told.url.replace("127.0.0.1", "backend.test")
            port = int(url.rpartition(":")[2].removesuffix("/v1"))
            server = await asyncio.start_server(lambda _reader, writer: writer.close(), "127.0.0.2", port)
            async with no_descriptors_left():
                line = await dialled(url, names("127.0.0.2", "127.0.0.1"))
                assert line.transport.get_extra_info("peername")[0] == "127.0.0.1"
                line.transport.abort()
            server.close()

    run(connected())


def test_tls(run: Run, authority: Authority) -> None:
    """TLS is done when the connection is returned: its server name is the URL's, whatever address that has, without the
    dot at its end (RFC 6066, 3), and the backend is offered no protocol but HTTP/1.1."""
    offered: list[str | None] = []
    context = authority.issue("backend.test")
    context.sni_callback = lambda _connection, name, _context: offered.append(name)
    context.set_alpn_protocols(["h2", "http/1.1"])

    async def connected() -> None:
        async with no_descriptors_left(), tls_listener(context, b"pong") as told:
            line = await dialled(told.url.replace("127.0.0.1", "backend.test."), names("127.0.0.1"))
            assert line.transport.get_extra_info("ssl_object").selected_alpn_protocol() in {None, "http/1.1"}
            line.transport.write(b"ping\r\n\r\n")
            await eventually(lambda: line.heard == b"pong")
            assert bytes(told.heard) == b"ping\r\n\r\n"
            line.transport.close()

    run(connected())
    assert offered == ["backend.test"]


def test_tls_of_an_address(run: Run, authority: Authority) -> None:
    """A certificate for an address is one for a URL with it."""

    async def connected() -> None:
        async with no_descriptors_left(), tls_listener(authority.issue("127.0.0.1")) as told:
            (await dialled(told.url)).transport.abort()

    run(connected())


@pytest.mark.parametrize("fault", ["self-signed", "expired", "wrong name", "TLS 1.0"])
def test_d6_not_verified(run: Run, authority: Authority, tmp_path: Path, fault: str) -> None:
    """D6: a server that is not verified is told nothing within TLS, and is not asked again."""
    if fault == "self-signed":
        (tmp_path / "other").mkdir()
        context = Authority(tmp_path / "other").issue("127.0.0.1")
    else:
        context = authority.issue("192.0.2.1" if fault == "wrong name" else "127.0.0.1", expired=fault == "expired")
    if fault == "TLS 1.0":
        only_tls_1_0(context)

    async def refused() -> None:
        async with tls_listener(context) as told:
            *why, again = await failure(told.url)
            assert why == [UpstreamUnreachable, UNPROVEN, "up_tls"]
            assert again == (fault == "TLS 1.0")  # then it is the server that hangs up
            assert bytes(told.heard) == b""

    run(refused())


GREETINGS: dict[str, tuple[Sequence[Step], bool | None]] = {
    "plain HTTP": ((Send(b"HTTP/1.1 400 Bad Request\r\n\r\n"), Close()), False),
    "FIN": ((Close(),), None),  # what it is called hangs on the version of Python
    "RST": ((Reset(),), True),
    "RST later": ((Pause(0.05), Reset()), True),
}


@pytest.mark.parametrize(("steps", "passing"), GREETINGS.values(), ids=GREETINGS.keys())
def test_d6_no_handshake(run: Run, steps: Sequence[Step], passing: bool | None) -> None:
    """D6, D8: a server that speaks no TLS, or drops a handshake, is told as that; one that dropped it may be asked
    again."""

    async def refused() -> None:
        async with Upstream() as upstream:
            upstream.greeting = steps
            *told, again = await failure(upstream.url.replace("http", "https"))
            assert told == [UpstreamUnreachable, UNPROVEN, "up_tls"]
            assert passing in {None, again}

    run(refused())


def test_d7_stalled_handshake(run: Run) -> None:
    """D7: a handshake that is not answered ends with the time for connections, and is a matter of TLS."""

    async def late() -> None:
        async with Upstream() as upstream:
            upstream.greeting = (Hold(),)
            url = upstream.url.replace("http", "https")
            assert await failure(url, seconds=0.2) == (UpstreamTimeout, LATE, "up_tls", False)
            several = url.replace("127.0.0.1", "backend.test")
            assert await failure(several, names("127.0.0.1", "127.0.0.2"), 0.2) == (
                UpstreamTimeout,
                LATE,
                "up_tls",
                False,
            )

    run(late())


def test_trust_is_read_once(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    """Certificates are read when the dialer is made, and not again for each connection."""
    context = authority.issue("127.0.0.1")

    async def connected() -> None:
        async with tls_listener(context) as told:
            dialer = Dialer(told.url)
            monkeypatch.delenv("SSL_CERT_FILE")
            (await dialer.connect(Line, 5)).transport.abort()

    asyncio.run(connected())
    assert isinstance(context, ssl.SSLContext)
