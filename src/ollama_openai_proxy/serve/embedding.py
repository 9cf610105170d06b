"""Embeddings: `/api/embed`, and the older `/api/embeddings` (contract 5.9, 5.10)."""

from __future__ import annotations

from functools import partial
from typing import Any

from fastapi import Request, Response

from ollama_openai_proxy.call import Call
from ollama_openai_proxy.serve.exchange import Exchange, OnOpen
from ollama_openai_proxy.serve.handlers import Handlers, Route, Services, json_answer
from ollama_openai_proxy.serve.vectors import Known, Vectors
from ollama_openai_proxy.translate.events import Usage
from ollama_openai_proxy.translate.ollama import embeddings, request, wire
from ollama_openai_proxy.translate.ollama.errors import error_record
from ollama_openai_proxy.translate.openai.embeddings import Convert, Decoder, truncation
from ollama_openai_proxy.translate.openai.request import encode
from ollama_openai_proxy.translate.translator import MAX_VECTORS, Answer, WholeTranslator


class Embedding(Handlers):
    """The routes that answer with vectors."""

    def __init__(self, services: Services) -> None:
        super().__init__(services)
        self._units = Vectors()
        self._lists = Vectors()  # the older route takes vectors of any length

    def routes(self) -> tuple[Route, ...]:
        return (
            Route("/api/embed", ("POST",), self.embed),
            Route("/api/embeddings", ("POST",), self.embeddings),
        )

    async def embed(self, http: Request) -> Response:
        self.services.admission.check()
        asked = wire.decode(await self.body(http), wire.EmbedRequest)
        keep_alive = request.keep_alive(asked.keep_alive)
        inputs = request.inputs_of(asked)
        name = request.looked_up(asked.model)
        model = await self.find(name, http, asks=bool(inputs))
        request.check_options(asked.options)
        hold = partial(self.services.loaded.hold, model, keep_alive)
        if not inputs:
            self.services.loaded.use(model, keep_alive)
            return json_answer(embeddings.loaded(name))
        truncates = asked.truncate is not False
        body = {"model": model.upstream_id, "input": inputs}
        if truncates:
            body |= truncation(self.services.models.profile, model.context_length)
        too_long = embeddings.NOT_TRUNCATED if truncates else embeddings.TOO_LONG
        known = self._units.of(model.upstream_id, asked.dimensions)
        decoder = self._decoder(len(inputs), partial(embeddings.unit, dimensions=asked.dimensions), known)

        def answer(opened: int, elapsed: int) -> tuple[bytes, Usage]:
            found = decoder.close()
            tokens = found.prompt_tokens
            answered = embeddings.embed_answer(
                name, found.vectors, prompt_tokens=tokens, opened=opened, elapsed=elapsed
            )
            return answered, Usage(tokens)

        return self._exchange(self._call(body, name, too_long), decoder, answer, hold)

    async def embeddings(self, http: Request) -> Response:
        self.services.admission.check()
        asked = wire.decode(await self.body(http), wire.EmbeddingsRequest)
        keep_alive = request.keep_alive(asked.keep_alive)
        name = request.required(asked.model)
        model = await self.find(name, http, asks=bool(asked.prompt))
        request.check_options(asked.options)
        hold = partial(self.services.loaded.hold, model, keep_alive)
        if not asked.prompt:
            self.services.loaded.use(model, keep_alive)
            return json_answer(embeddings.embeddings_answer([]))
        call = self._call({"model": model.upstream_id, "input": asked.prompt}, name, embeddings.TOO_LONG)
        decoder = self._decoder(1, embeddings.checked, self._lists.of(model.upstream_id))

        def answer(_opened: int, _elapsed: int) -> tuple[bytes, Usage]:
            found = decoder.close()
            return embeddings.embeddings_answer(found.vectors), Usage(found.prompt_tokens)

        return self._exchange(call, decoder, answer, hold)

    def _call(self, body: dict[str, Any], name: str, too_long: str) -> Call:
        data = encode(body, self.services.models.profile)
        return Call("/embeddings", data, name, too_long=too_long, max_reply=MAX_VECTORS)

    def _decoder(self, count: int, convert: Convert, known: Known) -> Decoder:
        return Decoder(count, convert, self.services.upstream.secrets, known)

    def _exchange(self, call: Call, decoder: Decoder, answer: Answer, hold: OnOpen) -> Response:
        translator = WholeTranslator(decoder.feed, answer, error_record)
        services = self.services
        return Exchange(services.upstream, call, translator, services.pulse, admission=services.admission, on_open=hold)
