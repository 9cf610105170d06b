"""What Go's JSON decoder says about a body that it can't take (contract 1.7).

This is the slow path: a body that `wire.decode` reads at once never comes here. It also takes what
Go takes and a strict decoder does not: keys in another case, bytes after the first value, unknown
fields, text that is no UTF-8.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, NamedTuple, NoReturn

from ollama_openai_proxy.errors import InvalidRequest
from ollama_openai_proxy.translate.text import mend

_SPACE = " \t\r\n"
_LITERALS = {"t": "true", "f": "false", "n": "null"}
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{}]', re.DOTALL)
# Where a comma is due, Go names the container; finding it means reading what came before.
_MAX_LOOK_BACK = 1_000_000


class Kind(NamedTuple):
    """A Go type: its name in messages, and what may stand in it."""

    name: str
    accepts: type
    fields: Mapping[str, Kind] | None = None
    item: Kind | None = None


STRING = Kind("string", str)
BOOL = Kind("bool", bool)
INT = Kind("int", int)
ANY = Kind("interface {}", object)
MAP = Kind("map[string]interface {}", dict)


def array(name: str, item: Kind) -> Kind:
    return Kind(name, list, item=item)


def struct(name: str, /, **fields: Kind) -> Kind:
    return Kind(name, dict, fields=fields)


def bind(body: bytes, kind: Kind) -> Any:
    """Return the body's first value, cut down to the fields of `kind`. Raises InvalidRequest."""
    value = mend(_load(body.decode("utf-8", "replace")))
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise InvalidRequest(f"json: cannot unmarshal {_word(value)} into Go value of type api.{kind.name}")
    return _bind(value, kind, kind.name)


def _bind(value: Any, kind: Kind, path: str) -> Any:
    if value is None or kind is ANY:
        return value
    if not isinstance(value, kind.accepts) or (isinstance(value, bool) and kind is INT):
        literal = f" {value}" if kind is INT and isinstance(value, float) else ""
        raise InvalidRequest(
            f"json: cannot unmarshal {_word(value)}{literal} into Go struct field {path} of type {kind.name}"
        )
    if kind.item and isinstance(value, list):
        return [_bind(item, kind.item, path) for item in value]
    if kind.fields is None or not isinstance(value, dict):
        return value
    bound = {}
    for key, item in value.items():
        name = key if key in kind.fields else key.lower()
        if name in kind.fields:
            bound[name] = _bind(item, kind.fields[name], f"{path}.{name}")
    return bound


def _word(value: Any) -> str:
    if isinstance(value, bool):
        return "bool"
    words: dict[type, str] = {str: "string", list: "array", dict: "object"}
    return words.get(type(value), "number")


def _load(text: str) -> Any:
    text = text.lstrip(_SPACE)
    if not text:
        raise InvalidRequest("missing request body")
    try:
        return json.JSONDecoder(parse_constant=_refuse_constant).raw_decode(text)[0]
    except json.JSONDecodeError as error:
        raise InvalidRequest(_explain(text, error)) from None
    except RecursionError:
        raise InvalidRequest("exceeded max depth") from None
    except ValueError:  # an integer of thousands of digits
        raise InvalidRequest("invalid number literal") from None


def _refuse_constant(constant: str) -> NoReturn:
    where = "in numeric literal" if constant.startswith("-") else "looking for beginning of value"
    raise InvalidRequest(f"invalid character '{constant.strip('-')[0]}' {where}")


def _explain(text: str, error: json.JSONDecodeError) -> str:
    position = error.pos
    if error.msg.startswith("Illegal trailing comma"):  # Python 3.13 points at the comma
        position += 1
    while text[position : position + 1] and text[position] in _SPACE:
        position += 1
    char = text[position : position + 1]
    if error.msg.startswith("Unterminated string") or not char:
        return "unexpected EOF"
    if error.msg.startswith("Expecting value"):
        return _explain_value(text, position)
    where = {
        "Expecting property name enclosed in double quotes": "looking for beginning of object key string",
        "Illegal trailing comma before end of object": "looking for beginning of object key string",
        "Illegal trailing comma before end of array": "looking for beginning of value",
        "Expecting ':' delimiter": "after object key",
        "Invalid control character at": "in string literal",
        "Invalid \\escape": "in string escape code",
        "Invalid \\uXXXX escape": "in \\u hexadecimal character escape",
    }.get(error.msg.removesuffix(": "))
    return f"invalid character {_char(char)} {where or _container(text, position)}"


def _explain_value(text: str, position: int) -> str:
    char = text[position]
    literal = _LITERALS.get(char)
    if literal is None:
        number = char == "-"
        char = text[position + 1 : position + 2] if number else char
        if not char:
            return "unexpected EOF"
        return f"invalid character {_char(char)} " + (
            "in numeric literal" if number else "looking for beginning of value"
        )
    for offset, expected in enumerate(literal):
        found = text[position + offset : position + offset + 1]
        if not found:
            break
        if found != expected:
            return f"invalid character {_char(found)} in literal {literal} (expecting {_char(expected)})"
    return "unexpected EOF"


def _container(text: str, position: int) -> str:
    stack: list[str] = []
    for match in _TOKEN.finditer(text[:position] if position < _MAX_LOOK_BACK else "{"):
        found = match[0]
        if found in "[{":
            stack.append(found)
        elif found in "]}" and stack:
            stack.pop()
    if not stack:
        return "after top-level value"
    return "after array element" if stack[-1] == "[" else "after object key:value pair"


def _char(char: str) -> str:
    return {"'": "'\\''", '"': "'\"'"}.get(char) or "'" + json.dumps(char, ensure_ascii=False)[1:-1] + "'"
