"""A request to the backend, and who is told how it goes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple, Protocol

from ollama_openai_proxy.errors import ProxyError

# Requests are sent; one at a time, to see whether the backend is back; none is.
BreakerState = Literal["closed", "half-open", "open"]


class Watcher(Protocol):
    """Who is told of what happens between the proxy and the backend."""

    def attempted(self) -> None:
        """A request is sent."""

    def connected(self, *, reused: bool) -> None:
        """It goes over a new connection, or over one that was kept."""

    def retried(self, reason: str) -> None:
        """It is sent once more, because of `stale_connection`, `connect`, `status` or `stream_options`."""

    def retry_refused(self) -> None:
        """It would be sent once more, if there had not been too many repeats of late."""

    def breaker(self, state: BreakerState) -> None:
        """Whether requests are sent at all has changed."""

    def ended(self, call: Call, error: ProxyError | None) -> None:
        """The reply is whole, or this is why there is none.

        `open` tells of errors only; whoever reads a reply tells how that went.
        """


class Unwatched:
    """A watcher who watches nothing."""

    def attempted(self) -> None: ...
    def connected(self, *, reused: bool) -> None: ...
    def retried(self, reason: str) -> None: ...
    def retry_refused(self) -> None: ...
    def breaker(self, state: BreakerState) -> None: ...
    def ended(self, call: Call, error: ProxyError | None) -> None: ...


def _nobody() -> None:
    pass


class Call(NamedTuple):
    """A request to the backend. `model` is the client's name of it, for errors.

    `without_usage` makes the body that does not ask a stream for its usage, which some backends refuse.
    `rooted`: the path is that of the server, not below the `/v1` of the base URL. `no_route` is what to
    tell the client, as its own mistake, if the backend has no such endpoint, and `too_long` if it says that
    the input is longer than the model's context. `aside`: nothing depends on the answer, and how it goes says nothing
    about the backend. `max_reply`: how many bytes a reply may have where such ones are larger than others. `headers`
    are sent beside those of every call; `on_attempt` is called each time that it is sent.
    """

    path: str
    body: bytes = b""
    model: str = ""
    streamed: bool = False
    without_usage: Callable[[], bytes] | None = None
    rooted: bool = False
    no_route: str = ""
    too_long: str = ""
    aside: bool = False
    max_reply: int = 0
    headers: tuple[tuple[str, str], ...] = ()
    on_attempt: Callable[[], None] = _nobody

    def tied(self, headers: tuple[tuple[str, str], ...], on_attempt: Callable[[], None]) -> Call:
        """Return the same call with these, the last two: `_replace` takes four times as long."""
        return Call(*self[:-2], headers, on_attempt)
