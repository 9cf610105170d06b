"""What is known of one exchange: the log line, the metrics and the spans are made of it."""

from __future__ import annotations

import time
from contextvars import ContextVar
from dataclasses import dataclass, field

request_id: ContextVar[str] = ContextVar("request_id", default="")


@dataclass(slots=True)
class Record:
    """One exchange. Times are nanoseconds from the clock of `perf_counter_ns`, durations nanoseconds.

    What did not happen, or was not told, is None, 0 or "". `outcome` is one of the closed list of
    docs/operations.md; empty while it is not known, and for good if the proxy itself failed.
    """

    request_id: str
    method: str = ""
    path: str = ""
    front: str = ""  # the API: ollama, operations
    route: str = ""  # the route's template; "" if no route took it
    model: str = ""  # as the client spelled it
    known_model: str = ""  # the backend's own name for it, if its list holds it
    upstream: str = ""  # that was asked
    status: int = 0
    outcome: str = ""
    error: str = ""  # the class of what was raised
    attempts: int = 0  # how often the upstream was asked
    streamed: bool = False
    client_gone: bool = False
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    finish_reason: str = ""
    events: int = 0  # read from the upstream's stream
    odd: dict[str, int] = field(default_factory=dict)  # what was strange about its reply, and how often
    bytes_in: int = 0
    bytes_out: int = 0
    waited: int = 0  # for the backend, and for the client to send and to take
    added: int = 0  # by the proxy: what it took, less what it waited
    started: int = field(default_factory=time.perf_counter_ns)
    arrived: int = field(default_factory=time.time_ns)  # since 1970
    asked: int | None = None  # the upstream
    first_byte: int | None = None  # sent to the client
    first_token: int | None = None  # from the upstream
    last_token: int | None = None
    last_byte: int | None = None
    ended: int | None = None
    trace_id: str = ""

    def sent(self, size: int) -> None:
        """Count bytes of the reply's body, now."""
        self.bytes_out += size
        self.last_byte = time.perf_counter_ns()
        if self.first_byte is None:
            self.first_byte = self.last_byte

    def attempted(self) -> None:
        """The upstream is asked, once more if it was before."""
        self.attempts += 1
        if self.asked is None:
            self.asked = time.perf_counter_ns()

    def waiting(self) -> Waiting:
        """What a block takes that has this around it is not the proxy's."""
        return Waiting(self)

    def so_far(self) -> int:
        """Return what the proxy itself has taken until now."""
        return max(time.perf_counter_ns() - self.started - self.waited, 0)

    def end(self) -> None:
        """The exchange has ended, now."""
        self.ended = time.perf_counter_ns()
        self.added = max(self.duration - self.waited, 0)

    @property
    def duration(self) -> int:
        """Until the last byte of a whole answer: what trails after it is no part of it."""
        end = self.last_byte if self.outcome == "ok" else None
        return (end or self.ended or time.perf_counter_ns()) - self.started


class Waiting:
    """A block in which an exchange waits for others."""

    __slots__ = ("_record", "_since")

    def __init__(self, record: Record) -> None:
        self._record = record

    def __enter__(self) -> None:
        self._since = time.perf_counter_ns()

    def __exit__(self, *_error: object) -> None:
        self._record.waited += time.perf_counter_ns() - self._since
