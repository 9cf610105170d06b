"""Asks a proxy by its name until SIGTERM, runs inside a container: swarm_client.py NAME. Prints what came of it."""

from __future__ import annotations

import http.client
import json
import random
import signal
import socket
import sys
import threading

PORT = 11434
over = threading.Event()


def once(name: str, stream: bool) -> str:
    """Ask any of the name's addresses, on a new connection, and return what was wrong with the answer, or nothing."""
    address = random.choice(socket.getaddrinfo(name, PORT, socket.AF_INET, socket.SOCK_STREAM))[4]  # noqa: S311  # no secret
    connection = http.client.HTTPConnection(str(address[0]), PORT, timeout=30)
    try:
        body = {"model": "demo", "messages": [{"role": "user", "content": "Hello there"}], "stream": stream}
        connection.request("POST", "/api/chat", json.dumps(body))
        response = connection.getresponse()
        lines = response.read().splitlines()
    except (OSError, http.client.HTTPException) as error:
        return repr(error)
    finally:
        connection.close()
    if response.status != 200:
        return f"{response.status}"
    return "" if lines and json.loads(lines[-1]).get("done") is True else "not done"


def ask(name: str, stream: bool, results: list[str]) -> None:
    while not over.wait(0.1):
        try:
            results.append(once(name, stream))
        except socket.gaierror as error:
            results.append(repr(error))


def main() -> None:
    signal.signal(signal.SIGTERM, lambda *_: over.set())
    results: list[str] = []
    threads = [threading.Thread(target=ask, args=(sys.argv[1], number % 2 == 0, results)) for number in range(4)]
    for thread in threads:
        thread.start()
    over.wait()
    for thread in threads:
        thread.join()
    failed = [result for result in results if result]
    print(json.dumps({"asked": len(results), "failed": failed[:20]}))  # noqa: T201  # what it is for


if __name__ == "__main__":
    main()
