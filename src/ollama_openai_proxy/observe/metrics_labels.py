"""The values that labels may have. Each list is closed or has a limit: no client can make the metrics grow."""

from __future__ import annotations

from io import FileIO
from itertools import islice
from pathlib import Path

from ollama_openai_proxy.observe.record import Record

OUTCOMES = frozenset(
    {
        *("ok", "bad_request", "too_large", "auth", "not_found", "client_timeout", "client_abort"),
        *("shed_full", "shed_timeout", "breaker_open", "draining", "internal"),
        *("up_dns", "up_connect", "up_connect_timeout", "up_tls", "up_reset", "up_truncated", "up_protocol"),
        *("up_ttft_timeout", "up_idle_timeout", "up_total_timeout", "up_4xx", "up_429", "up_5xx"),
        *("up_midstream_error", "up_empty"),
    }
)
# What ends a stream before its end, if neither the client nor the answer does.
BREAKS = frozenset(outcome for outcome in OUTCOMES if outcome.startswith("up_")) | {"draining", "internal"}
RETRY_REASONS = frozenset({"stale_connection", "connect", "status", "stream_options"})
# In the order of their numbers.
BREAKER_STATES = ("closed", "half-open", "open")
# What is skipped of a stream, and what is odd about its chunks.
SKIPS = frozenset({"comment", "empty", "unknown_field", "after_done", "bad_utf8"})
ANOMALIES = frozenset(
    {
        *("invalid_json", "no_choices", "no_delta", "dup_finish", "late_content", "finish_missing", "finish_mismatch"),
        *("tool_no_index", "tool_no_id", "tool_late_name", "tool_bad_args", "dup_usage", "bad_usage"),
        *("reasoning_alias", "truncated_after_finish"),
    }
)
# Why a connection of a client is turned away or ended, before a request has come of it or while it is answered.
REFUSALS = frozenset({"connections", "header_timeout", "header_size", "bad_request", "write_timeout"})
MAX_MODELS = 200

NONE = "none"
OTHER = "other"

_MAX_LENGTH = 128


def outcome_label(outcome: str) -> str:
    """Return the outcome; what is none, or not known, is the proxy's own failure."""
    return outcome if outcome in OUTCOMES else "internal"


def reason_label(reason: str) -> str:
    """Return the reason of a retry, `other` if it is not known."""
    return reason if reason in RETRY_REASONS else OTHER


class Models:
    """The models that have a label of their own: the first ones that the backend knows, the rest is `other`.

    Several workers agree by means of a file that each appends names to: the first names in it are the ones.
    Nobody waits for anybody.
    """

    def __init__(self, shared: Path | None = None) -> None:
        self._shared = shared
        self._labels: set[str] = set()

    def label(self, record: Record) -> str:
        """Return the model's label: `none` if the exchange has no model, `other` if it has no label of its own."""
        name = record.known_model
        if not name:
            return OTHER if record.model else NONE
        if name in self._labels:
            return name
        if len(name) > _MAX_LENGTH or not name.isprintable():
            name = _clean(name)
        return name if name in self._labels or self._take(name) else OTHER

    def _take(self, name: str) -> bool:
        if len(self._labels) >= MAX_MODELS:
            return False
        if self._shared is not None:
            return self._agree(self._shared, name)
        self._labels.add(name)
        return True

    def _agree(self, shared: Path, name: str) -> bool:
        try:
            with shared.open("a+b", buffering=0) as file:
                self._labels = _first(file)
                if name not in self._labels and len(self._labels) < MAX_MODELS:
                    file.write(f"{name}\n".encode())
                    self._labels = _first(file)  # others may have been faster
        except OSError:  # the exchange has ended all the same
            return False
        return name in self._labels


def _first(file: FileIO) -> set[str]:
    """Return the first names in the file, which may be there more than once."""
    file.seek(0)
    names = dict.fromkeys(file.readall().decode().split("\n")[:-1])
    return {*islice(names, MAX_MODELS)}


def _clean(name: str) -> str:
    """Make a name fit for a line: half a surrogate pair, for one, would make the whole text impossible to encode."""
    return "".join(character if character.isprintable() else "?" for character in name[:_MAX_LENGTH])
