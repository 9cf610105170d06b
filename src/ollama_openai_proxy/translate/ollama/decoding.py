"""Bodies of requests: read at once where they are plain, and as Go would read them where not."""

from __future__ import annotations

from typing import Any, Generic, TypeVar

import msgspec

from ollama_openai_proxy.errors import InvalidRequest
from ollama_openai_proxy.translate.ollama import gojson
from ollama_openai_proxy.translate.ollama.gojson import Kind


class Wire(msgspec.Struct, forbid_unknown_fields=True):
    """Base of all requests. Unknown fields lead to the slow path, where they are told from keys in another case."""


Request = TypeVar("Request", bound=Wire)


class Body(Generic[Request]):
    """The body of one route."""

    def __init__(self, kind: type[Request], go: Kind) -> None:
        """`go` is the type by which Ollama reads the same body."""
        self._decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(kind)
        self._go = go

    def decode(self, body: bytes) -> Request:
        """Return the request. Raises InvalidRequest with the words of Ollama's own decoder."""
        try:
            # `Raw` parts are not looked into: that they are UTF-8 is checked here.
            request: Request = self._decoder.decode(body if body.isascii() else body.decode())
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            bound = gojson.bind(body, self._go)
            try:
                request = self._decoder.decode(msgspec.json.encode(bound))
            except (msgspec.DecodeError, RecursionError):
                raise InvalidRequest("invalid request body") from None
        return request
