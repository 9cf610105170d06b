"""What Go's JSON decoder says about a body that it can't take (contract 1.7).

This is the slow path: a body that `wire.decode` reads at once never comes here. It also takes what
Go takes and a strict decoder does not: keys in another case, bytes after the first value, unknown
fields, text that is no UTF-8.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any, NamedTuple, NoReturn

from ollama_openai_proxy.errors import InvalidRequest
from ollama_openai_proxy.translate.ollama.golang import quote
from ollama_openai_proxy.translate.text import mend

_SPACE = " \t\r\n"
_LITERALS = {"t": "true", "f": "false", "n": "null"}
_AFTER_DIGITS = (".", "e", "E")
_SIGNS = ("+", "-")
# What Python says of a string, what it points at before the wrong character, and what Go says.
_STRING_FAULTS = (
    ("Invalid control character", re.compile(""), "in string literal"),
    ("Invalid \\u", re.compile(r"u[0-9a-fA-F]{0,4}"), "in \\u hexadecimal character escape"),
    ("Invalid \\", re.compile(r"\\"), "in string escape code"),
)
_FAULTS = {
    "Expecting property name enclosed in double quotes": "looking for beginning of object key string",
    "Illegal trailing comma before end of object": "looking for beginning of object key string",
    "Illegal trailing comma before end of array": "looking for beginning of value",
    "Expecting ':' delimiter": "after object key",
}
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{}]', re.DOTALL)
# Where a comma is due, Go names the container; finding it means reading what came before.
_MAX_LOOK_BACK = 1_000_000
_MAX_LITERAL = 100  # characters of a number that are told
_MAX_INT64 = len("-9223372036854775808")


class Kind(NamedTuple):
    """A Go type: its name in messages, and what may stand in it. `item` is the type of each element or value."""

    name: str
    accepts: type
    fields: Mapping[str, Kind] | None = None
    item: Kind | None = None


class Literal:
    """A number as it was written, where that is no int64: what it becomes depends on the type that it is for."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text


STRING = Kind("string", str)
BOOL = Kind("bool", bool)
INT = Kind("int", int)
ANY = Kind("interface {}", object)
MAP = Kind("map[string]interface {}", dict)


def array(name: str, item: Kind) -> Kind:
    return Kind(name, list, item=item)


def mapping(name: str, item: Kind) -> Kind:
    return Kind(name, dict, item=item)


def struct(name: str, /, **fields: Kind) -> Kind:
    return Kind(name, dict, fields=fields)


def bind(body: bytes, kind: Kind) -> Any:
    """Return the body's first value, cut down to the fields of `kind`. Raises InvalidRequest."""
    try:
        text, is_whole = _decoded(body)
        value = _load(text)
        if not is_whole or b"\\u" in body:  # else nothing in it is half of a pair
            value = mend(value)
        if value is None:
            return {}
        if not isinstance(value, dict):
            raise InvalidRequest(f"json: cannot unmarshal {word(value)} into Go value of type api.{kind.name}")
        return _bind(value, kind, kind.name)
    except RecursionError:
        raise InvalidRequest("exceeded max depth") from None


def _decoded(body: bytes) -> tuple[str, bool]:
    """Return the text, and whether it is UTF-8; bytes that are not come as halves of surrogate pairs."""
    try:
        return body.decode(), True
    except UnicodeDecodeError:
        return body.decode("utf-8", "surrogateescape"), False


def _bind(value: Any, kind: Kind, path: str) -> Any:
    if value is None:
        return value
    if not isinstance(value, kind.accepts) or (isinstance(value, bool) and kind is INT):
        literal = f" {value.text[:_MAX_LITERAL]}" if kind is INT and isinstance(value, Literal) else ""
        raise InvalidRequest(
            f"json: cannot unmarshal {word(value)}{literal} into Go struct field {path} of type {kind.name}"
        )
    if kind.item is INT and isinstance(value, list) and set(map(type, value)) <= {int}:
        return value  # there may be millions
    if kind.item and isinstance(value, list):
        return [_zero(kind.item) if item is None else _bind(item, kind.item, path) for item in value]
    if kind.item and isinstance(value, dict):
        return {key: _zero(kind.item) if item is None else _bind(item, kind.item, path) for key, item in value.items()}
    if kind.fields is None or not isinstance(value, dict):
        return _plain(value, path)
    bound = {}
    for key, item in value.items():
        name = key if key in kind.fields else key.lower()
        if name in kind.fields:
            bound[name] = _bind(item, kind.fields[name], f"{path}.{name}")
    return bound


def _zero(kind: Kind) -> Any:
    """Return what a null stands for among others: what Go makes room for, and then leaves as it is."""
    zeros: dict[type, Any] = {str: "", bool: False, int: 0}
    return {} if kind.fields else zeros.get(kind.accepts)


