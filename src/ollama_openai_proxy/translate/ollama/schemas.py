"""JSON Schemas of requests and answers, made of the types that read and describe them (draft 2020-12).

They say what Ollama documents. What its decoder takes beyond that, keys in another case among it, they do not.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
from msgspec import inspect

from ollama_openai_proxy.translate.ollama.decoding import Wire
from ollama_openai_proxy.translate.ollama.options import OPTIONS
from ollama_openai_proxy.translate.ollama.support_fields import FIELDS
from ollama_openai_proxy.translate.ollama.support_fields import OPTIONS as NOTES

Schema = dict[str, Any]

REFERENCE = "#/components/schemas/{name}"
_TEXTS: Schema = {"anyOf": [{"type": ["string", "null"]}, {"type": "array", "items": {"type": "string"}}]}
_TYPES = {"integer": "integer", "float32": "number", "boolean": "boolean"}
_PLAIN = {inspect.StrType: "string", inspect.IntType: "integer", inspect.BoolType: "boolean", inspect.NoneType: "null"}
_TOOL: Schema = {
    "type": "object",
    "required": ["type", "function"],
    "properties": {
        "type": {"const": "function"},
        "function": {
            "type": "object",
            "required": ["name"],
            "properties": {
                "name": {"type": "string"},
                "description": {"type": "string"},
                "parameters": {"type": "object", "properties": {"type": {"const": "object"}}},
            },
        },
    },
}


# What the types leave open, because Ollama's own words are wanted for what is wrong with it.
_SHAPES: dict[str, Schema] = {
    "keep_alive": {
        "anyOf": [
            {"type": "string", "pattern": r"^-?([0-9]{1,4}(\.[0-9]{1,3})?(ns|us|ms|s|m|h)){1,3}$"},
            {"type": ["number", "null"]},
        ],
        "examples": ["5m", -1, 0],
    },
    "images": {"type": ["array", "null"], "items": {"type": "string", "format": "byte"}},
    "top_logprobs": {"anyOf": [{"type": "integer", "minimum": 0, "maximum": 20}, {"type": "null"}]},
    "think": {"anyOf": [{"type": ["boolean", "null"]}, {"enum": ["low", "medium", "high", "max"]}]},
    "format": {"anyOf": [{"enum": ["json", "", None]}, {"type": "object"}]},
    "input": _TEXTS,
    "license": _TEXTS,
    "arguments": {"type": "object"},
    "tools": {"type": ["array", "null"], "items": _TOOL},
    "type": {"type": ["string", "null"]},
    "files": {"type": ["object", "null"], "additionalProperties": {"type": "string"}},
    "adapters": {"type": ["object", "null"], "additionalProperties": {"type": "string"}},
    "draft_files": {"type": ["object", "null"], "additionalProperties": {"type": "string"}},
}
# What a request can't do without, but where an older name stands beside it.
_NEEDED = ("model", "source", "destination")


def requests() -> dict[str, Schema]:
    """Return the schema of each request, by its name, with what becomes of each field."""
    return {kind.__name__: _request(kind) for kind in FIELDS}


def answers(kinds: Iterable[type[msgspec.Struct]]) -> dict[str, Schema]:
    """Return the schemas of the answers, and of what is in them, by their names."""
    _, components = msgspec.json.schema_components(kinds, ref_template=REFERENCE)
    return components


def reference(kind: type[msgspec.Struct]) -> Schema:
    return {"$ref": REFERENCE.format(name=kind.__name__)}


def _request(kind: type[Wire]) -> Schema:
    properties = {}
    for field in msgspec.structs.fields(kind):
        row = FIELDS[kind][field.encode_name]
        properties[field.encode_name] = {
            **_shape(field.encode_name, field.type),
            "description": f"{row.support}: {row.note}",
            "x-support": row.support,
        }
    needed = [name for name in properties if name in _NEEDED and "name" not in properties]
    return {
        "title": kind.__name__,
        "type": "object",
        "properties": properties,
        **({"required": needed} if needed else {}),
    }


def _shape(name: str, kind: Any) -> Schema:
    if name in ("options", "parameters"):
        return _options()
    return _SHAPES.get(name) or _schema(inspect.type_info(kind))


def _schema(kind: inspect.Type) -> Schema:
    match kind:
        case inspect.UnionType():
            return {"anyOf": [_schema(part) for part in kind.types]}
        case inspect.ListType():
            return {"type": "array", "items": _schema(kind.item_type)}
        case inspect.DictType():
            return {"type": "object"}
        case inspect.StructType():
            return reference(kind.cls)
    return {"type": _PLAIN[type(kind)]}


def _options() -> Schema:
    stop: Schema = {"type": "array", "items": {"type": "string"}}
    typed = {option.key: {"type": _TYPES[option.type]} if option.type in _TYPES else stop for option in OPTIONS}
    notes = {key: {"description": f"{row.support}: {row.note}", "x-support": row.support} for key, row in NOTES.items()}
    properties = {key: {"anyOf": [schema, {"type": "null"}], **notes[key]} for key, schema in typed.items()}
    return {"type": ["object", "null"], "properties": properties}
