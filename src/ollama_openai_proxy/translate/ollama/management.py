"""What clients send to manage models, and the lines in which they are told how it goes (contract 5.11 to 5.16)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import msgspec

from ollama_openai_proxy.errors import ProxyError
from ollama_openai_proxy.translate.models import Model
from ollama_openai_proxy.translate.ollama.catalog import digest, size
from ollama_openai_proxy.translate.ollama.decoding import Body, Request, Wire
from ollama_openai_proxy.translate.ollama.gojson import ANY, BOOL, MAP, STRING, Kind, array, struct
from ollama_openai_proxy.translate.ollama.names import Name
from ollama_openai_proxy.translate.ollama.wire import MESSAGE, Message
from ollama_openai_proxy.translate.text import escape_separators

_DIGEST = re.compile(r"sha256[:-][0-9a-fA-F]{64}")


class PullRequest(Wire):
    """Also what a push sends. The rest of the fields is about a registry."""

    model: str | None = None
    name: str | None = None
    stream: bool | None = None
    insecure: bool | None = None
    username: str | None = None
    password: str | None = None


class PushRequest(PullRequest):
    pass


class DeleteRequest(Wire):
    model: str | None = None
    name: str | None = None


class CopyRequest(Wire):
    source: str | None = None
    destination: str | None = None


class CreateRequest(Wire):
    model: str | None = None
    name: str | None = None
    stream: bool | None = None
    base: str | None = msgspec.field(default=None, name="from")
    files: dict[str, Any] | None = None
    adapters: dict[str, Any] | None = None
    draft_files: dict[str, Any] | None = None
    draft_quantize: str | None = None
    template: str | None = None
    license: Any = None
    system: str | None = None
    parameters: dict[str, Any] | None = None
    messages: list[Message] | None = None
    renderer: str | None = None
    parser: str | None = None
    requires: str | None = None
    info: dict[str, Any] | None = None
    remote_host: str | None = None
    quantize: str | None = None
    quantization: str | None = None


_NAMED = {"model": STRING, "name": STRING}
_TRANSFER = {**_NAMED, "stream": BOOL, "insecure": BOOL, "username": STRING, "password": STRING}
_FILES = Kind("map[string]string", dict)
_CREATE = {
    **_NAMED,
    "stream": BOOL,
    **dict.fromkeys(("from", "draft_quantize", "template", "system", "renderer", "parser", "requires"), STRING),
    **dict.fromkeys(("remote_host", "quantize", "quantization"), STRING),
    **dict.fromkeys(("files", "adapters", "draft_files"), _FILES),
    "license": ANY,
    "parameters": MAP,
    "info": MAP,
    "messages": array("[]api.Message", MESSAGE),
}
_KINDS: dict[type[Wire], Kind] = {
    PullRequest: struct("PullRequest", **_TRANSFER),
    PushRequest: struct("PushRequest", **_TRANSFER),
    DeleteRequest: struct("DeleteRequest", **_NAMED),
    CopyRequest: struct("CopyRequest", source=STRING, destination=STRING),
    CreateRequest: struct("CreateRequest", **_CREATE),
}
_BODIES: dict[type[Wire], Body[Any]] = {kind: Body(kind, go) for kind, go in _KINDS.items()}


def decode(body: bytes, kind: type[Request]) -> Request:
    """Return the request. Raises InvalidRequest with the words of Ollama's own decoder."""
    request: Request = _BODIES[kind].decode(body)
    return request


def named(request: PullRequest | DeleteRequest | CreateRequest) -> str:
    """Return the name that a request gives, under its new key or its old one; "" for none."""
    return request.model or request.name or ""


def is_digest(text: str) -> bool:
    """Whether it may name a blob."""
    return _DIGEST.fullmatch(text) is not None


PULLING = "pulling manifest"
SUCCESS = "success"


def status(text: str, **facts: str | int) -> bytes:
    """Return a line of progress."""
    return escape_separators(msgspec.json.encode({"status": text, **facts})) + b"\n"


def statuses(*texts: str) -> list[bytes]:
    return [status(text) for text in texts]


def pulled(model: Model) -> list[bytes]:
    """Return the lines of a pull of what is there already: one layer, which was complete before."""
    found = digest(model)
    layer = status(f"pulling {found[:12]}", digest=f"sha256:{found}", total=size(model), completed=size(model))
    return [status(PULLING), layer, *statuses("verifying sha256 digest", "writing manifest", SUCCESS)]


def created(layers: Iterable[tuple[str, bool]]) -> list[bytes]:
    """Return the lines of a creation that was done. Each layer is its digest, and whether it is new."""
    verbs = {True: "creating new", False: "using existing"}
    told = [f"{verbs[is_new]} layer sha256:{found}" for found, is_new in layers]
    return statuses(*told, "writing manifest", SUCCESS)


def no_model() -> ProxyError:
    """Return what a pull says of a model that nobody has; clients look for these words (rule R10)."""
    return ProxyError("pull model manifest: file does not exist", outcome="not_found")


def no_manifest(name: Name) -> ProxyError:
    """Return what a push says of a model that is not there (contract 5.12)."""
    return ProxyError(f"open {name.path}: no such file or directory", outcome="not_found")
