"""What an image costs: its start, its memory, its health check, and the time that it adds to a request.

    python benchmarks/container.py [IMAGE] [--starts 20] [--requests 300] [--max-added-ms 100] [--max-start 3]

The container runs as in production: a root that can't be written, no capabilities, 256 MB and one core. The time added
is the difference between requests through it and requests to the backend itself, in turn. Where a `--max` is exceeded
the exit status is 1. Needs Docker (ENGINE names another client) and nothing else.
"""

from __future__ import annotations

import argparse
import http.client
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

ENGINE = os.environ.get("ENGINE", "docker")
UPSTREAM = Path(__file__).resolve().parent / "upstream.py"
LIMITS = ("--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges", "--memory=256m", "--cpus=1")
PORT, BACKEND_PORT = 11434, 9000
NOWHERE = "OPENAI_API_BASE_URL=http://127.0.0.1:9/v1"  # a start does not wait for the backend
BODY = b'{"model":"bench","messages":[{"role":"user","content":"Hello"}],"stream":%s}'
# Each probe is a process of its own, as the engine runs it; a driver inside counts what its children took.
PROBES = """
import os, resource, subprocess
for _ in range(50):
    assert subprocess.run(["python", "-I", "-S", "/app/probe.pyc"]).returncode == 0
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print((used.ru_utime + used.ru_stime) / 50 * 1000)
"""
# As the kernel counts the process: with the libraries that it has mapped, which take no memory of their own when used
# by others too, and which the engine's figure leaves out.
RESIDENT = "print(next(line for line in open('/proc/1/status') if line.startswith('VmRSS')).split()[1])"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("image", nargs="?", default="ollama-openai-proxy:prod")
    parser.add_argument("--starts", type=int, default=20)
    parser.add_argument("--requests", type=int, default=300)
    parser.add_argument("--max-added-ms", type=float, default=float("inf"))
    parser.add_argument("--max-start", type=float, default=float("inf"), help="seconds")
    options = parser.parse_args()
    starts = [start(options.image) for _ in range(options.starts)]
    tell("create to ready, s", starts, 2)
    with backend(options.image) as place, proxy(options.image, place) as container:
        used = docker("stats", "--no-stream", "--format={{.MemUsage}}", container).partition(" / ")[0]
        print(f"memory when idle            {used}, resident {int(python(container, RESIDENT)) / 1024:.1f}MiB")
        print(f"health check, ms of CPU     {float(python(container, PROBES)):.1f}")
        whole = added(place, options.requests, BODY % b"false", through_end=True)
        first = added(place, options.requests, BODY % b"true", through_end=False)
        tell("added, not streamed, ms", whole, 2)
        tell("added to first chunk, ms", first, 2)
    too_much = max(statistics.median(whole), statistics.median(first)) > options.max_added_ms
    too_slow = statistics.median(starts) > options.max_start
    if too_much or too_slow:
        print("FAIL  more than was asked for", file=sys.stderr)
    return int(too_much or too_slow)


def tell(name: str, values: list[float], digits: int) -> None:
    low, high = statistics.median(values), sorted(values)[int(len(values) * 0.95)] if len(values) > 1 else values[0]
    print(f"{name:28}p50 {low:.{digits}f}  p95 {high:.{digits}f}", flush=True)


def start(image: str) -> float:
    """Return the seconds from the creation of a container until it is ready."""
    began = time.perf_counter()
    container = docker("run", "--detach", "--publish=127.0.0.1::11434", f"--env={NOWHERE}", *LIMITS, image)
    try:
        wait(published(container, PORT))
        return time.perf_counter() - began
    finally:
        docker("rm", "--force", container)


@contextmanager
def backend(image: str) -> Iterator[str]:
    """Run a backend that costs nothing, in a container whose network the proxy then shares."""
    script = f"--volume={UPSTREAM}:/upstream.py:ro"
    ports = (f"--publish=127.0.0.1::{PORT}", f"--publish=127.0.0.1::{BACKEND_PORT}")
    command = ("/upstream.py", str(BACKEND_PORT), "20", "0", "0.0.0.0")  # noqa: S104  # reached from the host
    container = docker("run", "--detach", script, *ports, "--entrypoint=/app/bin/python", image, *command)
    try:
        yield container
    finally:
        docker("rm", "--force", container)


@contextmanager
def proxy(image: str, place: str) -> Iterator[str]:
    url = f"OPENAI_API_BASE_URL=http://127.0.0.1:{BACKEND_PORT}/v1"
    container = docker("run", "--detach", f"--network=container:{place}", f"--env={url}", *LIMITS, image)
    try:
        wait(published(place, PORT))
        yield container
    finally:
        docker("rm", "--force", container)


def added(place: str, requests: int, body: bytes, *, through_end: bool) -> list[float]:
    """Return the milliseconds that each request took more than one to the backend, which was made just before."""
    ways = ((published(place, BACKEND_PORT), "/v1/chat/completions"), (published(place, PORT), "/api/chat"))
    connections = [(http.client.HTTPConnection("127.0.0.1", port, timeout=30), path) for port, path in ways]

    def once(connection: http.client.HTTPConnection, path: str) -> float:
        began = time.perf_counter()
        connection.request("POST", path, body, {"Content-Type": "application/json"})
        response = connection.getresponse()
        read: Callable[[], bytes] = response.read if through_end else response.readline
        read()
        taken = time.perf_counter() - began
        response.read()
        return taken * 1000

    plain, proxied = zip(*([once(*way) for way in connections] for _ in range(requests)), strict=True)
    return [more - less for more, less in zip(proxied, plain, strict=True)]


def wait(port: int) -> None:
    deadline = time.monotonic() + 60
    while not answers(port):
        if time.monotonic() > deadline:
            sys.exit("the proxy did not get ready within 60 s")
        time.sleep(0.005)


def answers(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/ready")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):  # the port is published before anybody listens
        return False
    finally:
        connection.close()


def published(container: str, port: int) -> int:
    return int(docker("port", container, str(port)).splitlines()[0].rpartition(":")[2])


def python(container: str, code: str) -> str:
    return docker("exec", container, "/app/bin/python", "-c", code)


def docker(*arguments: str) -> str:
    done = subprocess.run([ENGINE, *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{ENGINE} {arguments[0]}: {done.stderr.strip()}")
    return done.stdout.strip()


if __name__ == "__main__":
    sys.exit(main())
