"""The process that serves: the application, its server, and what runs beside them."""

from __future__ import annotations

import argparse
import asyncio
import gc
import logging
import os
import socket
import sys
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

import uvloop
from starlette.types import ASGIApp

from ollama_openai_proxy import __version__
from ollama_openai_proxy.main import Process, create_app, create_hosts
from ollama_openai_proxy.observe.logs import Logs
from ollama_openai_proxy.observe.memory import Memory
from ollama_openai_proxy.observe.tracing import create_tracer
from ollama_openai_proxy.serve.catalog import Catalog
from ollama_openai_proxy.serve.middleware import OriginGuard
from ollama_openai_proxy.serve.operations import MetricsPage
from ollama_openai_proxy.serve.room import Room
from ollama_openai_proxy.serve.server import Drain, Server, serving
from ollama_openai_proxy.settings import Settings
from ollama_openai_proxy.translate.ollama.catalog import capabilities

FAILED = 1

_FLUSH_SECONDS = 1.0
# After so many new objects there is a look for garbage among them, and after more than one such look also among those
# that the looks left. Requests leave no cycles: most of what is found is in use, and to look at it is in vain. Python
# 3.13 looks after 2,000 and after ten looks: four times as often, through as many at most (12 x 2,000; 3 x 8,000).
_NEW_OBJECTS, _LOOKS = 8_000, 1
_NO_NEWS = (
    "ASGI callable returned without completing response",
    "Unsupported upgrade request",
    "No supported WebSocket library detected",
)
_HOW_TO_TRY = """
Listening on {url}. Try it:

  curl {url}/api/chat -d '{{"model": "{model}", "messages": [{{"role": "user", "content": "Hello"}}]}}'

or in {python}:

  import ollama
  client = ollama.Client("{url}")
  print(client.chat("{model}", [{{"role": "user", "content": "Hello"}}]).message.content)
"""


def run(
    loaded: Settings,
    options: argparse.Namespace,
    listeners: list[socket.socket],
    workers_directory: Path | None,
    lines: Logs,
) -> int:
    """Serve until a signal ends it, and return the exit status."""
    tracer = create_tracer(
        os.environ,
        version=__version__,
        upstream_host=urlsplit(loaded.base_url).hostname or "",
        environment=loaded.env,
    )
    memory = Memory()
    process = Process(tracer, workers_directory, lambda: lines.dropped, memory.share)
    return uvloop.run(_to_the_end(_run(loaded, options, listeners, process, memory), lines))


async def _to_the_end(running: Coroutine[None, None, int], lines: Logs) -> int:
    """Leave the process as soon as all is done.

    To close the loop would be to wait for its threads, and one of them may look up a name for minutes.
    """
    status = await running
    lines.close(_FLUSH_SECONDS)
    if sys.stdout:  # it may have been closed before we began
        sys.stdout.flush()
    os._exit(status)


async def _run(
    loaded: Settings, options: argparse.Namespace, listeners: list[socket.socket], process: Process, memory: Memory
) -> int:
    listener, *others = listeners
    logging.getLogger("uvicorn.error").addFilter(_is_news)
    async with AsyncExitStack() as stack:
        if options.demo:
            from ollama_openai_proxy import demo  # noqa: PLC0415  # for those who have no backend

            url = await stack.enter_async_context(serving(demo.create_demo(rate=options.rate)))
            ours = {"openai_api_base_url": f"{url}/v1", "openai_api_key": None, "upstream_proxy_from_env": False}
            loaded = loaded.model_copy(update=ours)
        app = create_app(loaded, process)
        for other in others:
            page = OriginGuard(MetricsPage(app.state.metrics), origins=loaded.origins, hosts=create_hosts(loaded))
            await stack.enter_async_context(serving(page, listener=other, limits=loaded.client_limits))
        supervised = options.slot is not None
        drain = Drain(loaded.drain_delay, loaded.drain_timeout)
        served = _with_room(app, memory, loaded)
        server = Server(served, app.state.lifecycle, drain, loaded.client_limits, supervised=supervised)
        if supervised:
            stack.callback(_follow_parent(server.drain))
        if options.tell and not options.slot:
            telling = asyncio.create_task(_tell(server, app.state.catalog, listener))
            stack.callback(telling.cancel)
        _collect_what_comes()
        await server.serve(sockets=[listener])
        return 0 if server.started else FAILED


def _with_room(app: ASGIApp, memory: Memory, loaded: Settings) -> ASGIApp:
    """Let the application read no body that there is no memory for, unless a setting says otherwise."""
    percent = loaded.memory_limit_percent
    return Room(app, partial(memory.left, percent / 100), loaded.max_body_size) if percent else app


def _collect_what_comes() -> None:
    """Look for garbage again, after a start without (__main__.py), but not in what the start has made.

    That stays, and to look through all of it would hold up the streams.
    """
    gc.freeze()
    gc.set_threshold(_NEW_OBJECTS, _LOOKS)


def _follow_parent(stop: Callable[[], None]) -> Callable[[], object]:
    """Call `stop` when the supervisor has ended: standard input ends with it. Return what undoes this."""
    loop, number = asyncio.get_running_loop(), sys.stdin.fileno()

    def ended() -> None:
        if not os.read(number, 1):
            loop.remove_reader(number)
            stop()

    loop.add_reader(number, ended)
    return lambda: loop.remove_reader(number)


async def _tell(server: Server, catalog: Catalog, listener: socket.socket) -> None:
    await server.listening.wait()
    names = [model.name for model in await catalog.models() if "completion" in capabilities(model)]
    host, port = listener.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "127.0.0.1"}.get(host, host)  # noqa: S104  # listening on all, reached on one
    url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    python = sys.executable if find_spec("ollama") else "Python, after `pip install ollama`"
    print(_HOW_TO_TRY.format(url=url, model=names[0] if names else "MODEL", python=python), flush=True)


def _is_news(line: logging.LogRecord) -> bool:
    """Whether uvicorn says what nothing else does.

    A client can ask for an upgrade as often as it likes. An answer that was broken off has a line of its own; in the
    embedded backend it is on purpose.
    """
    return not line.getMessage().startswith(_NO_NEWS)
