"""What the backend answers, as it arrives."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial

import aiohttp

from ollama_openai_proxy.deadlines import Deadlines, Progress
from ollama_openai_proxy.errors import UpstreamBroken, UpstreamError
from ollama_openai_proxy.upstream.errors import translated
from ollama_openai_proxy.upstream.inflate import Inflated, is_packed

Read = Callable[[], Awaitable[bytes]]

TOO_LARGE = "the upstream's response is too large"
# The most bytes of one read. Of tiny events they are 20 ms of work.
MAX_READ = 64 * 1024
_DRAIN_SECONDS = 0.5


def reader(response: aiohttp.ClientResponse, read: Read, again: Callable[[], None] = lambda: None) -> Read:
    """Return what reads the body by `read`, and unpacks it if it is packed. Raises UpstreamBroken if it can't.

    `again` is called before each further read that one read takes.
    """
    encoding = ", ".join(response.headers.getall("Content-Encoding", ())).strip().lower()
    return Inflated(read, again, encoding).read if is_packed(encoding) else read


class Reply:
    """The backend's answer to a call: its status was 2xx, its body is still to come."""

    def __init__(self, response: aiohttp.ClientResponse, deadlines: Deadlines, limit: int) -> None:
        """`limit`: the most bytes that are read of it. Raises UpstreamBroken for an encoding that can't be read."""
        self.content_type = response.headers.get("Content-Type", "")
        self._response = response
        self._deadlines = deadlines
        self._left = limit
        self._read_any: Read = partial(response.content.read, MAX_READ)
        if "Content-Encoding" in response.headers:
            try:
                self._read_any = reader(response, self._read_packed, deadlines.wait)
            except UpstreamBroken:
                response.close()
                raise
        self._failure: UpstreamError | None = None
        deadlines.watch(self._fail)

    async def read(self) -> bytes:
        """Return the next bytes, at most MAX_READ, b"" at the end. Raises UpstreamError, after what came before."""
        self._deadlines.wait()
        try:
            read = await self._read_any()
        except aiohttp.ClientError as error:
            read = self._rest(error)
        finally:
            self._deadlines.stop_waiting()
        self._left -= len(read)
        if self._left < 0:
            raise UpstreamBroken(TOO_LARGE, outcome="too_large")
        return read

    def begin(self) -> None:
        """Tell that the answer has begun. Until then `first_byte` limits, whatever else was read."""
        self._deadlines.begin()

    def follow(self, progress: Progress) -> None:
        """Let the reply fail, too, when bytes come but `progress` tells of none."""
        self._deadlines.follow(progress)

    async def drain(self) -> None:
        """Read what trails after the answer, briefly, so that the connection can be used again."""
        try:
            async with asyncio.timeout(_DRAIN_SECONDS):
                while await self._read_any():
                    pass
        except (aiohttp.ClientError, UpstreamError, TimeoutError):
            self.close()

    def close(self) -> None:
        """Let go: at once, and of the connection too unless the body was read to its end."""
        self._deadlines.stop()
        self._response.close()

    async def _read_packed(self) -> bytes:
        try:
            return await self._response.content.read(MAX_READ)
        except aiohttp.ClientError as error:
            return self._rest(error)

    def _rest(self, error: aiohttp.ClientError) -> bytes:
        """Return what had come before the error, which aiohttp would drop with it; then raise the error."""
        content = self._response.content
        content.set_exception(None)  # type: ignore[arg-type]  # its reader of what is there refuses while there is one
        rest = content.read_nowait(MAX_READ)
        content.set_exception(error)
        if not rest and not content.is_eof():
            raise self._failure or translated(error) from None
        return rest

    def _fail(self, failure: UpstreamError) -> None:
        self._failure = failure
        self._response.close()  # wakes the reader
