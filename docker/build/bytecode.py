"""Compile the modules that the proxy imports, of the standard library and of its dependencies, and no others.

    bytecode.py TARGET

The base image carries no bytecode of the standard library; without it each start compiles what it imports, which takes
longer than all the rest. All there could be would be three times as much as is used. Which modules are imported is
seen, not listed: the commands run for real, and what Python would have cached is compiled.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

from trees import compile_all, settle

STDLIB = Path(os.__file__).parent
PACKAGES = Path("/app") / STDLIB.relative_to("/usr/local") / "site-packages"
OWN = PACKAGES / "ollama_openai_proxy"  # compiled as a whole, in the layer that it is in
COMMAND = ("/app/bin/python", "-m", "ollama_openai_proxy")
# Traces go nowhere: what matters is that the exporter is imported.
TRACED = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}
NOWHERE = {"OPENAI_API_BASE_URL": "http://127.0.0.1:9/v1"}
HELLO = {"model": "demo", "messages": [{"role": "user", "content": "Hello"}]}
REQUESTS = (
    *(
        (path, None)
        for path in ("/", "/health", "/ready", "/metrics", "/api/tags", "/api/ps", "/api/version", "/nothing")
    ),
    ("/api/show", {"model": "demo"}),
    ("/api/chat", HELLO),
    ("/api/chat", {**HELLO, "stream": False}),
    ("/api/chat", {**HELLO, "messages": 1}),
    ("/api/chat", {**HELLO, "model": "missing"}),
    ("/api/generate", {"model": "demo", "prompt": "Hello"}),
    ("/api/embed", {"model": "demo-embed", "input": "Hello"}),
)


def main(target: Path) -> None:
    with tempfile.TemporaryDirectory() as cache:
        environ = {"PATH": os.environ["PATH"], "PYTHONPYCACHEPREFIX": cache, "DRAIN_DELAY": "0", "PROXY_PORT": free()}
        use(environ)
        use({**environ, **TRACED, "WORKERS": "2", "LOG_FORMAT": "text"})
        for command in (["serve"], ["check"], ["--help"]):  # the first is a start that fails
            more = NOWHERE if command == ["check"] else {}
            subprocess.run([*COMMAND, *command], env={**environ, **more}, capture_output=True, check=False)
        seen = [Path("/", path.relative_to(cache)) for path in sorted(Path(cache).rglob("*.pyc"))]
    sources = [path.parent / f"{path.name.partition('.')[0]}.py" for path in seen]
    wanted = [path for path in sources if {STDLIB, PACKAGES} & {*path.parents} and OWN not in path.parents]
    if len(wanted) < 300:
        sys.exit(f"bytecode: only {len(wanted)} modules were seen")
    count = compile_all(wanted, root=target)
    settle(target)
    print(f"bytecode: {count} modules compiled")


def free() -> str:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return str(listener.getsockname()[1])


def use(environ: dict[str, str]) -> None:
    """Start the proxy in front of its embedded backend, ask it for one of each kind of thing, and stop it."""
    with subprocess.Popen([*COMMAND, "serve", "--demo", "--rate", "0"], env=environ) as process:
        try:
            wait(process, environ)
            for path, body in REQUESTS:
                ask(f"http://127.0.0.1:{environ['PROXY_PORT']}{path}", body)
            process.send_signal(signal.SIGTERM)
            process.wait(60)
        finally:
            process.kill()
    if process.returncode:
        sys.exit(f"bytecode: the proxy ended with {process.returncode}")


def wait(process: subprocess.Popen[bytes], environ: dict[str, str]) -> None:
    deadline = time.monotonic() + 120
    while subprocess.run([*COMMAND, "probe", "/ready"], env=environ, capture_output=True, check=False).returncode:
        if process.poll() is not None or time.monotonic() > deadline:
            sys.exit("bytecode: the proxy did not get ready")
        time.sleep(0.1)


def ask(url: str, body: object) -> None:
    data = None if body is None else json.dumps(body).encode()
    try:
        with urllib.request.urlopen(url, data, timeout=30) as response:
            response.read()
    except urllib.error.HTTPError as error:  # some are meant to fail
        error.read()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
