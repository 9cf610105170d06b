"""`/api/chat` and `/api/generate` (contract 5.7, 5.8)."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from fastapi import Request, Response

from ollama_openai_proxy.call import Call
from ollama_openai_proxy.serve.exchange import Exchange
from ollama_openai_proxy.serve.handlers import Handlers, Route, json_answer
from ollama_openai_proxy.serve.recorder import record_of
from ollama_openai_proxy.translate.models import Model
from ollama_openai_proxy.translate.ollama import generate as generation
from ollama_openai_proxy.translate.ollama import request, wire
from ollama_openai_proxy.translate.ollama.capabilities import check_capabilities
from ollama_openai_proxy.translate.ollama.context import Conversation
from ollama_openai_proxy.translate.ollama.debug import debug_answer
from ollama_openai_proxy.translate.ollama.reply import (
    CHAT,
    GENERATE,
    ContextEncoder,
    Reply,
    ReplyEncoder,
    Shape,
    idle_answer,
)
from ollama_openai_proxy.translate.openai import plain
from ollama_openai_proxy.translate.openai.profile import Profile
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
        self.services.admission.check()
        asked = wire.decode(await self.body(http), wire.ChatRequest)
        request.check(asked)
        name = request.required(asked.model)
        model = await self.find(name, http, asks=bool(asked.messages))
        if not asked.messages and _unloads(asked):
            return self._idle(CHAT, model, asked, http)
        check_capabilities(model, name, think=asked.think, tools=bool(asked.tools), action="chat")
        if not asked.messages:
            return self._idle(CHAT, model, asked, http)
        return self._answer(http, asked, model, CHAT, request.chat(asked, model))

    async def generate(self, http: Request) -> Response:
        self.services.admission.check()
        asked = wire.decode(await self.body(http), wire.GenerateRequest)
        request.check(asked)
        name = request.looked_up(asked.model)
        model = await self.find(name, http, asks=bool(asked.prompt))
        if not asked.prompt and _unloads(asked):
            return self._idle(GENERATE, model, asked, http)
        generation.check_images(model)
        generation.check_raw(asked)
        check_capabilities(model, name, think=asked.think, insert=bool(asked.suffix), action="generate")
        generation.check_route(asked, inserts=bool(self.services.models.profile.insert))
        if not asked.prompt:
            return self._idle(GENERATE, model, asked, http)
        completion, conversation = generation.generate(asked, model)
        return self._answer(http, asked, model, GENERATE, completion, conversation=conversation)

    def _idle(self, shape: Shape, model: Model, asked: Asked, http: Request) -> Response:
        """Answer a request without a prompt: it only loads the model, or unloads it."""
        unloads = _unloads(asked)
        if not unloads:
            request.check_options(asked.options)
        self.services.loaded.use(model, request.keep_alive(asked.keep_alive))
        reason = "unload" if unloads else "load"
        return json_answer(idle_answer(shape, asked.model or "", record_of(http.scope).arrived, reason))

    def _answer(
        self,
        http: Request,
        asked: Asked,
        model: Model,
        shape: Shape,
        completion: request.Completion,
        *,
        conversation: Conversation | None = None,
    ) -> Response:
        """Ask the backend; `conversation` is what the answer belongs to, where it is to be carried on."""
        if asked.debug_render_only:
            self.services.loaded.use(model, request.keep_alive(asked.keep_alive))
            return json_answer(debug_answer(shape, completion, asked.model or "", record_of(http.scope).arrived))
        streamed = asked.stream is not False
        use = partial(self.services.loaded.hold, model, request.keep_alive(asked.keep_alive))
        reply = Reply(
            shape,
            model=asked.model or "",
            arrived=record_of(http.scope).arrived,
            streamed=streamed,
            hide_thinking=asked.think is False,
            top_logprobs=(asked.top_logprobs or 0) if asked.logprobs else None,
        )
        encoder = ContextEncoder(reply, conversation) if conversation else ReplyEncoder(reply)
        translator = ReplyTranslator(encoder, self.services.upstream.secrets, self.services.max_event)
        call = self._call(completion, asked.model or "", streamed=streamed)
        services = self.services
        return Exchange(services.upstream, call, translator, services.pulse, admission=services.admission, on_open=use)

    def _call(self, completion: request.Completion, name: str, *, streamed: bool) -> Call:
        """Return what the backend is asked. `name` is the client's of the model."""
        profile, body = self.services.models.profile, completion.body
        path, rooted, no_route = "/chat/completions", False, ""
        if completion.raw:
            no_route = generation.no_insert(name) if "suffix" in body else generation.no_completions(name)
            path, rooted, body = plain.ask(body, profile)
        data = encode(body, profile, extensions=completion.extensions, think=completion.think)
        without_usage = partial(_without_usage, completion, body, profile) if streamed else None
        return Call(path, data, name, streamed, without_usage, rooted=rooted, no_route=no_route)


def _without_usage(completion: request.Completion, body: Mapping[str, Any], profile: Profile) -> bytes:
    """Return the body of a call that does not ask a stream for its usage."""
    kept = {key: body[key] for key in body if key != "stream_options"}
    return encode(kept, profile, extensions=completion.extensions, think=completion.think)


def _unloads(asked: Asked) -> bool:
    """Whether the request, having no prompt, asks to unload the model."""
    return request.keep_alive(asked.keep_alive) == 0
