"""The command: `serve`, `check`, `probe`."""

from __future__ import annotations

import argparse
import math
import os
import sys
from typing import NoReturn

from pydantic import BaseModel

from ollama_openai_proxy import settings
from ollama_openai_proxy.observe import logs
from ollama_openai_proxy.observe.log_text import is_wanted

MISUSED = 2  # the command or the settings can't be understood


def main(arguments: list[str] | None = None) -> int:
    """Run the command and return its exit status."""
    options = _parser().parse_args(arguments)
    try:
        loaded = settings.load()
    except settings.SettingsError as error:
        logs.fail(str(error), fmt="text" if options.command == "check" else _format())
        return MISUSED
    # FastAPI describes OpenAPI in models that nothing here uses; each is built when something does.
    BaseModel.model_config["defer_build"] = True
    # Each imports what it needs, and no more: the parent of workers is to stay small.
    if options.command == "check":
        from ollama_openai_proxy.check import run as check  # noqa: PLC0415  # see above

        return check(loaded, options.model)
    if options.slot is None:
        # Not ours: prometheus_client would take it for the directory of our workers as soon as it is imported.
        os.environ.pop("PROMETHEUS_MULTIPROC_DIR", None)
    from ollama_openai_proxy.run import serve  # noqa: PLC0415  # see above

    return serve(loaded, options)


class _Parser(argparse.ArgumentParser):
    """Says in one line what is wrong with a command."""

    def error(self, message: str) -> NoReturn:
        logs.fail(f"{message}; see {self.prog} --help", fmt=_format())
        raise SystemExit(MISUSED)


def _rate(text: str) -> float:
    rate = float(text)
    if not 0 <= rate < math.inf:
        raise ValueError
    return rate


def _format() -> logs.Format:
    return "text" if is_wanted(os.environ, sys.stderr) else "json"


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="ollama-openai-proxy",
        description="An Ollama server with any OpenAI-compatible backend behind it. "
        "Settings come from the environment and from .env.",
    )
    commands = parser.add_subparsers(dest="command", required=True)
    serve = commands.add_parser("serve", help="serve Ollama's API", allow_abbrev=False)
    serve.add_argument("--demo", action="store_true", help="use the embedded backend: no key, no network, no model")
    serve.add_argument("--rate", type=_rate, default=50.0, help="its tokens per second, 0 for all at once (50)")
    serve.add_argument("--workers", type=int, help="how many processes serve (WORKERS)")
    serve.add_argument(
        "--try",
        dest="first_look",
        action="store_true",
        help="print how to try it, and use the embedded backend if no other is set",
    )
    # What a worker is told by its supervisor: its place, and the sockets that it inherits.
    serve.add_argument("--slot", type=int, help=argparse.SUPPRESS)
    serve.add_argument("--fds", help=argparse.SUPPRESS)
    checking = commands.add_parser("check", help="check the settings, the backend, its key, models and streaming")
    checking.add_argument("--model", help="the model to stream one token from; default: the first that chats")
    probing = commands.add_parser("probe", help="exit with 0 if the proxy on this machine answers")
    probing.add_argument("path", nargs="?", help="what to ask for (/live)")
    return parser
