"""Ollama's native API, `/api/*`: one short handler per endpoint."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import NamedTuple

from fastapi import FastAPI, Request, Response
from fastapi.responses import PlainTextResponse
from starlette.types import Scope

from ollama_openai_proxy.call import Call
from ollama_openai_proxy.errors import InvalidRequest, ModelNotFound, ProxyError
from ollama_openai_proxy.observe.pulse import Pulse
from ollama_openai_proxy.observe.record import Record
from ollama_openai_proxy.serve.body import read_body
from ollama_openai_proxy.serve.catalog import Catalog
from ollama_openai_proxy.serve.exchange import Exchange
from ollama_openai_proxy.serve.loaded import LoadedModels
from ollama_openai_proxy.serve.recorder import record_of
from ollama_openai_proxy.translate.events import Usage
from ollama_openai_proxy.translate.models import Model, is_valid_name, tagged
from ollama_openai_proxy.translate.ollama import catalog, embeddings, request, wire
from ollama_openai_proxy.translate.ollama.capabilities import check_capabilities
from ollama_openai_proxy.translate.ollama.errors import error_body, error_record
from ollama_openai_proxy.translate.ollama.reply import CHAT, GENERATE, JSON, Reply, ReplyEncoder, Shape, idle_answer
from ollama_openai_proxy.translate.openai import embeddings as openai_embeddings
from ollama_openai_proxy.translate.openai.request import encode
from ollama_openai_proxy.translate.translator import ReplyTranslator, Translate, WholeTranslator
from ollama_openai_proxy.upstream import Upstream

Generation = wire.ChatRequest | wire.GenerateRequest


class Services(NamedTuple):
    """What the handlers work with."""

    upstream: Upstream
    models: Catalog
    loaded: LoadedModels
    pulse: Pulse


class OllamaApi:
    """The handlers, and what they share."""

    def __init__(self, services: Services, *, max_body: int, version: str) -> None:
        """`max_body`: the most bytes of a request; `version`: the Ollama version to report."""
        self._upstream, self._models, self._loaded, self._pulse = services
        self._max_body = max_body
        self._version = f'{{"version":"{version}"}}'.encode()

    def register(self, app: FastAPI) -> None:
        """Add the routes; the first is found fastest."""
        routes: tuple[tuple[str, list[str], Callable[[Request], Awaitable[Response]]], ...] = (
            ("/api/chat", ["POST"], self.chat),
            ("/api/generate", ["POST"], self.generate),
            ("/api/embed", ["POST"], self.embed),
            ("/api/embeddings", ["POST"], self.embeddings),
            ("/", ["HEAD", "GET"], self.root),
            ("/api/version", ["HEAD", "GET"], self.version),
            ("/api/tags", ["HEAD", "GET"], self.tags),
            ("/api/ps", ["GET"], self.ps),
            ("/api/show", ["POST"], self.show),
        )
        for path, methods, handler in routes:
            app.add_api_route(path, handler, methods=methods, response_model=None)

    async def root(self, request: Request) -> Response:
        return PlainTextResponse("Ollama is running")

    async def version(self, request: Request) -> Response:
        return _json(self._version)

    async def tags(self, request: Request) -> Response:
        with record_of(request.scope).waiting():
            models = await self._models.models()
        return _json(catalog.tags(models, self._models.first_seen))

    async def ps(self, request: Request) -> Response:
        return _json(catalog.running(self._loaded.current(), time.time_ns()))

    async def show(self, http: Request) -> Response:
        asked = wire.decode(await self._body(http), wire.ShowRequest)
        name = request.required(asked.model or asked.name)
        try:
            model = await self._find(name, http, asks=False)
        except ModelNotFound:
            raise ModelNotFound(tagged(name)) from None
        agent = http.headers.get("user-agent", "")
        first_seen = self._models.first_seen
        return _json(catalog.show(model, name, first_seen, user_agent=agent, system=asked.system or ""))

    async def chat(self, http: Request) -> Response:
        asked = wire.decode(await self._body(http), wire.ChatRequest)
        request.check(asked)
        name = request.required(asked.model)
        model = await self._find(name, http, asks=bool(asked.messages))
        if not asked.messages and _unloads(asked):
            return self._idle(CHAT, model, asked, http)
        check_capabilities(model, name, think=asked.think, tools=bool(asked.tools), action="chat")
        if not asked.messages:
            return self._idle(CHAT, model, asked, http)
        return self._exchange(http, asked, model, CHAT, request.chat(asked, model.id))

    async def generate(self, http: Request) -> Response:
        asked = wire.decode(await self._body(http), wire.GenerateRequest)
        request.check(asked)
        name = request.looked_up(asked.model)
        model = await self._find(name, http, asks=bool(asked.prompt))
        if not asked.prompt and _unloads(asked):
            return self._idle(GENERATE, model, asked, http)
        check_capabilities(model, name, think=asked.think, action="generate")
        if not asked.prompt and not asked.suffix:
            return self._idle(GENERATE, model, asked, http)
        return self._exchange(http, asked, model, GENERATE, request.generate(asked, model.id))

    async def embed(self, http: Request) -> Response:
        asked = wire.decode(await self._body(http), wire.EmbedRequest)
        keep_alive = request.keep_alive(asked.keep_alive)
        inputs = request.inputs_of(asked)
        name = request.looked_up(asked.model)
        model = await self._find(name, http)
        request.check_options(asked.options)
        use = partial(self._loaded.use, model, keep_alive)
        if not inputs:
            use()
            return _json(embeddings.loaded(name))
        body = encode({"model": model.id, "input": inputs}, self._models.profile)

        def translate(reply: bytes, opened: int, elapsed: int) -> tuple[bytes, Usage]:
            found = openai_embeddings.decode(reply, len(inputs), self._upstream.secrets)
            answer = partial(embeddings.embed_answer, name, found.vectors, prompt_tokens=found.prompt_tokens)
            usage = Usage(found.prompt_tokens)
            return answer(dimensions=asked.dimensions, opened=opened, elapsed=elapsed), usage

        return self._embedding_exchange(Call("/embeddings", body, name), translate, use)

    async def embeddings(self, http: Request) -> Response:
        asked = wire.decode(await self._body(http), wire.EmbeddingsRequest)
        keep_alive = request.keep_alive(asked.keep_alive)
        name = request.required(asked.model)
        model = await self._find(name, http)
        request.check_options(asked.options)
        use = partial(self._loaded.use, model, keep_alive)
        if not asked.prompt:
            use()
            return _json(embeddings.embeddings_answer([]))
        body = encode({"model": model.id, "input": asked.prompt}, self._models.profile)

        def translate(reply: bytes, _opened: int, _elapsed: int) -> tuple[bytes, Usage]:
            found = openai_embeddings.decode(reply, 1, self._upstream.secrets)
            return embeddings.embeddings_answer(found.vectors), Usage(found.prompt_tokens)

        return self._embedding_exchange(Call("/embeddings", body, name), translate, use)

    async def _body(self, http: Request) -> bytes:
        record = record_of(http.scope)
        with record.waiting():
            body = await read_body(http, self._max_body)
        record.bytes_in = len(body)
        return body

    async def _find(self, name: str, http: Request, *, asks: bool = True) -> Model:
        """Return the model. Raises ModelNotFound, and InvalidRequest for what can't be a name.

        `asks`: whether the backend will be asked for an answer, and so can say itself what it has.
        """
        record = record_of(http.scope)
        record.model = name
        try:
            with record.waiting():
                model = await self._models.find(name, asks=asks)
        except ModelNotFound:
            if not is_valid_name(name):
                raise InvalidRequest("invalid model name") from None
            raise
        record.known_model = model.id if self._models.knows(model) else ""
        return model

    def _idle(self, shape: Shape, model: Model, asked: Generation, http: Request) -> Response:
        """Answer a request without a prompt: it only loads the model, or unloads it."""
        unloads = _unloads(asked)
        if not unloads:
            request.check_options(asked.options)
        self._loaded.use(model, request.keep_alive(asked.keep_alive))
        reason = "unload" if unloads else "load"
        return _json(idle_answer(shape, asked.model or "", record_of(http.scope).arrived, reason))

    def _exchange(
        self, http: Request, asked: Generation, model: Model, shape: Shape, completion: request.Completion
    ) -> Response:
        streamed = asked.stream is not False
        spell = partial(encode, profile=self._models.profile, extensions=completion.extensions, think=completion.think)
        without_usage = partial(
            spell, {key: completion.body[key] for key in completion.body if key != "stream_options"}
        )
        use = partial(self._loaded.use, model, request.keep_alive(asked.keep_alive))
        reply = Reply(
            shape,
            model=asked.model or "",
            arrived=record_of(http.scope).arrived,
            streamed=streamed,
            hide_thinking=completion.think is False,
            top_logprobs=(asked.top_logprobs or 0) if asked.logprobs else None,
        )
        path = "/completions" if completion.raw else "/chat/completions"
        call = Call(path, spell(completion.body), asked.model or "", streamed, without_usage if streamed else None)
        translator = ReplyTranslator(ReplyEncoder(reply), self._upstream.secrets)
        return Exchange(self._upstream, call, translator, self._pulse, on_open=use)

    def _embedding_exchange(self, call: Call, translate: Translate, use: Callable[[], None]) -> Response:
        return Exchange(self._upstream, call, WholeTranslator(translate, error_record), self._pulse, on_open=use)


def _unloads(asked: Generation) -> bool:
    """Whether the request, having no prompt, asks to unload the model."""
    return request.keep_alive(asked.keep_alive) == 0


def on_error(http: Request, error: Exception) -> Response:
    """Render a ProxyError that was raised before the first byte of an answer."""
    if not isinstance(error, ProxyError):
        raise error
    record: Record = record_of(http.scope)
    record.outcome, record.error = error.outcome, type(error).__name__
    record.client_gone = error.outcome == "client_abort"
    return render(http.scope, error)


def render(scope: Scope, error: ProxyError) -> Response:
    """Return an error in Ollama's words."""
    response = _json(error_body(error, scope["path"]), error.status)
    if error.retry_after is not None:
        response.headers["Retry-After"] = str(error.retry_after)
    return response


def _json(body: bytes, status: int = 200) -> Response:
    return Response(body, status, media_type=JSON)
