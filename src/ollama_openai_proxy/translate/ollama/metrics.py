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
        first, opened = self.first, self.opened
        if first is None or first == elapsed:
            first = opened
        prompt = f',"prompt_eval_count":{usage.prompt_tokens}' if usage.prompt_tokens else ""
        completion = f',"eval_count":{usage.completion_tokens}' if usage.completion_tokens else ""
        return (  # text is put together, and made bytes at once, in a third of the time that bytes with `%` take
            f',"total_duration":{_least(elapsed)},"load_duration":{_least(opened)}{prompt}'
            f',"prompt_eval_duration":{usage.prompt_ns or _least(first - opened)}{completion}'
            f',"eval_duration":{usage.completion_ns or _least(elapsed - first)}'
        ).encode()


def _least(nanoseconds: int) -> int:
    return nanoseconds if nanoseconds > 0 else 1
