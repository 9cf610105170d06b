"""Durations and counts of a finished generation (contract 3.9).

Counts are the backend's or left out. Durations are the backend's where it measures, else ours:
`load` is what it took until the backend was asked, `prompt_eval` lasts until the first token, and
`eval` from there to the end. A reply that came whole shows no first token: its wait counts as
`eval`, and `prompt_eval` is 1 ns, because clients divide by either and fail on zero.
"""

from __future__ import annotations

import msgspec

from ollama_openai_proxy.translate.events import Usage


class Stopwatch:
    """Nanoseconds since the request arrived."""

    def __init__(self) -> None:
        self.opened = 0
        self.first: int | None = None
        self.last: int | None = None

    def token(self, elapsed: int) -> None:
        """A piece of the answer has come."""
        self.last = elapsed
        if self.first is None:
            self.first = elapsed

    def metrics(self, usage: Usage, elapsed: int) -> bytes:
        """Return the members of an object, with a comma before each."""
        first = self.first
        if first is None or first == elapsed:
            first = self.opened
        fields = {
            "total_duration": max(elapsed, 1),
            "load_duration": max(self.opened, 1),
            "prompt_eval_count": usage.prompt_tokens,
            "prompt_eval_duration": usage.prompt_ns or max(first - self.opened, 1),
            "eval_count": usage.completion_tokens,
            "eval_duration": usage.completion_ns or max(elapsed - first, 1),
        }
        known = {key: value for key, value in fields.items() if value}
        return b"," + msgspec.json.encode(known)[1:-1]
