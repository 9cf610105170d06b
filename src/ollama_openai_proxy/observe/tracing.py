"""Traces: what was asked for in the standard variables, and what is done when nothing was."""

from __future__ import annotations

import logging
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from ollama_openai_proxy.observe.record import Record

Headers = tuple[tuple[str, str], ...]

_log = logging.getLogger(__name__)

# W3C Trace Context. A later version may add fields at the end, which nobody here can read. A comma is in none: there it
# separates two headers, of which neither can be trusted.
_TRACEPARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-[!-+\--~]*)?")
_MAX_TRACEPARENT = 256
_MEMBER = re.compile(r"([a-z0-9][a-z0-9_\-*/@]{0,255})=[ -+\--<>-~]{0,255}[!-+\--<>-~]")
_MAX_MEMBERS = 32
# Many servers refuse header lines of 8 KiB and more; no trace is worth a refused request.
_MAX_TRACESTATE = 4096

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
_PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
_EXPORTERS = {"console": "console", "otlp": "otlp", "otlp_proto_http": "otlp"}


class Trace(Protocol):
    """What one exchange is to the tracer."""

    @property
    def trace_id(self) -> str:
        """32 hex digits; empty if there is none."""

    def call(self, operation: str) -> Headers:
        """The upstream is about to be asked ("chat", "text_completion", "embeddings"); return headers to send."""

    def end(self, record: Record) -> None:
        """The exchange has ended; called once, also if the upstream was never asked."""


class Tracer(Protocol):
    """Makes traces of exchanges."""

    def begin(self, record: Record, traceparent: str | None, tracestate: str | None) -> Trace:
        """An exchange has begun, with these headers of the client's."""

    def close(self, seconds: float) -> None:
        """Deliver what is left within so many seconds. Blocks."""


class Parent(NamedTuple):
    """A valid `traceparent`, in hex digits."""

    trace_id: str
    span_id: str
    flags: str


def parse_traceparent(value: str) -> Parent | None:
    """Return the parts of the header, None if it is malformed."""
    if len(value) > _MAX_TRACEPARENT or not (match := _TRACEPARENT.fullmatch(value)):
        return None
    version, trace_id, span_id, flags, more = match.groups()
    if version == "ff" or (version == "00" and more is not None):
        return None
    if not (trace_id.strip("0") and span_id.strip("0")):
        return None
    return Parent(trace_id, span_id, flags)


def valid_tracestate(value: str | None) -> str:
    """Return the header unchanged, "" if it is malformed or larger than its limits."""
    if not value or len(value) > _MAX_TRACESTATE:
        return ""
    members = [member for part in value.split(",") if (member := part.strip(" \t"))]
    matches = [_MEMBER.fullmatch(member) for member in members]
    keys = {match[1] for match in matches if match}
    return value if members and len(keys) == len(members) <= _MAX_MEMBERS else ""


@dataclass(frozen=True, slots=True)
class Passed:
    """The trace of an exchange without spans: at most, what the client sent goes on."""

    trace_id: str
    headers: Headers

    def call(self, operation: str) -> Headers:
        return self.headers

    def end(self, record: Record) -> None:
        pass


UNTRACED = Passed("", ())


class PassedOn:
    """The tracer when tracing is off: the client's context reaches the upstream as if there were no proxy."""

    def begin(self, record: Record, traceparent: str | None, tracestate: str | None) -> Trace:
        if not traceparent:
            return UNTRACED
        if not (parent := parse_traceparent(traceparent)):
            trace_id = secrets.token_hex(16)
            return Passed(trace_id, (("traceparent", f"00-{trace_id}-{secrets.token_hex(8)}-00"),))
        headers: Headers = (("traceparent", traceparent),)
        if state := valid_tracestate(tracestate):
            headers = (*headers, ("tracestate", state))
        return Passed(parent.trace_id, headers)

    def close(self, seconds: float) -> None:
        pass


def create_tracer(environ: Mapping[str, str], *, version: str, upstream_host: str, environment: str) -> Tracer:
    """Return what the `OTEL_*` variables ask for. `environ` is the process's own: the SDK reads it for itself."""
    exporters = _asked_for(environ)
    if not exporters:
        return PassedOn()
    try:
        # Not at the top: it takes a tenth of a second, and is not there without the extra.
        from ollama_openai_proxy.observe.otel import create  # noqa: PLC0415  # see above

        return create(exporters, version=version, upstream_host=upstream_host, environment=environment)
    except ImportError:
        _log.warning("traces are off: OTEL_* asks for them; to have them, pip install 'ollama-openai-proxy[otel]'")
    except (OSError, RuntimeError, ValueError) as error:  # its message may hold what is in the variables
        _log.warning("traces are off: an OTEL_* variable is not valid (%s)", type(error).__name__)
    return PassedOn()


def _asked_for(environ: Mapping[str, str]) -> frozenset[str]:
    """Return the exporters, none if nothing asks for traces or what asks is not understood."""

    def read(name: str) -> str:
        return environ.get(name, "").strip().lower()

    if read("OTEL_SDK_DISABLED") == "true":
        return frozenset()
    named = read("OTEL_TRACES_EXPORTER") or ("otlp" if any(map(read, _ENDPOINTS)) else "none")
    names = {name for part in named.split(",") if (name := part.strip())} - {"none"}
    if unknown := names - _EXPORTERS.keys():
        _log.warning("traces are off: OTEL_TRACES_EXPORTER is to be otlp or console, not %.32s", min(unknown))
        return frozenset()
    exporters = frozenset(_EXPORTERS[name] for name in names)
    protocol = next(filter(None, map(read, _PROTOCOLS)), "http/protobuf")
    if "otlp" in exporters and protocol != "http/protobuf":
        _log.warning("traces are off: %s is to be http/protobuf, not %.32s", _PROTOCOLS[-1], protocol)
        return frozenset()
    return exporters
