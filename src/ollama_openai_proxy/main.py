"""The application: the one place that knows all parts."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit

from fastapi import FastAPI
from starlette.exceptions import HTTPException

from ollama_openai_proxy import __version__
from ollama_openai_proxy.deadlines import Timeouts
from ollama_openai_proxy.errors import ProxyError
from ollama_openai_proxy.serve import ollama, operations
from ollama_openai_proxy.serve.catalog import Catalog
from ollama_openai_proxy.serve.loaded import LoadedModels
from ollama_openai_proxy.serve.middleware import ExchangeLog, OriginGuard
from ollama_openai_proxy.settings import Settings
from ollama_openai_proxy.upstream import Upstream


def create_upstream(settings: Settings) -> Upstream:
    """Return the backend that the settings name."""
    timeouts = Timeouts(
        connect=settings.connect_timeout,
        first_byte=settings.first_byte_timeout,
        idle=settings.idle_timeout,
        whole=settings.request_timeout,
        stream=settings.stream_timeout,
    )
    agent = f"ollama-openai-proxy/{__version__}"
    return Upstream(settings.base_url, settings.api_key, timeouts, user_agent=agent)


def create_catalog(settings: Settings, upstream: Upstream) -> Catalog:
    """Return the backend's models; nothing is fetched yet."""
    return Catalog(
        upstream,
        urlsplit(settings.base_url).hostname or "",
        profile=settings.upstream_profile,
        refresh=settings.models_refresh,
        forward_unknown=settings.forward_unknown_models,
    )


def create_app(settings: Settings) -> FastAPI:
    """Return the application for these settings."""
    upstream = create_upstream(settings)
    catalog = create_catalog(settings, upstream)
    loaded = LoadedModels(settings.keep_alive, time.monotonic)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        async with upstream:
            refreshing = asyncio.create_task(catalog.run())
            try:
                yield
            finally:
                refreshing.cancel()
                with suppress(asyncio.CancelledError):
                    await refreshing

    app = FastAPI(lifespan=lifespan, openapi_url=None, redirect_slashes=False)
    api = ollama.OllamaApi(upstream, catalog, loaded, max_body=settings.max_body_size, version=settings.ollama_version)
    app.state.catalog = catalog
    api.register(app)
    operations.register(app)
    app.add_exception_handler(ProxyError, ollama.on_error)
    app.add_exception_handler(Exception, ollama.on_crash)
    app.add_exception_handler(HTTPException, operations.on_http_error)
    app.add_middleware(OriginGuard, origins=settings.origins, check_host=settings.is_loopback)
    app.add_middleware(ExchangeLog)
    return app
