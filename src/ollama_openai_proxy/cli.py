"""The command: `serve`, `check`, `probe`."""

from __future__ import annotations

import argparse
import asyncio
import logging
import socket
import sys
from contextlib import AsyncExitStack
from importlib.util import find_spec

import uvloop

from ollama_openai_proxy import demo, settings
from ollama_openai_proxy.check import check
from ollama_openai_proxy.main import create_app
from ollama_openai_proxy.observe import logs
from ollama_openai_proxy.probe import probe
from ollama_openai_proxy.serve.catalog import Catalog
from ollama_openai_proxy.serve.server import Server, listen, serving
from ollama_openai_proxy.translate.ollama.catalog import capabilities

FAILED = 1
MISUSED = 2  # the command or the settings can't be understood

_NO_BACKEND = "OPENAI_API_BASE_URL is not set"
_DEMO = f"{_NO_BACKEND}: starting with the embedded demo backend"
_HOW_TO_TRY = """
Listening on {url}. Try it:

  curl {url}/api/chat -d '{{"model": "{model}", "messages": [{{"role": "user", "content": "Hello"}}]}}'

or in {python}:

  import ollama
  client = ollama.Client("{url}")
  print(client.chat("{model}", [{{"role": "user", "content": "Hello"}}]).message.content)
"""


def main(arguments: list[str] | None = None) -> int:
    """Run the command and return its exit status."""
    options = _parser().parse_args(arguments)
    try:
        loaded = settings.load()
    except settings.SettingsError as error:
        return _fail(str(error), MISUSED)
    if options.command == "probe":
        return probe(loaded.host, loaded.port)
    if options.command == "check":
        return uvloop.run(check(loaded, options.model))
    return _serve(loaded, options)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="ollama-openai-proxy",
        description="An Ollama server with any OpenAI-compatible backend behind it. "
        "Settings come from the environment and from .env.",
    )
    commands = parser.add_subparsers(dest="command", required=True)
    serve = commands.add_parser("serve", help="serve Ollama's API")
    serve.add_argument("--demo", action="store_true", help="use the embedded backend: no key, no network, no model")
    serve.add_argument("--rate", type=float, default=50.0, help="its tokens per second, 0 for all at once (50)")
    serve.add_argument(
        "--try",
        dest="first_look",
        action="store_true",
        help="print how to try it, and use the embedded backend if no other is set",
    )
    checking = commands.add_parser("check", help="check the settings, the backend, its key, models and streaming")
    checking.add_argument("--model", help="the model to stream one token from; default: the first that chats")
    commands.add_parser("probe", help="exit with 0 if the proxy on this machine answers")
    return parser


def _serve(loaded: settings.Settings, options: argparse.Namespace) -> int:
    demo_rate = options.rate if options.demo else None
    if demo_rate is None and not loaded.base_url:
        if not options.first_look:
            return _fail(f"{_NO_BACKEND}: give the URL of a backend, or use `serve --demo`", MISUSED)
        print(_DEMO, flush=True)
        demo_rate = options.rate
    logs.configure(loaded.log_level)
    try:
        listener = listen(loaded.host, loaded.port)
    except OSError as error:
        return _fail(f"can't listen on {loaded.host}:{loaded.port}: {error.strerror or error}", FAILED)
    return uvloop.run(_run(loaded, listener, demo_rate, how_to_try=options.first_look))


async def _run(loaded: settings.Settings, listener: socket.socket, demo_rate: float | None, *, how_to_try: bool) -> int:
    """Serve until a signal ends it, with the embedded backend on a socket of its own if it is asked for."""
    async with AsyncExitStack() as stack:
        if demo_rate is not None:
            url = await stack.enter_async_context(serving(demo.create_demo(rate=demo_rate)))
            # Its failures are on purpose, and what uvicorn says of them is no news.
            logging.getLogger("uvicorn.error").addFilter(_is_not_about_demo)
            loaded = loaded.model_copy(update={"openai_api_base_url": f"{url}/v1", "openai_api_key": None})
        app = create_app(loaded)
        server = Server(app, shutdown_seconds=int(loaded.drain_timeout))
        if how_to_try:
            telling = asyncio.create_task(_tell(server, app.state.catalog, listener))
            stack.callback(telling.cancel)
        await server.serve(sockets=[listener])
        return 0 if server.started else FAILED


async def _tell(server: Server, catalog: Catalog, listener: socket.socket) -> None:
    await server.listening.wait()
    names = [model.name for model in await catalog.models() if "completion" in capabilities(model)]
    host, port = listener.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104  # listening on all, reached on one
    url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    python = sys.executable if find_spec("ollama") else "Python, after `pip install ollama`"
    print(_HOW_TO_TRY.format(url=url, model=names[0] if names else "MODEL", python=python), flush=True)


def _is_not_about_demo(line: logging.LogRecord) -> bool:
    return "ASGI callable returned without completing response" not in line.getMessage()


def _fail(message: str, status: int) -> int:
    print(f"ollama-openai-proxy: {message}", file=sys.stderr)
    return status
