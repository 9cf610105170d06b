"""What can go wrong, in no API's words.

    ProxyError
    ├── InvalidRequest          the client sent what can't be served
    ├── ModelNotFound           the client asked for a model that nobody has
    ├── Unauthorised            the client has no key, or one that is not known
    ├── Busy                    there is too much to do
    ├── Draining                the proxy is being stopped
    └── UpstreamError           the backend failed us
        ├── UpstreamUnreachable     no connection: DNS, refused, TLS, reset before a reply
        ├── UpstreamUnavailable     it was not asked: it could not be reached too often of late
        ├── UpstreamTimeout         a phase took longer than its deadline
        ├── UpstreamRefused         it answered with an error of its own
        │   └── UpstreamUnauthorised    that our key is not accepted
        └── UpstreamBroken          its reply is no reply, or stopped before its end

Foreign errors become these in `upstream/` and in the decoders under `translate/openai/`; these
become a client's words in the `errors.py` of its dialect. In between nobody catches.
"""


class ProxyError(Exception):
    """Base. `message` is fit for a client: one line, no URL, no key, nothing of the prompt.

    `status` is the HTTP status a server might answer. `outcome` is the word for logs and metrics,
    from a closed list. `retry_after` is in whole seconds.
    """

    status = 500
    outcome = "internal"

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        outcome: str | None = None,
        retry_after: int | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.status = self.status if status is None else status
        self.outcome = self.outcome if outcome is None else outcome
        self.retry_after = retry_after


class InvalidRequest(ProxyError):
    """The client sent what can't be served; the message is in the words of the client's API."""

    status = 400
    outcome = "bad_request"


class ModelNotFound(ProxyError):
    """Nobody has the model. `model` is the name as the client spelled it."""

    status = 404
    outcome = "not_found"

    def __init__(self, model: str) -> None:
        super().__init__("model not found")
        self.model = model


class Unauthorised(ProxyError):
    """The client sent no key for the proxy, or none that it knows."""

    status = 401
    outcome = "auth"

    def __init__(self) -> None:
        super().__init__("unauthorized")


class Busy(ProxyError):
    """There is too much to do, and the client may try again."""

    status = 503
    outcome = "shed_full"


class Draining(ProxyError):
    """The proxy is being stopped, and can wait no longer."""

    status = 503
    outcome = "draining"

    def __init__(self) -> None:
        super().__init__("server is shutting down", retry_after=1)


class UpstreamError(ProxyError):
    """The backend failed us."""

    status = 502
    outcome = "up_5xx"


class UpstreamUnreachable(UpstreamError):
    """No connection, or one that died before a reply."""

    outcome = "up_connect"


class UpstreamUnavailable(UpstreamError):
    """The backend was not asked: too many connections to it failed of late. `retry_after` is when it will be."""

    status = 503
    outcome = "breaker_open"

    def __init__(self, retry_after: int) -> None:
        super().__init__("upstream unavailable", retry_after=retry_after)


class UpstreamTimeout(UpstreamError):
    """A phase (connect, first byte, idle, total) took longer than its deadline."""

    status = 504
    outcome = "up_ttft_timeout"


class UpstreamRefused(UpstreamError):
    """The backend answered with an error of its own, as a status or within a stream."""


class UpstreamUnauthorised(UpstreamRefused):
    """The backend does not accept the proxy's key. Never a 401 to a client: it would ask its user to sign in."""

    outcome = "up_4xx"

    def __init__(self) -> None:
        super().__init__("the upstream rejected the proxy's credentials")


class UpstreamBroken(UpstreamError):
    """The backend's reply is no reply, or stopped before its end."""

    outcome = "up_protocol"
