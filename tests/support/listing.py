"""Lists of models as backends answer them, and a catalog that is kept fresh from one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress

from ollama_openai_proxy.deadlines import Timeouts
from ollama_openai_proxy.serve.catalog import Catalog
from ollama_openai_proxy.upstream.client import Upstream
from support.replies import body
from support.scripted import Step
from support.scripted import Upstream as Backend

MODELS = "/v1/models"


def listed(*ids: str, **facts: object) -> Sequence[Step]:
    """The answer with these models (https://platform.openai.com/docs/api-reference/models/list)."""
    models = [{"id": name, "object": "model", **facts} for name in ids]
    return body({"object": "list", "data": models}, 200, "Content-Type: application/json", "Connection: close")


@asynccontextmanager
async def catalog_of(backend: Backend, *, refresh: float = 60.0, profile: str = "auto") -> AsyncIterator[Catalog]:
    """A catalog that is kept fresh."""
    async with Upstream(backend.url, "", Timeouts(), user_agent="test") as upstream:
        catalog = Catalog(upstream, "127.0.0.1", profile=profile, refresh=refresh)
        task = asyncio.create_task(catalog.run())
        try:
            yield catalog
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
