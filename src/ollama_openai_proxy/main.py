"""The application: the one place that knows all parts."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from starlette.exceptions import HTTPException
from starlette.routing import BaseRoute
from starlette.types import ASGIApp

from ollama_openai_proxy import __version__
from ollama_openai_proxy.call import Watcher
from ollama_openai_proxy.errors import ProxyError
from ollama_openai_proxy.observe import memory
from ollama_openai_proxy.observe.metrics import Metrics
from ollama_openai_proxy.observe.pulse import Pulse
from ollama_openai_proxy.observe.tracing import PassedOn, Tracer
from ollama_openai_proxy.serve import ollama
from ollama_openai_proxy.serve.admission import Admission
from ollama_openai_proxy.serve.aliases import Aliases
from ollama_openai_proxy.serve.api_docs import ApiDocs
from ollama_openai_proxy.serve.application import Application, Direct
from ollama_openai_proxy.serve.callers import Callers
from ollama_openai_proxy.serve.catalog import Catalog
from ollama_openai_proxy.serve.handlers import Services
from ollama_openai_proxy.serve.health import UpstreamHealth
from ollama_openai_proxy.serve.hosts import Hosts
from ollama_openai_proxy.serve.keys import KeyGuard
from ollama_openai_proxy.serve.lifecycle import Lifecycle
from ollama_openai_proxy.serve.loaded import LoadedModels
from ollama_openai_proxy.serve.middleware import OriginGuard
from ollama_openai_proxy.serve.operations import MetricsPage, Operations
from ollama_openai_proxy.serve.recorder import Observers, Recorder
from ollama_openai_proxy.serve.routing import LoopGuard, Redirects, on_http_error
from ollama_openai_proxy.settings import Settings
from ollama_openai_proxy.upstream.client import Upstream

_AGENT = "ollama-openai-proxy/"
_FLUSH_SECONDS = 2.0  # what spans may take to leave, at the end


class Process(NamedTuple):
    """What an application has of the process that it runs in: who takes its spans, where the workers
    share their metrics and aliases if there are several, how many log lines were dropped, and which
    share of its memory limit it uses."""

    tracer: Tracer = PassedOn()  # it has no state
    workers_directory: Path | None = None
    lines_dropped: Callable[[], int] = int
    memory_used: Callable[[], float] = float


def create_upstream(settings: Settings, watcher: Watcher | None = None) -> Upstream:
    """Return the backend that the settings name."""
    return Upstream(
        settings.base_url,
        settings.api_key,
        settings.timeouts,
        settings.upstream_limits,
        user_agent=f"{_AGENT}{__version__}",
        watcher=watcher,
        egress=settings.egress,
    )


def create_catalog(settings: Settings, upstream: Upstream, aliases: Aliases | None = None) -> Catalog:
    """Return the backend's models; nothing is fetched yet."""
    return Catalog(
        upstream,
        urlsplit(settings.base_url).hostname or "",
        aliases,
        models_file=settings.models,
        profile=settings.upstream_profile,
        refresh=settings.models_refresh,
        forward_unknown=settings.forward_unknown_models,
    )


def create_hosts(settings: Settings) -> Hosts:
    """Return the rule on the names that the proxy may be asked under."""
    return Hosts(settings.host, loopback=settings.is_loopback, allowed=settings.allowed)


def create_app(settings: Settings, process: Process | None = None) -> Application:
    """Return the application for these settings.

    Its state holds the `catalog`, the `lifecycle`, which its server moves on, and the `metrics`.
    """
    process = process or Process()
    metrics = Metrics(version=__version__, workers_directory=process.workers_directory)
    pulse = Pulse(metrics)
    health = UpstreamHealth(Upstream.name, metrics, decides_readiness=settings.ready_needs_upstream)
    upstream = create_upstream(settings, health)
    aliases = Aliases(settings.data_dir or process.workers_directory)
    catalog = create_catalog(settings, upstream, aliases)

    loaded = LoadedModels(settings.keep_alive, time.monotonic)
    lifecycle = Lifecycle(metrics)
    admission = Admission(settings.admission_limits, lifecycle, metrics, Callers(settings.trusted))
    limits = (settings.body_limits, settings.max_event_size)
    services = Services(upstream, catalog, aliases, loaded, pulse, admission, *limits)
    app = _application(partial(_lifespan, services, process))
    app.state.catalog, app.state.metrics, app.state.lifecycle = catalog, metrics, lifecycle
    routes = ollama.routes(
        services,
        version=settings.ollama_version,
        context_length=settings.context_length,
        management=settings.management_enabled,
    )
    ollama.register(app, routes)
    _add_operations(app, settings, health)
    app.add_exception_handler(ProxyError, ollama.on_error)
    app.add_exception_handler(HTTPException, on_http_error)
    app.add_exception_handler(Exception, ollama.on_mistake)
    observers = Observers(app.state.lifecycle, metrics, process.tracer)
    app.edge = Recorder(
        _guarded(Direct(app.routed, routes, ollama.on_error), app.routes, settings),
        observers=observers,
        render=ollama.render,
        tell_added=settings.added_time_header,
    )
    return app


def _guarded(app: ASGIApp, routes: Sequence[BaseRoute], settings: Settings) -> ASGIApp:
    """Return the application with what stands between a request and its routes; what is added last is asked first."""
    keys = settings.client_keys
    if keys:  # then nobody else learns which paths there are
        app = Redirects(app, routes=routes)
        app = KeyGuard(app, keys=keys, render=ollama.render)
    app = OriginGuard(app, origins=settings.origins, hosts=create_hosts(settings))
    if not keys:
        app = Redirects(app, routes=routes)
    return LoopGuard(app, agent=_AGENT, render=ollama.render)


def _application(lifespan: Callable[[Application], AbstractAsyncContextManager[None]]) -> Application:
    """Return an application without routes."""
    return Application(
        lifespan=lifespan,
        openapi_url=None,
        redirect_slashes=False,
        # It has traces of its own, with what clients sent in them; the process's tracer is to be the only one.
        telemetry={"auto_configure": False, "tracing": False, "metrics": False, "logs": False},
    )


@asynccontextmanager
async def _lifespan(services: Services, process: Process, app: Application) -> AsyncIterator[None]:
    """Open what the handlers work with, and close it at the end."""
    async with AsyncExitStack() as stack:
        stack.push_async_callback(asyncio.to_thread, process.tracer.close, _FLUSH_SECONDS)
        await stack.enter_async_context(services.upstream)
        beating = services.pulse.beat(lambda: app.state.lifecycle.in_flight, process.lines_dropped)
        looking = memory.watch(process.memory_used, services.admission.memory_used)
        for work in (services.models.run(), beating, looking):
            stack.push_async_callback(_cancel, asyncio.create_task(work))
        yield


def _add_operations(app: Application, settings: Settings, health: UpstreamHealth) -> None:
    about = {"version": __version__, "environment": settings.env}
    needs = settings.ready_needs_upstream
    terse = bool(settings.client_keys)
    Operations(app.state.lifecycle, health, about, ready_needs_upstream=needs, terse=terse).register(app)
    if settings.metrics_enabled and settings.metrics_port is None:
        MetricsPage(app.state.metrics).register(app)
    if settings.api_docs:
        ApiDocs(app, __version__)


async def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
