"""The proxy itself as one of those that are measured."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from benchmarks.bench.client import HOST
from benchmarks.bench.peers import Command, Peer
from benchmarks.bench.results import BEFORE, PROXY

SOURCE = Path(__file__).parents[2] / "src"
_DEFAULTS: Mapping[str, str] = {}
LOGGING = "proxy-logging"


def command(
    _: Path, port: int, upstream_port: int, scratch: Path, *, source: Path, settings: Mapping[str, str] = _DEFAULTS
) -> Command:
    """Return how to start a build of the proxy in front of the upstream."""
    environment = {
        "PYTHONPATH": str(source),
        "OPENAI_API_BASE_URL": f"http://{HOST}:{upstream_port}/v1",
        "PROXY_PORT": str(port),
        "LOG_LEVEL": "warning",  # the peers write no line for each request either
        **settings,
    }
    return Command([sys.executable, "-m", "ollama_openai_proxy", "serve"], environment, scratch)


def build(name: str, source: Path = SOURCE, settings: Mapping[str, str] = _DEFAULTS) -> Peer:
    """Return a build of the proxy as a peer, with settings other than those that are measured by default."""
    return Peer(
        name=name,
        front="ollama",
        version=lambda _: "",
        prepare=lambda _: None,
        start=partial(command, source=source, settings=settings),
    )


def builds(before: Path | None) -> tuple[Peer, ...]:
    """Return the proxy; and with it as it writes its log by default, or another build of it."""
    other = build(BEFORE, before.resolve()) if before else build(LOGGING, settings={"LOG_LEVEL": "info"})
    return (build(PROXY), other)
