"""What the handlers of Ollama's API share."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import NamedTuple

from fastapi import Request, Response

from ollama_openai_proxy.errors import InvalidRequest, ModelNotFound
from ollama_openai_proxy.limits import BodyLimits
from ollama_openai_proxy.observe.pulse import Pulse
from ollama_openai_proxy.serve.admission import Admission
from ollama_openai_proxy.serve.aliases import Aliases
from ollama_openai_proxy.serve.body import read_body
from ollama_openai_proxy.serve.catalog import Catalog
from ollama_openai_proxy.serve.loaded import LoadedModels
from ollama_openai_proxy.serve.recorder import record_of
from ollama_openai_proxy.translate.models import Model, is_valid_name
from ollama_openai_proxy.translate.ollama.reply import JSON
from ollama_openai_proxy.upstream.client import Upstream


class Services(NamedTuple):
    """What the handlers work with. `max_event`: the most bytes of one event of a streamed reply."""

    upstream: Upstream
    models: Catalog
    aliases: Aliases
    loaded: LoadedModels
    pulse: Pulse
    admission: Admission
    body: BodyLimits
    max_event: int


class Route(NamedTuple):
    """A path, its methods, and who answers."""

    path: str
    methods: tuple[str, ...]
    handler: Callable[[Request], Awaitable[Response]]


class Handlers:
    """Base of the handlers."""

    def __init__(self, services: Services) -> None:
        self.services = services

    async def body(self, http: Request) -> bytes:
        """Return the request's body. Raises InvalidRequest."""
        record, body = record_of(http.scope), read_body(http, self.services.body)
        if not isinstance(body, bytes):
            with record.waiting():
                body = await body
        record.bytes_in = len(body)
        return body

    async def find(self, name: str, http: Request, *, asks: bool = True) -> Model:
        """Return the model. Raises ModelNotFound, and InvalidRequest for what can't be a name.

        `asks`: whether the backend will be asked for an answer, and so can say itself what it has.
        """
        models = self.services.models
        record = record_of(http.scope)
        record.model = name
        if known := models.found(name):
            record.known_model = known.id
            return known
        try:
            with record.waiting():
                model = await models.find(name, asks=asks)
        except ModelNotFound:
            if not is_valid_name(name):
                raise InvalidRequest("invalid model name") from None
            raise
        record.known_model = model.id if models.knows(model) else ""
        return model


def json_answer(body: bytes, status: int = 200, kind: type[Response] = Response) -> Response:
    return kind(body, status, media_type=JSON)
