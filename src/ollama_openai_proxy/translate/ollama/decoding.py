"""Bodies of requests: read at once where they are plain, and as Go would read them where not.

What that costs goes by the values in a body, so those are limited: nobody holds up the others for long.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any, Generic, TypeVar

import msgspec

from ollama_openai_proxy.errors import InvalidRequest
from ollama_openai_proxy.translate.ollama import gojson
from ollama_openai_proxy.translate.ollama.gojson import Kind
from ollama_openai_proxy.translate.ollama.measure import has_more

MAX_VALUES = 200_000  # in a body: ten thousand messages have a fifth of them
MAX_ODD_VALUES = 40_000  # in one that Go's way reads, which takes ten times as long
TOO_MANY = "request body has too many values"


class Wire(msgspec.Struct, forbid_unknown_fields=True):
    """Base of all requests. Unknown fields lead to the slow path, where they are told from keys in another case."""


Request = TypeVar("Request", bound=Wire)

_members = msgspec.json.Decoder(dict[str, msgspec.Raw])


class Body(Generic[Request]):
    """The body of one route."""

    def __init__(self, kind: type[Request], go: Kind) -> None:
        """`go` is the type by which Ollama reads the same body."""
        self._decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(kind)
        self._go = go
        self._fields = go.fields or {}

    def decode(self, body: bytes) -> Request:
        """Return the request. Raises InvalidRequest with the words of Ollama's own decoder."""
        if has_more(body, MAX_VALUES):
            raise InvalidRequest(TOO_MANY)
        try:
            return self._decoded(body)
        except RecursionError:
            raise InvalidRequest("exceeded max depth") from None

    def _decoded(self, body: bytes) -> Request:
        try:
            # `Raw` parts are not looked into: that they are UTF-8 is checked here.
            return self._read(body if body.isascii() else body.decode())
        except (msgspec.DecodeError, UnicodeDecodeError):
            return self._oddly_decoded(body)

    def _oddly_decoded(self, body: bytes) -> Request:
        with suppress(msgspec.DecodeError, UnicodeDecodeError):
            if known := self._known(body):
                return self._read(known)
        if has_more(body, MAX_ODD_VALUES):
            raise InvalidRequest("invalid request body")
        bound = gojson.bind(body, self._go)
        try:
            return self._read(msgspec.json.encode(bound))
        except msgspec.DecodeError:
            raise InvalidRequest("invalid request body") from None

    def _read(self, body: bytes | str) -> Request:
        request: Request = self._decoder.decode(body)
        return request

    def _known(self, body: bytes) -> bytes | None:
        """Return the body without the fields that nobody knows; None where they are not all that is odd about it.

        Most odd bodies are of clients that send another API's fields as well.
        """
        members = _members.decode(body if body.isascii() else body.decode())
        known = {key: value for key, value in members.items() if key in self._fields}
        others = members.keys() - known.keys()
        if not others or any(key.lower() in self._fields for key in others):
            return None
        return msgspec.json.encode(known)
