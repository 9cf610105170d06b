"""A client of a scripted backend, without a proxy around it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from ollama_openai_proxy.call import Call
from ollama_openai_proxy.deadlines import Timeouts
from ollama_openai_proxy.limits import UpstreamLimits
from ollama_openai_proxy.upstream.client import Upstream
from support.scripted import Step
from support.scripted import Upstream as Backend

CALL = Call("/chat/completions", b'{"model":"m"}', "client-name", streamed=True)
WHOLE = CALL._replace(streamed=False)
TIMEOUTS = Timeouts(connect=5, first_byte=0.2, idle=0.2, whole=0.4)


@asynccontextmanager
async def opened(
    steps: Sequence[Step], timeouts: Timeouts = TIMEOUTS, limits: UpstreamLimits | None = None
) -> AsyncIterator[tuple[Upstream, Backend]]:
    """Yield a client, and the backend behind it that answers everything so."""
    async with Backend() as backend:
        backend.script("m", steps)
        backend.script("/v1/models", steps)
        async with Upstream(backend.url, "key", timeouts, limits, user_agent="agent/1") as upstream:
            yield upstream, backend
