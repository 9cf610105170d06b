"""The proxy, served over real sockets in the loop of the test, in front of a scripted backend."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from pydantic_settings import PydanticBaseSettingsSource

from ollama_openai_proxy.main import create_app
from ollama_openai_proxy.serve.server import serving
from ollama_openai_proxy.settings import Settings
from support.rawclient import RawClient, Response
from support.scripted import Upstream
from support.waiting import eventually, no_descriptors_left, no_errors, no_tasks_left

KEY = "test-key-0123456789"
PROMPT = "canary-of-all-prompts"  # what no log may hold, in the whole run
HELLO = [{"role": "user", "content": f"Hello {PROMPT}"}]


class SealedSettings(Settings):
    """Settings that come from their arguments alone: nothing of the machine's environment or files."""

    @classmethod
    def settings_customise_sources(cls, *_args: Any, **sources: Any) -> tuple[PydanticBaseSettingsSource, ...]:
        return (sources["init_settings"],)


def sealed(**given: Any) -> Settings:
    """Return settings with these values, and defaults for the rest."""
    return SealedSettings(**given)


@asynccontextmanager
async def running_proxy(base_url: str, **settings: Any) -> AsyncIterator[str]:
    """Serve the proxy on a port of its own; yield its URL."""
    given = {"openai_api_base_url": base_url, "openai_api_key": KEY, **settings}
    loaded = sealed(**given)
    app = create_app(loaded)
    async with serving(app, app.state.lifecycle, limits=loaded.client_limits) as url:
        yield url


class Proxy:
    """A proxy and the backend behind it."""

    def __init__(self, url: str, upstream: Upstream) -> None:
        self.url = url
        self.upstream = upstream

    def client(self, receive_buffer: int | None = None) -> RawClient:
        return RawClient(self.url, receive_buffer)

    async def ask(self, method: str, path: str, body: object = None, *headers: str) -> Response:
        """Send a request on a connection of its own and return the response."""
        async with self.client() as client:
            await client.ask(method, path, body, *headers)
            return await client.response(to_head=method == "HEAD")

    async def chat(self, model: str = "m", **fields: object) -> Response:
        """Return the response to a chat, streamed unless the fields say otherwise."""
        return await self.ask("POST", "/api/chat", chat(model, **fields))


def chat(model: str = "m", **fields: object) -> dict[str, object]:
    """Return the body of a chat request."""
    return {"model": model, "messages": HELLO, **fields}


@asynccontextmanager
async def proxied(**settings: Any) -> AsyncIterator[Proxy]:
    """Serve the proxy in front of a scripted backend, and check that the block leaves nothing behind.

    That is: no task, no call that the backend still answers, no error in the log; and once the
    proxy has stopped no connection to the backend, and no file or socket.
    """
    async with no_descriptors_left(), Upstream() as upstream:
        with no_errors():
            async with running_proxy(upstream.url, **settings) as url:
                proxy = Proxy(url, upstream)
                await proxy.ask("GET", "/api/tags")  # the first list of models is there
                async with no_tasks_left(lambda: upstream.tasks, lambda: upstream.busy):
                    yield proxy
            await eventually(lambda: not upstream.connections)
