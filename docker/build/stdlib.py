"""Compile those modules of the standard library that the proxy imports, and no other.

    stdlib.py TARGET

The base image carries none of the standard library's bytecode; without it each start compiles what it imports, which
takes longer than all the rest, and the whole of it would be three times as large. Which modules those are is seen, not
listed: the commands run for real, and what Python would have cached is what is compiled.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

from trees import compile_all, settle

STDLIB = Path(os.__file__).parent
COMMAND = ("/app/bin/python", "-m", "ollama_openai_proxy")
PORT = "18434"
URL = f"http://127.0.0.1:{PORT}"
# Traces go nowhere: what matters is that the exporter is imported.
TRACED = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", "OTEL_TRACES_EXPORTER": "otlp"}


def main(target: Path) -> None:
    with tempfile.TemporaryDirectory() as cache:
        environ = {"PATH": os.environ["PATH"], "PYTHONPYCACHEPREFIX": cache, "PROXY_PORT": PORT, "DRAIN_DELAY": "0"}
        use(environ)
        use({**environ, **TRACED, "WORKERS": "2", "LOG_FORMAT": "text"})
        subprocess.run([*COMMAND, "serve"], env=environ, capture_output=True, check=False)  # a start that fails
        found = sorted(Path(cache, STDLIB.relative_to("/")).rglob("*.pyc"))
        names = [Path("/", path.relative_to(cache).parent, path.name.partition(".")[0] + ".py") for path in found]
    sources = [name for name in names if STDLIB / "site-packages" not in name.parents]
    if len(sources) < 100:
        sys.exit(f"stdlib: only {len(sources)} modules were seen")
    count = compile_all(sources, root=target)
    settle(target)
    print(f"stdlib: {count} modules compiled")


def use(environ: dict[str, str]) -> None:
    """Start the proxy in front of its embedded backend, ask it once for each kind of thing, and stop it."""
    with subprocess.Popen([*COMMAND, "serve", "--demo", "--rate", "0"], env=environ) as process:
        try:
            wait(environ)
            for path in ("/health", "/metrics", "/api/tags", "/api/version", "/nothing"):
                ask(path)
            hello = {"model": "demo", "messages": [{"role": "user", "content": "Hello"}]}
            for more in ({}, {"stream": False}, {"messages": 1}):
                ask("/api/chat", {**hello, **more})
            ask("/api/embed", {"model": "demo-embed", "input": "Hello"})
            backend = {**environ, "OPENAI_API_BASE_URL": "http://127.0.0.1:9/v1"}
            subprocess.run([*COMMAND, "check"], env=backend, capture_output=True, check=False)
            process.send_signal(signal.SIGTERM)
            process.wait(30)
        finally:
            process.kill()
    if process.returncode:
        sys.exit(f"stdlib: the proxy ended with {process.returncode}")


def wait(environ: dict[str, str]) -> None:
    deadline = time.monotonic() + 60
    while subprocess.run([*COMMAND, "probe", "/ready"], env=environ, capture_output=True, check=False).returncode:
        if time.monotonic() > deadline:
            sys.exit("stdlib: the proxy did not get ready")
        time.sleep(0.1)


def ask(path: str, body: object = None) -> None:
    data = None if body is None else json.dumps(body).encode()
    try:
        with urllib.request.urlopen(URL + path, data, timeout=30) as response:
            response.read()
    except urllib.error.HTTPError as error:  # some are meant to fail
        error.read()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
