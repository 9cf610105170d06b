"""Guards of the proxy against its clients, and how to break each: what must fail then are the tests of its rows.

`scripts/mutants` breaks these and those of mutants_upstream.py one after the other, in a copy.
"""

from __future__ import annotations

from faults.mutant import Mutant

CLIENT = (
    Mutant(
        "a silent connection is waited for",
        "serve/connection.py",
        "write_timeout, self._on_stall)\n        self._arm_head()",
        "write_timeout, self._on_stall)",
        ("A1", "A2", "T1"),
    ),
    Mutant(
        "each byte buys a head more time",
        "serve/protocol.py",
        "        elif self._deadline is None or self._keeps:  # a head has begun",
        "        else:",
        ("A2",),
    ),
    Mutant(
        "heads of any size are read",
        "serve/protocol.py",
        "        elif self._seen > self._limits.header_size:",
        "        elif False:",
        ("A5", "T2"),
    ),
    Mutant(
        "any number of headers is read",
        "serve/protocol.py",
        "        if len(self.headers) >= self._max_headers:",
        "        if False:",
        ("A5",),
    ),
    Mutant(
        "URLs of any size are read",
        "serve/protocol.py",
        "        if len(self.url) > self._limits.url_size:",
        "        if False:",
        ("A6",),
    ),
    Mutant(
        "any transfer coding is taken",
        "serve/heads.py",
        'value == b"chunked" else UNKNOWN',
        "True else UNKNOWN",
        ("A7",),
    ),
    Mutant("any host is taken", "serve/heads.py", "None if is_host(value) else BAD_HOST", "None", ("A8",)),
    Mutant("CONNECT is a request", "serve/heads.py", 'if method == b"CONNECT":', "if False:", ("A18",)),
    Mutant(
        "HTTP/1.0 gets chunks",
        "serve/connection.py",
        'if cycle.scope["http_version"] == "1.0":',
        "if False:",
        ("A16", "T3"),
    ),
    Mutant(
        "the abort is dropped",
        "serve/stall.py",
        "            self._on_stall()\n            reset(self._transport)",
        "            self._on_stall()",
        ("C9", "T5"),
    ),
    Mutant(
        "no reset, only an end",
        "serve/stall.py",
        "        sock.setsockopt(socket.SOL_SOCKET",
        "        sock.getsockopt(0, 0) or (socket.SOL_SOCKET",
        ("C9", "T6"),
    ),
    Mutant(
        "a slow reader counts as a dead one",
        "serve/stall.py",
        "        if self._moved or left < self._left:",
        "        if False:",
        ("C10",),
    ),
    Mutant(
        "connections without end",
        "serve/connection.py",
        "        if len(self.connections) >= self._gate.connections:",
        "        if False:",
        ("A4", "C13"),
    ),
    Mutant(
        "bodies of any size are read",
        "serve/body.py",
        "    if before + len(part) > limits.size:",
        "    if False:",
        ("A14",),
    ),
    Mutant(
        "a body may take as long as it likes",
        "serve/body.py",
        "deadline.reschedule(min(now(), began + earned) + limits.timeout)",
        "deadline.reschedule(now() + limits.timeout)",
        ("A3",),
    ),
    Mutant(
        "nobody looks whether the client is there",
        "serve/exchange.py",
        "            self._client_left = True\n            self._task.cancel()",
        "            self._client_left = True",
        ("C1", "C2", "C3", "C4", "C5", "C6"),
    ),
    Mutant(
        "pages from elsewhere are served",
        "serve/middleware.py",
        "        if not self._origins.allows(origin):",
        "        if False:",
        ("A10",),
    ),
    Mutant(
        "any name is the proxy's",
        "serve/middleware.py",
        "        if not self._hosts.allows(host):",
        "        if False:",
        ("A9",),
    ),
    Mutant(
        "anybody may forward", "serve/callers.py", "if self._trusts(address) and (forwarded", "if (forwarded", ("A20",)
    ),
)
ACCESS = (
    Mutant("any key is a key", "serve/keys.py", "if any(matches) else None", "if matches else None", ("M1",)),
    Mutant("two keys are one", "serve/keys.py", "if len(given) != 1:", "if not given:", ("M1",)),
    Mutant(
        "keys are asked for by the name of the host",
        "serve/keys.py",
        'scope["path"] not in OPEN',
        'scope["path"] not in OPEN and dict(scope["headers"]).get(b"host") != b"localhost"',
        ("M2", "A8", "T22"),
    ),
)
OVERLOAD = (
    Mutant(
        "places without end",
        "serve/admission.py",
        "        if self._free:\n            self._free -= 1",
        "        if True:\n            self._free -= 1",
        ("J9", "J10"),
    ),
    Mutant(
        "a queue without end",
        "serve/admission.py",
        "        elif len(self._queue) >= self._limits.queue:",
        "        elif False:",
        ("J10",),
    ),
    Mutant(
        "a wait without end",
        "serve/admission.py",
        "        timer = loop.call_later(self._limits.wait, _refuse, place)",
        "        timer = loop.call_later(3600, _refuse, place)",
        ("J11",),
    ),
    Mutant(
        "a place is lost with each client that leaves the queue",
        "serve/admission.py",
        "                self._give()  # it came in the same moment in which the client left",
        "                pass",
        ("C1",),
    ),
    Mutant(
        "a place is lost with each answer",
        "serve/exchange.py",
        "            self._leave()\n            self._leave = None",
        "            self._leave = None",
        ("J9",),
    ),
    Mutant(
        "one client takes all",
        "serve/admission.py",
        "        if self._clients[client] >= self._limits.per_client:",
        "        if False:",
        ("J13",),
    ),
    Mutant(
        "memory may run out",
        "serve/admission.py",
        "        if self._lifecycle.pressed:\n            raise busy(NO_MEMORY)\n\n    def enter_at_once",
        "        if False:\n            raise busy(NO_MEMORY)\n\n    def enter_at_once",
        ("J14",),
    ),
    Mutant(
        "who waits is not told of the drain",
        "serve/admission.py",
        "                place.set_result(Draining())",
        "                pass",
        ("K5",),
    ),
)
