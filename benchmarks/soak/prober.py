"""Asks for a page again and again, from a process that does nothing else, and prints how long each answer took.

    python -m benchmarks.soak.prober PORT PATH SECONDS_BETWEEN

It ends with its standard input, and then prints a list in JSON: seconds, null for what was no 200 within 10 s.
"""

from __future__ import annotations

import http.client
import json
import select
import sys
import time

_LONGEST = 10.0


def main() -> None:
    port, path, pause = int(sys.argv[1]), sys.argv[2], float(sys.argv[3])
    found = []
    while not select.select([sys.stdin], [], [], pause)[0]:
        began = time.monotonic()
        answered = _asked(port, path)
        found.append(time.monotonic() - began if answered else None)
    print(json.dumps(found))


def _asked(port: int, path: str) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_LONGEST)
    try:
        connection.request("GET", path)
        reply = connection.getresponse()
        reply.read()
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
    return reply.status == http.client.OK


if __name__ == "__main__":
    main()
