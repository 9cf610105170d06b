"""Embeddings: `/api/embed`, and the older `/api/embeddings` (contract 5.9, 5.10)."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from fastapi import Request, Response

from ollama_openai_proxy.call import Call
from ollama_openai_proxy.serve.exchange import Exchange
from ollama_openai_proxy.serve.handlers import Handlers, Route, json_answer
from ollama_openai_proxy.translate.events import Usage
from ollama_openai_proxy.translate.ollama import embeddings, request, wire
from ollama_openai_proxy.translate.ollama.errors import error_record
from ollama_openai_proxy.translate.openai import embeddings as openai_embeddings
from ollama_openai_proxy.translate.openai.request import encode
from ollama_openai_proxy.translate.translator import Translate, WholeTranslator


class Embedding(Handlers):
    """The routes that answer with vectors."""

    def routes(self) -> tuple[Route, ...]:
        return (
            Route("/api/embed", ("POST",), self.embed),
            Route("/api/embeddings", ("POST",), self.embeddings),
        )

    async def embed(self, http: Request) -> Response:
        asked = wire.decode(await self.body(http), wire.EmbedRequest)
        keep_alive = request.keep_alive(asked.keep_alive)
        inputs = request.inputs_of(asked)
        name = request.looked_up(asked.model)
        model = await self.find(name, http)
        request.check_options(asked.options)
        use = partial(self.services.loaded.use, model, keep_alive)
        if not inputs:
            use()
            return json_answer(embeddings.loaded(name))
        body = encode({"model": model.upstream_id, "input": inputs}, self.services.models.profile)

        def translate(reply: bytes, opened: int, elapsed: int) -> tuple[bytes, Usage]:
            found = openai_embeddings.decode(reply, len(inputs), self.services.upstream.secrets)
            answer = partial(embeddings.embed_answer, name, found.vectors, prompt_tokens=found.prompt_tokens)
            usage = Usage(found.prompt_tokens)
            return answer(dimensions=asked.dimensions, opened=opened, elapsed=elapsed), usage

        return self._exchange(Call("/embeddings", body, name), translate, use)

    async def embeddings(self, http: Request) -> Response:
        asked = wire.decode(await self.body(http), wire.EmbeddingsRequest)
        keep_alive = request.keep_alive(asked.keep_alive)
        name = request.required(asked.model)
        model = await self.find(name, http)
        request.check_options(asked.options)
        use = partial(self.services.loaded.use, model, keep_alive)
        if not asked.prompt:
            use()
            return json_answer(embeddings.embeddings_answer([]))
        body = encode({"model": model.upstream_id, "input": asked.prompt}, self.services.models.profile)

        def translate(reply: bytes, _opened: int, _elapsed: int) -> tuple[bytes, Usage]:
            found = openai_embeddings.decode(reply, 1, self.services.upstream.secrets)
            return embeddings.embeddings_answer(found.vectors), Usage(found.prompt_tokens)

        return self._exchange(Call("/embeddings", body, name), translate, use)

    def _exchange(self, call: Call, translate: Translate, use: Callable[[], None]) -> Response:
        translator = WholeTranslator(translate, error_record)
        return Exchange(self.services.upstream, call, translator, self.services.pulse, on_open=use)