def _plain(value: Any, path: str) -> Any:
    """Return the JSON value with numbers for literals. Raises InvalidRequest for what no float64 holds."""
    if isinstance(value, Literal):
        number = float(value.text)
        if math.isinf(number):
            literal = value.text[:_MAX_LITERAL]
            raise InvalidRequest(f"json: cannot unmarshal number {literal} into Go struct field {path} of type float64")
        return number
    if isinstance(value, dict):
        return {key: _plain(item, path) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item, path) for item in value]
    return value


def word(value: Any) -> str:
    """Return what Go's messages call the kind of a JSON value."""
    if isinstance(value, bool):
        return "bool"
    words: dict[type, str] = {str: "string", list: "array", dict: "object"}
    return words.get(type(value), "number")


def _load(text: str) -> Any:
    text = text.lstrip(_SPACE)
    if not text:
        raise InvalidRequest("missing request body")
    try:
        value, end = _decoder.raw_decode(text)
    except json.JSONDecodeError as error:
        raise InvalidRequest(_explain(text, error)) from None
    if text[end : end + 1] in _AFTER_DIGITS and text[end - 1].isdigit():
        raise InvalidRequest(_explain_number(text, end))
    return value


def _refuse_constant(constant: str) -> NoReturn:
    where = "in numeric literal" if constant.startswith("-") else "looking for beginning of value"
    raise InvalidRequest(f"invalid character '{constant.strip('-')[0]}' {where}")


def _integer(text: str) -> int | Literal:
    if len(text) < _MAX_INT64 - 1:
        return int(text)
    value = int(text) if len(text) <= _MAX_INT64 else None
    return Literal(text) if value is None or not -(2**63) <= value < 2**63 else value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return the members, each key at the place of its last value: it wins over the same key in another case."""
    members: dict[str, Any] = {}
    for key, value in pairs:
        members.pop(key, None)
        members[key] = value
    return members


_decoder = json.JSONDecoder(
    parse_constant=_refuse_constant, parse_float=Literal, parse_int=_integer, object_pairs_hook=_object
)


def _explain(text: str, error: json.JSONDecodeError) -> str:
    """Return Go's words for what Python's parser stumbled over; where that is depends on its version."""
    for fault, before, where in _STRING_FAULTS:
        if error.msg.startswith(fault):
            match = before.match(text, error.pos)
            return _invalid(text, match.end() if match else error.pos, where)
    if error.msg.startswith("Unterminated string"):
        return "unexpected EOF"
    position = error.pos + error.msg.startswith("Illegal trailing comma")  # Python 3.13 points at the comma
    position = len(text) - len(text[position:].lstrip(_SPACE))
    if error.msg.startswith("Expecting value"):
        return _explain_value(text, position)
    if text[position : position + 1] in _AFTER_DIGITS and text[position - 1].isdigit():
        return _explain_number(text, position)
    return _invalid(text, position, _FAULTS.get(error.msg) or _container(text, position))


def _explain_value(text: str, position: int) -> str:
    char = text[position : position + 1]
    if char == "-":
        return _invalid(text, position + 1, "in numeric literal")
    for offset, expected in enumerate(_LITERALS.get(char, "")):
        if text[position + offset : position + offset + 1] != expected:
            where = f"in literal {_LITERALS[char]} (expecting '{expected}')"
            return _invalid(text, position + offset, where)
    return _invalid(text, position, "looking for beginning of value")


def _explain_number(text: str, position: int) -> str:
    """Explain a number whose point or exponent, at `position`, has no digits."""
    if text[position] == ".":
        return _invalid(text, position + 1, "after decimal point in numeric literal")
    signed = text[position + 1 : position + 2] in _SIGNS
    return _invalid(text, position + 1 + signed, "in exponent of numeric literal")


def _container(text: str, position: int) -> str:
    stack: list[str] = []
    for match in _TOKEN.finditer(text[:position] if position < _MAX_LOOK_BACK else ""):
        found = match[0]
        if found in "[{":
            stack.append(found)
        elif found in "]}":
            stack.pop()
    return "after array element" if stack[-1:] == ["["] else "after object key:value pair"


def _invalid(text: str, position: int, where: str) -> str:
    char = text[position : position + 1]
    return f"invalid character {_char(char)} {where}" if char else "unexpected EOF"


def _char(char: str) -> str:
    """Return the character's first byte as Go prints it, which reads bodies byte by byte."""
    byte = chr(char.encode("utf-8", "surrogateescape")[0])
    return {"'": "'\\''", '"': "'\"'"}.get(byte) or f"'{quote(byte)[1:-1]}'"
