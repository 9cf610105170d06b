"""`tools`, which Ollama reads by types of its own and backends by JSON Schema (contract 3.7).

A tool that Ollama's decoder refuses is refused in its words. Any other goes on as it came, keywords that Ollama
does not know included; only what a chat completion can't do without is filled in.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec
from msgspec import Raw

from ollama_openai_proxy.errors import InvalidRequest
from ollama_openai_proxy.translate.ollama.gojson import ANY, STRING, Kind, array, struct, word
from ollama_openai_proxy.translate.ollama.plaintools import is_plain

T = TypeVar("T")

# What Ollama's reader of ordered objects says of anything else in their place.
NO_OBJECT = "Value looks like object, but can't find closing '}' symbol"

_PROPERTIES = Kind("api.ToolPropertiesMap", dict)  # of `_PROPERTY`
_STRINGS = array("[]string", STRING)
_PROPERTY_FIELDS: dict[str, Kind] = {
    "type": ANY,  # a string or several: `_check_type`
    "items": ANY,
    "description": STRING,
    "enum": array("[]interface {}", ANY),
    "properties": _PROPERTIES,
    "required": _STRINGS,
}
_PROPERTY = Kind("api.ToolProperty", dict, _PROPERTY_FIELDS)
_PROPERTY_FIELDS["anyOf"] = array("[]api.ToolProperty", _PROPERTY)
_PARAMETERS = struct("api.ToolFunctionParameters", type=STRING, required=_STRINGS, properties=_PROPERTIES)
_FUNCTION = struct("api.ToolFunction", name=STRING, description=STRING, parameters=_PARAMETERS)
_TOOL = struct("api.Tool", type=STRING, function=_FUNCTION)

_NO_PARAMETERS = Raw(b'{"type":"object","properties":{}}')
_members = msgspec.json.Decoder(dict[str, Raw])


def read(tools: list[Raw] | None) -> list[Raw]:
    """Return the tools of a chat completion, nulls left out. Raises InvalidRequest for what Ollama does not take."""
    try:
        return [tool if is_plain(tool) else looked_through(tool) for tool in tools or () if bytes(tool) != b"null"]
    except RecursionError:
        raise InvalidRequest("exceeded max depth") from None


def looked_through(tool: Raw) -> Raw:
    """Return the tool as a chat completion has it, each member looked at. Raises InvalidRequest, RecursionError."""
    _check(_decode(tool), _TOOL, "ChatRequest", "tools")
    translated = _translated(tool)
    return translated if isinstance(translated, Raw) else Raw(msgspec.json.encode(translated))


def _decode(tool: Raw) -> Any:
    try:
        return msgspec.json.decode(tool)
    except msgspec.DecodeError:  # a number that is too large: Go does not mind, where it has no use for it
        return json.loads(bytes(tool))


def _check(value: Any, kind: Kind, owner: str, path: str) -> None:
    """Go names the innermost struct, `owner`, and the whole path."""
    if value is None or kind is ANY:
        return
    if kind is _PROPERTIES:
        _check_properties(value, owner, path)
        return
    if not isinstance(value, kind.accepts):
        raise _mismatch(value, kind.name, owner, path)
    if isinstance(value, list) and kind.item:
        for item in value:
            _check(item, kind.item, owner, path)
    elif isinstance(value, dict) and kind.fields:
        # Properties are read one by one, by a decoder of their own: the struct around them is named.
        inner = owner if kind is _PROPERTY else kind.name.removeprefix("api.")
        members = _folded(value, kind)
        for key, item in members.items():
            _check(item, kind.fields.get(key, ANY), inner, f"{path}.{key}")
        if kind is _PROPERTY:
            _check_type(members.get("type"), owner, f"{path}.type")


def _check_properties(value: Any, owner: str, path: str) -> None:
    if not isinstance(value, dict):
        raise InvalidRequest(NO_OBJECT)
    for item in value.values():
        _check(item, _PROPERTY, owner, path)


def _check_type(value: Any, owner: str, path: str) -> None:
    if value is None or isinstance(value, str):
        return
    if not isinstance(value, list):
        raise _mismatch(value, "[]string", owner, path)
    for item in value:
        _check(item, STRING, owner, path)


def _folded(members: Mapping[str, T], kind: Kind) -> Mapping[str, T]:
    """Return the members with the names of the type's fields, which Go takes in any case."""
    known = kind.fields or {}
    if all(key in known or key.lower() not in known for key in members):
        return members
    return {key if key in known or key.lower() not in known else key.lower(): item for key, item in members.items()}


def _mismatch(value: Any, name: str, owner: str, path: str) -> InvalidRequest:
    return InvalidRequest(f"json: cannot unmarshal {word(value)} into Go struct field {owner}.{path} of type {name}")


def _translated(tool: Raw) -> Raw | dict[str, Any]:
    sent = _members.decode(tool)
    members = _folded(sent, _TOOL)
    filled: dict[str, Any] = {}
    if _is_missing(members.get("type"), b'""'):
        filled["type"] = "function"
    given = members.get("function")
    if given is not None and not _is_missing(given):
        function = _function(given)
        if function is not given:
            filled["function"] = function
    return {**members, **filled} if filled or members is not sent else tool


def _function(given: Raw) -> Raw | dict[str, Any]:
    sent = _members.decode(given)
    members = _folded(sent, _FUNCTION)
    parameters = _parameters(members.get("parameters"))
    if parameters is None:
        return given if members is sent else dict(members)
    return {**members, "parameters": parameters}


def _parameters(given: Raw | None) -> Any:
    """Return what stands in the place of parameters that OpenAI refuses, None where they may stay.

    It wants an object to have `properties`, even if there are none, and `required` to be a list: Go writes null for
    one that is empty.
    """
    if given is None or _is_missing(given, b"{}"):
        return _NO_PARAMETERS
    schema = _members.decode(given)
    filled: dict[str, Any] = dict(schema)
    if bytes(schema.get("type", b"")) == b'"object"' and _is_missing(schema.get("properties")):
        filled["properties"] = {}
    if bytes(schema.get("required", b"")) == b"null":
        del filled["required"]
    return None if filled == schema else filled


def _is_missing(value: Raw | None, empty: bytes = b"null") -> bool:
    return value is None or bytes(value) in (b"null", empty)
