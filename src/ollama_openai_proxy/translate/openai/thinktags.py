"""Reasoning that a backend left in the text, between think tags.

Only a tag that opens the answer counts, as in Ollama's own parser: text about tags, further down
or in a code block, stays text.
"""

from __future__ import annotations

from collections.abc import Iterator

from ollama_openai_proxy.translate.events import Event, TextDelta, ThinkingDelta

OPEN = "<think>"
CLOSE = "</think>"


def may_open(text: str) -> bool:
    """Whether an answer that begins with this text, which is not empty, may have a tag in front."""
    return text[0] == OPEN[0] or text[0].isspace()


class ThinkTags:
    """Splits text, however it is cut, into thinking and answer."""

    def __init__(self) -> None:
        self._step = self._before
        self._space: list[str] = []  # in front of all else: a backend may send nothing but space, for long
        self._held = ""
        self.passive = False  # True once nothing is left to find

    def feed(self, text: str) -> Iterator[Event]:
        if self.passive:
            yield TextDelta(text)
        else:
            yield from self._step(text)

    def close(self) -> Iterator[Event]:
        """Give back what was held: half a tag is text, and thinking without an end is thinking."""
        held, self._held = "".join((*self._space, self._held)), ""
        self._space.clear()
        if held:
            yield ThinkingDelta(held) if self._step == self._inside else TextDelta(held)
        self.passive = True

    def _before(self, text: str) -> Iterator[Event]:
        start = self._held + text
        if not self._held:
            start = text.lstrip()
            self._space.append(text[: len(text) - len(start)])
        if start.startswith(OPEN):
            self._held = ""
            self._space.clear()
            self._step = self._opened
            yield from self._opened(start[len(OPEN) :])
        elif OPEN.startswith(start):
            self._held = start
        else:
            self.passive = True
            yield TextDelta("".join((*self._space, start)))
            self._held = ""
            self._space.clear()

    def _opened(self, text: str) -> Iterator[Event]:
        if text := text.lstrip():
            self._step = self._inside
            yield from self._inside(text)

    def _inside(self, text: str) -> Iterator[Event]:
        thinking, tag, answer = (self._held + text).partition(CLOSE)
        self._held = ""
        if tag:
            self._step = self._after
        else:
            keep = _partial(thinking)
            self._held = thinking[len(thinking) - keep :]
            thinking = thinking[: len(thinking) - keep]
        if thinking:
            yield ThinkingDelta(thinking)
        yield from self._after(answer)

    def _after(self, text: str) -> Iterator[Event]:
        if text := text.lstrip():
            self.passive = True
            yield TextDelta(text)


def _partial(text: str) -> int:
    """Return how many characters at the end may be the beginning of a closing tag."""
    for size in range(min(len(CLOSE) - 1, len(text)), 0, -1):
        if CLOSE.startswith(text[-size:]):
            return size
    return 0
