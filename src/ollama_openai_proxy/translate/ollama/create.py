"""`/api/create` and `/api/copy`: an alias of a model, made of what a client asks for (contract 5.13, 5.14)."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from ollama_openai_proxy.errors import InvalidRequest
from ollama_openai_proxy.translate.aliases import Alias
from ollama_openai_proxy.translate.models import Model, Preset
from ollama_openai_proxy.translate.ollama import catalog, options
from ollama_openai_proxy.translate.ollama.gojson import word
from ollama_openai_proxy.translate.ollama.golang import quote
from ollama_openai_proxy.translate.ollama.gotemplate.parse import MAX_TEMPLATE, parse
from ollama_openai_proxy.translate.ollama.management import CreateRequest
from ollama_openai_proxy.translate.ollama.messages import conversation
from ollama_openai_proxy.translate.ollama.wire import Message, ToolCall

_NO_WEIGHTS = "this server keeps no weights, it can only make a model 'from' another"
_COUNT = re.compile(r"(\d+(?:\.\d+)?)([KMBT]?)", re.IGNORECASE | re.ASCII)
_UNITS = {"": 1, "K": 10**3, "M": 10**6, "B": 10**9, "T": 10**12}
_MOST = 2**63 - 1
# What Go and Ollama know and the proxy does not, and the proxy's own limits: of these a template may be kept and shown.
_OTHER_FUNCTIONS = "call|html|js|print|printf|println|urlquery|currentDate|yesterdayDate|toTypeScriptType"
_NOT_WRONG = re.compile(
    r"template error: (?:\{\{(?:define|template|block)\}\} is not supported"
    rf"|function \"(?:{_OTHER_FUNCTIONS})\" not defined|more than {MAX_TEMPLATE} characters|nested too deeply)"
)


def check(request: CreateRequest) -> None:
    """Check what Ollama checks first of all. Raises InvalidRequest."""
    for field in ("files", "adapters", "draft_files"):
        for path, found in (getattr(request, field) or {}).items():
            if not isinstance(found, str):
                where = f"Go struct field CreateRequest.{field} of type string"
                raise InvalidRequest(f"json: cannot unmarshal {word(found)} into {where}")
            if field != "adapters" and not _is_relative(path):
                raise InvalidRequest("file path must be relative")
            if field != "adapters" and not found:
                raise InvalidRequest("invalid digest format")
    if request.draft_quantize and not request.draft_files:
        raise InvalidRequest("--draft-quantize requires a DRAFT model")


def base_of(request: CreateRequest) -> str:
    """Return the name of the model that the new one is made from. Raises InvalidRequest."""
    if not request.base and not request.files:
        raise InvalidRequest("neither 'from' or 'files' was specified")
    for field in ("files", "adapters", "draft_files", "quantize", "quantization", "remote_host"):
        if getattr(request, field):
            raise InvalidRequest(f"'{field}' is not supported: {_NO_WEIGHTS}")
    return request.base or ""


def made(request: CreateRequest, name: str, base: Model, alias: Alias | None, now: int) -> Alias:
    """Return the new alias. Raises InvalidRequest.

    `alias` is what `base` is, if it is one: what its maker told of it is inherited; `now` is in
    seconds since 1970.
    """
    copy = copied(name, base, alias, now)
    preset = _preset(request, base.preset)
    return msgspec.structs.replace(copy, parent=base.name, preset=preset, **_told(request.info or {}))


def copied(name: str, model: Model, alias: Alias | None, now: int) -> Alias:
    """Return an alias that is the same model under another name."""
    if alias:
        return msgspec.structs.replace(alias, name=name, modified=now)
    # Where the models file made it, by its name: what that says of it is found so.
    parent = model.name if model.upstream else model.parent
    return Alias(name=name, upstream=model.upstream_id, modified=now, parent=parent, preset=model.preset)


def layers(base: Model, preset: Preset) -> list[tuple[str, bool]]:
    """Return what a model made from `base` consists of: the digest of each part, and whether it is new."""
    parts = {catalog.digest(base): False}
    had = {*_digests(base.preset)}
    for found in _digests(preset):
        parts.setdefault(found, found not in had)
    return list(parts.items())


def _digests(preset: Preset) -> Iterator[str]:
    parts = [preset.template.encode(), preset.system.encode(), *(text.encode() for text in preset.license)]
    parts += [msgspec.json.encode(part) for part in (preset.parameters, preset.messages) if part]
    return (hashlib.sha256(part).hexdigest() for part in parts if part)


def _is_relative(path: str) -> bool:
    return bool(path) and not path.startswith("/") and ".." not in path.split("/")


def _preset(request: CreateRequest, base: Preset) -> Preset:
    given = {key: value for key, value in (request.parameters or {}).items() if value is not None}
    try:
        options.translate(given)
    except InvalidRequest as error:
        raise InvalidRequest(error.message) from None  # not Ollama's 500: here it is a field of the request
    _check_template(request.template or "")
    messages = request.messages or []
    conversation(messages)
    return Preset(
        system=request.system or base.system,
        template=request.template or base.template,
        license=_licenses(request.license) or base.license,
        parameters={**base.parameters, **given},
        messages=tuple(map(_stored, messages)) or base.messages,
    )


def _check_template(text: str) -> None:
    """Raise InvalidRequest for what Ollama would not take for a template either, as far as the proxy can tell."""
    try:
        parse(text)
    except InvalidRequest as error:
        if not _NOT_WRONG.fullmatch(error.message):
            raise


def _licenses(value: Any) -> tuple[str, ...]:
    texts = value if isinstance(value, list) else [value or ""]
    if not all(isinstance(text, str) for text in texts):
        raise InvalidRequest("license must be a string or an array of strings")
    return tuple(filter(None, texts))


def _stored(message: Message) -> Mapping[str, Any]:
    """Return a message as it is kept: with the keys that it came with."""
    plain = ("role", "content", "thinking", "images", "tool_name", "tool_call_id")
    kept: dict[str, Any] = {key: value for key in plain if (value := getattr(message, key)) is not None}
    if message.tool_calls:
        kept["tool_calls"] = [_stored_call(call) for call in message.tool_calls]
    return kept


def _stored_call(call: ToolCall) -> Mapping[str, Any]:
    kept: dict[str, Any] = {"id": call.id} if call.id is not None else {}
    if call.function:
        given = call.function
        function: dict[str, Any] = {
            key: value for key in ("index", "name") if (value := getattr(given, key)) is not None
        }
        if bytes(given.arguments):
            function["arguments"] = _arguments(given.arguments)
        kept["function"] = function
    return kept


def _arguments(raw: msgspec.Raw) -> Any:
    try:
        return msgspec.json.decode(raw)
    except (msgspec.DecodeError, RecursionError):  # a number that is too large, say: until here nobody looked
        raise InvalidRequest("invalid request body") from None


def _told(info: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a client tells of its model, under the names of an alias. Raises InvalidRequest (contract 5.13)."""
    for key in ("model_family", "base_name", "quantization_level", "parameter_size"):
        if not isinstance(info.get(key, ""), str):
            raise InvalidRequest(f"info field {quote(key)} must be a string")
    told = {
        "capabilities": _capabilities(info.get("capabilities", [])),
        "family": info.get("model_family"),
        "quantization": info.get("quantization_level"),
        "parameter_count": _parameters(info.get("parameter_size", "")),
        "context_length": _length("context_length", info.get("context_length", 0)),
        "embedding_length": _length("embedding_length", info.get("embedding_length", 0)),
    }
    return {key: value for key, value in told.items() if value}


def _capabilities(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise InvalidRequest('info field "capabilities" must be an array of strings')
    for place, item in enumerate(value):
        if not isinstance(item, str):
            raise InvalidRequest(f'info field "capabilities" element {place} must be a string')
    return tuple(value)


def _length(key: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidRequest(f"info field {quote(key)} must be a number")
    if not (0 <= value <= _MOST and value == int(value)):
        raise InvalidRequest(f"info field {quote(key)} must be a non-negative integer")
    return int(value)


def _parameters(text: str) -> int:
    match = _COUNT.fullmatch(text.strip()) if len(text) < 32 else None
    if text and not match:
        raise InvalidRequest('info field "parameter_size" must be a number such as 7B')
    count = int(float(match[1]) * _UNITS[match[2].upper()]) if match else 0
    return _length("parameter_size", count)
