"""Managing models: what a proxy can do of it, and honest refusals of the rest (contract 5.11 to 5.16)."""

from __future__ import annotations

import logging
import time
from contextlib import suppress

from fastapi import Request, Response

from ollama_openai_proxy.errors import InvalidRequest, ModelNotFound, ProxyError, UpstreamError
from ollama_openai_proxy.serve.handlers import Handlers, Route, Services
from ollama_openai_proxy.serve.progress import told
from ollama_openai_proxy.serve.recorder import record_of
from ollama_openai_proxy.translate.aliases import Alias
from ollama_openai_proxy.translate.models import Model, check_source
from ollama_openai_proxy.translate.ollama import create, management
from ollama_openai_proxy.translate.ollama.golang import quote
from ollama_openai_proxy.translate.ollama.management import (
    CopyRequest,
    CreateRequest,
    DeleteRequest,
    PullRequest,
    PushRequest,
    named,
)
from ollama_openai_proxy.translate.ollama.names import parse, spelled
from ollama_openai_proxy.translate.ollama.request import required

_INVALID = "invalid model name"
_log = logging.getLogger(__name__)


class Management(Handlers):
    """`/api/pull`, `/api/push`, `/api/create`, `/api/copy`, `/api/delete` and `/api/blobs/:digest`."""

    def __init__(self, services: Services, *, enabled: bool) -> None:
        """`enabled`: whether clients may change anything."""
        super().__init__(services)
        self._enabled = enabled

    def routes(self) -> tuple[Route, ...]:
        return (
            Route("/api/pull", ("POST",), self.pull),
            Route("/api/push", ("POST",), self.push),
            Route("/api/create", ("POST",), self.create),
            Route("/api/copy", ("POST",), self.copy),
            Route("/api/delete", ("DELETE",), self.delete),
            Route("/api/blobs/{digest}", ("HEAD", "POST"), self.blob),
        )

    async def pull(self, http: Request) -> Response:
        """Tell that a model is there. Nothing is fetched, so this is no change."""
        asked = management.decode(await self.body(http), PullRequest)
        streamed = asked.stream is not False
        try:
            return told(http, management.pulled(await self._sought(named(asked), http)), streamed=streamed)
        except ModelNotFound:
            return told(http, management.statuses(management.PULLING), management.no_model(), streamed=streamed)
        except UpstreamError as error:  # it could not be asked
            return told(http, management.statuses(management.PULLING), error, streamed=streamed)

    async def push(self, http: Request) -> Response:
        self._may_change()
        asked = management.decode(await self.body(http), PushRequest)
        name = required(named(asked))
        streamed = asked.stream is not False
        lines = management.statuses("retrieving manifest")
        if await self._known(name, http):
            return told(http, lines, ProxyError("unauthorized: access denied", outcome="auth"), streamed=streamed)
        if not (parsed := parse(name)):
            raise InvalidRequest(_INVALID)
        lines += management.statuses("couldn't retrieve manifest")
        return told(http, lines, management.no_manifest(parsed), streamed=streamed)

    async def create(self, http: Request) -> Response:
        self._may_change()
        asked = management.decode(await self.body(http), CreateRequest)
        create.check(asked)
        streamed = asked.stream is not False
        name = await self._destination(named(asked), _INVALID)
        try:
            lines = await self._created(asked, name, http)
        except ModelNotFound:
            return told(http, management.statuses(management.PULLING), management.no_model(), streamed=streamed)
        except ProxyError as error:
            return told(http, (), error, streamed=streamed)
        return told(http, lines, streamed=streamed)

    async def _created(self, asked: CreateRequest, name: str, http: Request) -> list[bytes]:
        base = await self._sought(create.base_of(asked), http)
        alias = create.made(asked, name, base, self._alias(base), int(time.time()))
        await self.services.aliases.put(alias)
        _audit("create", name, base.name)
        record_of(http.scope).model = name
        return management.created(create.layers(base, alias.preset))

    async def copy(self, http: Request) -> Response:
        self._may_change()
        asked = management.decode(await self.body(http), CopyRequest)
        source, destination = asked.source or "", asked.destination or ""
        if not await self._known(source, http) and not parse(source):
            raise InvalidRequest(f"source {quote(source)} is invalid")
        name = await self._destination(destination, f"destination {quote(destination)} is invalid")
        try:
            model = await self._sought(source, http)
        except ModelNotFound:
            raise InvalidRequest(f"model {quote(source)} not found", status=404, outcome="not_found") from None
        if name != model.name:
            await self.services.aliases.put(create.copied(name, model, self._alias(model), int(time.time())))
            _audit("copy", name, model.name)
        return Response()

    async def delete(self, http: Request) -> Response:
        self._may_change()
        name = required(named(management.decode(await self.body(http), DeleteRequest)))
        model = await self._known(name, http)
        if not model:
            raise ModelNotFound(name) if parse(name) else InvalidRequest(f"name {quote(name)} is invalid")
        if not self._alias(model):
            raise InvalidRequest(f"{quote(name)} does not support delete")
        if not await self.services.aliases.remove(model.name):  # somebody else was faster
            raise ModelNotFound(name)
        _audit("delete", model.name)
        return Response()

    async def blob(self, http: Request) -> Response:
        """Say that there is no such blob, or that none is taken. The server drops what comes of its bytes."""
        posted = http.method == "POST"
        if posted:
            self._may_change()
        if not management.is_digest(http.path_params["digest"]):
            raise InvalidRequest("invalid digest format")
        if posted:
            raise InvalidRequest("blobs are not supported: this server keeps no weights")
        record_of(http.scope).outcome = "not_found"
        return Response(status_code=404)

    def _may_change(self) -> None:
        if not self._enabled:
            raise InvalidRequest("model management is disabled", status=403)

    async def _known(self, name: str, http: Request) -> Model | None:
        """Return the model, if it is there as far as is known. Raises ProxyError while nothing is."""
        check_source(name)
        record, models = record_of(http.scope), self.services.models
        record.model = name
        with record.waiting():
            if found := await models.listed(name):
                return found
            if parse(name):
                with suppress(ModelNotFound):
                    await models.find(name, asks=False)
        return None

    async def _sought(self, name: str, http: Request) -> Model:
        """Return the model, for which the backend is asked anew if it is not known. Raises ProxyError."""
        check_source(name)
        record, models = record_of(http.scope), self.services.models
        record.model = name
        with record.waiting():
            if found := await models.listed(name):
                return found
            if not parse(name):
                raise InvalidRequest(_INVALID)
            await models.renew()
            return await models.find(name, asks=False)

    async def _destination(self, name: str, invalid: str) -> str:
        """Return the name under which a new alias is kept. Raises InvalidRequest with the text `invalid`."""
        check_source(name)
        parsed = parse(name)
        if not parsed:
            raise InvalidRequest(invalid)
        models = self.services.models
        if found := await models.listed(name):
            return found.name
        return spelled(parsed, (model.name for model in await models.models())).display

    def _alias(self, model: Model) -> Alias | None:
        """Return the alias that the model is, if it is one that a client has made."""
        return next((alias for alias in self.services.aliases.current() if alias.name == model.name), None)


def _audit(action: str, name: str, source: str = "") -> None:
    _log.info("models changed", extra={"action": action, "model": name, **({"source": source} if source else {})})
