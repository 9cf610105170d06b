"""A container with little memory and little of a processor, under more than it can take."""

from __future__ import annotations

import json
import socket
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import httpx
import pytest

from support import engine

SMALL = (*engine.HARDENED, "--memory=128m", "--memory-swap=128m", "--cpus=0.25")
MIB = 2**20
# A backend that reads all it is sent, keeps none of it, and takes a moment for its answer.
BACKEND = """
import json
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

ANSWER = {"choices": [{"index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}]}

class Backend(BaseHTTPRequestHandler):
    def do_GET(self):
        self.reply({"object": "list", "data": [{"id": "demo"}]})

    def do_POST(self):
        left = int(self.headers["Content-Length"])
        while left:
            left -= len(self.rfile.read(min(left, 65536)))
        time.sleep(0.3)
        self.reply(ANSWER)

    def reply(self, value):
        body = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

ThreadingHTTPServer(("", 8000), Backend).serve_forever()
"""


@pytest.fixture
def proxy(prod: str) -> Iterator[engine.Container]:
    with engine.container(prod, "-c", BACKEND, options=("--entrypoint=python",)) as backend:
        address = engine.inspect(backend.id)["NetworkSettings"]["IPAddress"]
        with engine.container(prod, options=SMALL, OPENAI_API_BASE_URL=f"http://{address}:8000/v1") as proxy:
            proxy.wait_ready()
            yield proxy


def ask(url: str, size: int) -> int:
    """Send a chat of that size, all of it before the answer is read, and return the answer's status."""
    body = json.dumps({"model": "demo", "stream": False, "messages": [{"role": "user", "content": "x" * size}]})
    where = urlsplit(url)
    head = f"POST /api/chat HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n"
    with socket.create_connection((where.hostname, where.port), timeout=60) as client:
        client.sendall(head.encode() + body.encode())
        status = client.recv(12)
    return int(status[9:])


@pytest.mark.parametrize(("clients", "size"), [(16, 30 * MIB), (30, 8 * MIB)], ids=["largest", "large"])
def test_l3_j14_more_than_it_can_hold(proxy: engine.Container, clients: int, size: int) -> None:
    """L3, J14: with 128 MB, bodies of which several do not fit are 503 or served; it lives, and serves as before."""
    with ThreadPoolExecutor(clients) as threads:
        statuses = Counter(threads.map(ask, [proxy.url] * clients, [size] * clients))
    assert statuses.keys() <= {200, 503}
    assert statuses[503]
    state = engine.inspect(proxy.id)["State"]
    assert (state["Running"], state["OOMKilled"]) == (True, False)
    httpx.get(f"{proxy.url}/live", timeout=10).raise_for_status()
    assert ask(proxy.url, 10) == 200
