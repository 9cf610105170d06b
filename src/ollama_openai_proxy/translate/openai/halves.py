"""Characters that were cut in two between chunks.

Backends that count text in UTF-16 units, as JavaScript does, may end one chunk with the first half of a surrogate pair
and begin the next with the second. Each is no text by itself.
"""

from __future__ import annotations

from typing import Any

_TEXTS = ("content", "reasoning", "reasoning_content", "thinking")


class Halves:
    """Holds back first halves until the next chunk, and puts them before its text."""

    def __init__(self) -> None:
        self._held: dict[tuple[str, str], str] = {}

    @property
    def holds(self) -> bool:
        """Whether the next chunk is to be joined, whatever it is."""
        return bool(self._held)

    def join(self, chunk: Any) -> None:
        """Change the texts of a chunk, which is JSON of any shape. The last one, with a reason, keeps its halves."""
        choices = chunk.get("choices") if isinstance(chunk, dict) else None
        for choice in choices if isinstance(choices, list) else ():
            if isinstance(choice, dict):
                number, last = str(choice.get("index") or 0), bool(choice.get("finish_reason"))
                self._join(choice, "text", number, last)
                delta = choice.get("delta")
                for name in _TEXTS if isinstance(delta, dict) else ():
                    self._join(delta, name, number, last)

    def _join(self, texts: Any, name: str, number: str, last: bool) -> None:
        text, held = texts.get(name), self._held.pop((number, name), "")
        if not isinstance(text, str):
            if not held:
                return
            text = ""
        text = held + text
        if not last and "\ud800" <= text[-1:] <= "\udbff":
            self._held[number, name] = text[-1]
            text = text[:-1]
        texts[name] = text
