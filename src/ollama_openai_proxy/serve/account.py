"""What only ollama.com can do: accounts, search in the web (contract 5.3, 5.17, 5.18)."""

from __future__ import annotations

from ollama_openai_proxy.serve.handlers import Handlers, Route


class Account(Handlers):
    """The routes of ollama.com's services, which this server does not use."""

    def routes(self) -> tuple[Route, ...]:
        return ()
