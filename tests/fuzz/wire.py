"""Raw bytes into the real server: its protocol, its rules and every handler, before the embedded backend."""

from __future__ import annotations

import asyncio
import logging
import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from ollama_openai_proxy.demo import create_demo
from ollama_openai_proxy.main import create_app
from ollama_openai_proxy.serve.server import serving
from support.proxy import sealed

SECONDS = 20
HEAD = re.compile(rb"HTTP/1\.1 [1-5]\d\d [ -~]*\r\n(?:[A-Za-z0-9-]+: [^\r\n\x00]*\r\n)*\r\n")
FAILURE = b"HTTP/1.1 500 "
# Contract 1.9, 3.3, 4, 5.10 to 5.12: 500s that Ollama answers with.
DOCUMENTED = (b'"option ', b'"invalid format: ', b'"open ', b'"The model ', b'"pull model manifest', b'"unauthorized: ')


class Failures(logging.Handler):
    """What went wrong without anybody being told."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


class InProcess:
    """The proxy and the embedded backend, served by a thread of this process."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._ended = asyncio.Event()
        self._ready = threading.Event()
        self.address = ("", 0)
        self.failures = Failures()

    def start(self) -> None:
        logging.getLogger().addHandler(self.failures)
        self._thread.start()
        self._serving = asyncio.run_coroutine_threadsafe(self._serve(), self._loop)
        assert self._ready.wait(SECONDS)

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._ended.set)
        self._serving.result(SECONDS)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(SECONDS)
        self._loop.close()
        logging.getLogger().removeHandler(self.failures)

    async def _serve(self) -> None:
        async with serving(create_demo(rate=0)) as backend:
            app = create_app(sealed(openai_api_base_url=f"{backend}/v1"))
            async with serving(app, app.state.lifecycle) as url:
                host, _, port = url.removeprefix("http://").rpartition(":")
                self.address = (host, int(port))
                self._ready.set()
                await self._ended.wait()

    def exchange(self, data: bytes) -> bytes:
        """Send the bytes and say that no more come; return all that is answered until the server closes."""
        with socket.create_connection(self.address, SECONDS) as client:
            try:
                client.sendall(data)
                client.shutdown(socket.SHUT_WR)
                received = b""
                while part := client.recv(65536):
                    received += part
            except (ConnectionResetError, BrokenPipeError):  # it did not wait for the rest
                return b""
        return received


@contextmanager
def in_process() -> Iterator[InProcess]:
    server = InProcess()
    server.start()
    try:
        yield server
    finally:
        server.stop()


@cache
def forever() -> InProcess:
    """The server of a process that does nothing else."""
    server = InProcess()
    server.start()
    return server


def fuzz_http(data: bytes, server: InProcess | None = None) -> None:
    """Any bytes are answered with HTTP or with nothing, the connection ends, and nothing fails in silence."""
    server = server or forever()
    received = server.exchange(data)
    assert received == b"" or HEAD.match(received), received[:200]
    if FAILURE in received:
        _, _, rest = received.partition(FAILURE)
        assert any(words in rest for words in DOCUMENTED), rest[:500]
    assert server.failures.lines == []
