"""What serving leaves to the collector: nothing. Cycles would cost each request more than their own making."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import pytest

from support.processes import free_port
from support.scripted import Send, Upstream

# A thread that asks some times, and then writes how many objects of the next requests only the collector could free.
COUNTED = """
import gc, json, os, signal, socket, sys, threading, time
PORT, STREAMED = int(os.environ["PROXY_PORT"]), sys.argv.pop()
BODY = b'{"model": "m", "messages": [{"role": "user", "content": "Hi"}], "stream": %s}' % STREAMED.encode()
HEAD = b"POST /api/chat HTTP/1.1\\r\\nHost: localhost\\r\\nConnection: close\\r\\nContent-Length: %d\\r\\n\\r\\n"
def ask():
    with socket.create_connection(("127.0.0.1", PORT), timeout=30) as connection:
        connection.sendall(HEAD % len(BODY) + BODY)
        reply = b""
        while read := connection.recv(65536):
            reply += read
    assert b" 200 " in reply and b'"done":true' in reply, reply
def count():
    while True:
        try:
            ask()
            break
        except ConnectionError:
            time.sleep(0.01)
    for _ in range(5):
        ask()
    gc.collect()
    gc.disable()
    for _ in range(50):
        ask()
    print("collected:", gc.collect(), flush=True)
    os.kill(os.getpid(), signal.SIGTERM)
threading.Thread(target=count, daemon=True).start()
from ollama_openai_proxy.__main__ import main
sys.exit(main())
"""
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s"
WHOLE = b'{"choices":[{"index":0,"message":{"content":"Hi"},"finish_reason":"stop"}],"usage":{"completion_tokens":1}}'
STREAM = (
    b'data: {"choices":[{"index":0,"delta":{"content":"Hi"}}]}\n\n'
    b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'
    b'data: {"choices":[],"usage":{"completion_tokens":1}}\n\ndata: [DONE]\n\n'
)


@pytest.mark.parametrize(
    ("streamed", "kind", "body"), [("true", b"text/event-stream", STREAM), ("false", b"application/json", WHOLE)]
)
async def test_a_request_leaves_no_garbage(tmp_path: Path, streamed: str, kind: bytes, body: bytes) -> None:
    """What fifty requests were made of is freed as they end: no cycle waits for the collector."""
    async with Upstream() as upstream:
        upstream.script("m", [Send(HEAD % (kind, len(body), body))])
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", COUNTED, "serve", streamed,
            cwd=tmp_path,
            env={
                "PATH": os.environ["PATH"],
                "OPENAI_API_BASE_URL": upstream.url,
                "PROXY_PORT": str(free_port()),
                "DRAIN_DELAY": "0",
                **({"PYTHONPATH": os.environ["PYTHONPATH"]} if "PYTHONPATH" in os.environ else {}),
            },
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        async with asyncio.timeout(60):
            written, _ = await process.communicate()
    collected = next(line for line in written.decode().splitlines() if line.startswith("collected:"))
    assert int(collected.removeprefix("collected:")) < 50, "each request leaves a cycle"
