"""The aliases that clients have made."""

from __future__ import annotations

from ollama_openai_proxy.translate.aliases import Alias


class Aliases:
    """The table of aliases, in memory."""

    def __init__(self) -> None:
        self._all: tuple[Alias, ...] = ()

    def current(self) -> tuple[Alias, ...]:
        """Return all aliases: the same object until one of them changes."""
        return self._all
