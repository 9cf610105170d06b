"""Durations and counts of a finished generation (contract 3.9).

Counts are the backend's or left out. Durations are the backend's where it measures, else ours:
`load` is what it took until the backend was asked, `prompt_eval` lasts until the first token, and
`eval` from there to the end. A reply that came whole shows no first token: its wait counts as
`eval`, and `prompt_eval` is 1 ns, because clients divide by either and fail on zero.
"""

from __future__ import annotations

from ollama_openai_proxy.translate.events import Usage


class Stopwatch:
    """Nanoseconds since the request arrived."""

    __slots__ = ("first", "last", "opened")

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
        return b',"total_duration":%d,"load_duration":%d%b,"prompt_eval_duration":%d%b,"eval_duration":%d' % (
            max(elapsed, 1),
            max(self.opened, 1),
            b',"prompt_eval_count":%d' % usage.prompt_tokens if usage.prompt_tokens else b"",
            usage.prompt_ns or max(first - self.opened, 1),
            b',"eval_count":%d' % usage.completion_tokens if usage.completion_tokens else b"",
            usage.completion_ns or max(elapsed - first, 1),
        )
