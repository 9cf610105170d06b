"""What the backend answers, as it arrives."""

from __future__ import annotations

import asyncio

import aiohttp

from ollama_openai_proxy.deadlines import Deadlines
from ollama_openai_proxy.errors import UpstreamBroken, UpstreamError
from ollama_openai_proxy.upstream.errors import INVALID, translated

_DRAIN_SECONDS = 0.5


class Reply:
    """The backend's answer to a call: its status was 2xx, its body is still to come."""

    def __init__(self, response: aiohttp.ClientResponse, deadlines: Deadlines) -> None:
        self.content_type = response.headers.get("Content-Type", "")
        self._response = response
        self._deadlines = deadlines
        self._read_any = response.content.readany
        self._failure: UpstreamError | None = None
        deadlines.watch(self._look, self._fail)

    async def read(self) -> bytes:
        """Return the next bytes, b"" at the end. Raises UpstreamError."""
        self._deadlines.wait()
        try:
            return await self._read_any()
        except aiohttp.ClientError as error:
            raise self._failure or translated(error) from None
        finally:
            self._deadlines.stop_waiting()

    def begin(self) -> None:
        """Tell that the answer has begun. Until then `first_byte` limits, whatever else was read."""
        self._deadlines.begin()

    async def drain(self) -> None:
        """Read what trails after the answer, briefly, so that the connection can be used again."""
        try:
            async with asyncio.timeout(_DRAIN_SECONDS):
                while await self._read_any():
                    pass
        except (aiohttp.ClientError, TimeoutError):
            self.close()

    def close(self) -> None:
        """Let go: at once, and of the connection too unless the body was read to its end."""
        self._deadlines.stop()
        self._response.close()

    def _look(self) -> None:
        """Fail when the framing is broken: aiohttp closes the connection then, and leaves the reader waiting."""
        connection, content = self._response.connection, self._response.content
        if connection and connection.closed and not content.is_eof() and not content.exception():
            self._fail(UpstreamBroken(INVALID))

    def _fail(self, failure: UpstreamError) -> None:
        self._failure = failure
        self._response.close()  # wakes the reader
