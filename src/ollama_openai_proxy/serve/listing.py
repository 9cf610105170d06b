"""What there is: the version, the models, and which of them are loaded."""

from __future__ import annotations

import time

from fastapi import Request, Response
from fastapi.responses import PlainTextResponse

from ollama_openai_proxy.errors import ModelNotFound
from ollama_openai_proxy.serve.handlers import Handlers, Route, Services, json_answer
from ollama_openai_proxy.serve.recorder import record_of
from ollama_openai_proxy.translate.models import Model, tagged
from ollama_openai_proxy.translate.ollama import catalog, names, request, wire
from ollama_openai_proxy.translate.ollama.show import show


class Listing(Handlers):
    """`/`, `/api/version`, `/api/tags`, `/api/ps` and `/api/show` (contract 5.1 to 5.6)."""

    def __init__(self, services: Services, version: str, default_context: int) -> None:
        """`version`: the Ollama version to report; `default_context`: tokens, where nobody tells the context length."""
        super().__init__(services)
        self._default_context = default_context
        self._tags: tuple[tuple[Model, ...], bytes] = (), catalog.tags((), 0, default_context)
        self._version = f'{{"version":"{version}"}}'.encode()

    def routes(self) -> tuple[Route, ...]:
        return (
            Route("/", ("HEAD", "GET"), self.root),
            Route("/api/version", ("HEAD", "GET"), self.version),
            Route("/api/tags", ("HEAD", "GET"), self.tags),
            Route("/api/ps", ("GET",), self.ps),
            Route("/api/show", ("POST",), self.show),
        )

    async def root(self, request: Request) -> Response:
        return PlainTextResponse("Ollama is running")

    async def version(self, request: Request) -> Response:
        return json_answer(self._version)

    async def tags(self, request: Request) -> Response:
        with record_of(request.scope).waiting():
            models = await self.services.models.models()
        if self._tags[0] is not models:  # the same ones until anything changes
            self._tags = models, catalog.tags(models, self.services.models.first_seen, self._default_context)
        return json_answer(self._tags[1])

    async def ps(self, request: Request) -> Response:
        loaded = self.services.loaded.current(self.services.models.latest)
        return json_answer(catalog.running(loaded, time.time_ns(), self._default_context))

    async def show(self, http: Request) -> Response:
        asked = wire.decode(await self.body(http), wire.ShowRequest)
        name = request.required(asked.model or asked.name)
        try:
            model = await self.find(name, http, asks=False)
        except ModelNotFound:
            parsed = names.parse(name)
            raise ModelNotFound(parsed.display if parsed else tagged(name)) from None
        agent = http.headers.get("user-agent", "")
        first_seen = self.services.models.first_seen
        return json_answer(show(model, asked, first_seen, self._default_context, name=name, user_agent=agent))
