"""`/api/chat` and `/api/generate` (contract 5.7, 5.8)."""

from __future__ import annotations

from functools import partial

from fastapi import Request, Response

from ollama_openai_proxy.call import Call
from ollama_openai_proxy.serve.exchange import Exchange
from ollama_openai_proxy.serve.handlers import Handlers, Route, json_answer
from ollama_openai_proxy.serve.recorder import record_of
from ollama_openai_proxy.translate.models import Model
from ollama_openai_proxy.translate.ollama import request, wire
from ollama_openai_proxy.translate.ollama.capabilities import check_capabilities
from ollama_openai_proxy.translate.ollama.generate import generate
from ollama_openai_proxy.translate.ollama.reply import CHAT, GENERATE, Reply, ReplyEncoder, Shape, idle_answer
from ollama_openai_proxy.translate.openai.request import encode
from ollama_openai_proxy.translate.translator import ReplyTranslator

Asked = wire.ChatRequest | wire.GenerateRequest


class Generation(Handlers):
    """The routes that answer with text."""

    def routes(self) -> tuple[Route, ...]:
        return (
            Route("/api/chat", ("POST",), self.chat),
            Route("/api/generate", ("POST",), self.generate),
        )

    async def chat(self, http: Request) -> Response:
        asked = wire.decode(await self.body(http), wire.ChatRequest)
        request.check(asked)
        name = request.required(asked.model)
        model = await self.find(name, http, asks=bool(asked.messages))
        if not asked.messages and _unloads(asked):
            return self._idle(CHAT, model, asked, http)
        check_capabilities(model, name, think=asked.think, tools=bool(asked.tools), action="chat")
        if not asked.messages:
            return self._idle(CHAT, model, asked, http)
        return self._exchange(http, asked, model, CHAT, request.chat(asked, model))

    async def generate(self, http: Request) -> Response:
        asked = wire.decode(await self.body(http), wire.GenerateRequest)
        request.check(asked)
        name = request.looked_up(asked.model)
        model = await self.find(name, http, asks=bool(asked.prompt))
        if not asked.prompt and _unloads(asked):
            return self._idle(GENERATE, model, asked, http)
        check_capabilities(model, name, think=asked.think, action="generate")
        if not asked.prompt and not asked.suffix:
            return self._idle(GENERATE, model, asked, http)
        return self._exchange(http, asked, model, GENERATE, generate(asked, model))

    def _idle(self, shape: Shape, model: Model, asked: Asked, http: Request) -> Response:
        """Answer a request without a prompt: it only loads the model, or unloads it."""
        unloads = _unloads(asked)
        if not unloads:
            request.check_options(asked.options)
        self.services.loaded.use(model, request.keep_alive(asked.keep_alive))
        reason = "unload" if unloads else "load"
        return json_answer(idle_answer(shape, asked.model or "", record_of(http.scope).arrived, reason))

    def _exchange(
        self, http: Request, asked: Asked, model: Model, shape: Shape, completion: request.Completion
    ) -> Response:
        streamed = asked.stream is not False
        spell = partial(
            encode, profile=self.services.models.profile, extensions=completion.extensions, think=completion.think
        )
        without_usage = partial(
            spell, {key: completion.body[key] for key in completion.body if key != "stream_options"}
        )
        use = partial(self.services.loaded.use, model, request.keep_alive(asked.keep_alive))
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
        translator = ReplyTranslator(ReplyEncoder(reply), self.services.upstream.secrets)
        return Exchange(self.services.upstream, call, translator, self.services.pulse, on_open=use)


def _unloads(asked: Asked) -> bool:
    """Whether the request, having no prompt, asks to unload the model."""
    return request.keep_alive(asked.keep_alive) == 0
