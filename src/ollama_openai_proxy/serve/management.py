"""Managing models: what a proxy can do of it, and honest refusals of the rest (contract 5.11 to 5.16)."""

from __future__ import annotations

from ollama_openai_proxy.serve.handlers import Handlers, Route, Services


class Management(Handlers):
    """`/api/pull`, `/api/push`, `/api/create`, `/api/copy`, `/api/delete` and `/api/blobs/:digest`."""

    def __init__(self, services: Services, *, enabled: bool) -> None:
        """`enabled`: whether clients may change anything."""
        super().__init__(services)
        self._enabled = enabled

    def routes(self) -> tuple[Route, ...]:
        return ()
