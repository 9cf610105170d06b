"""The functions that templates may call (https://pkg.go.dev/text/template#hdr-Functions), and how values are seen.

All of them raise InvalidRequest, `template error: ...`, for arguments that they do not take. `and` and `or` are in
`run.py`: they do not look at all their arguments.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from ollama_openai_proxy.translate.ollama.gotemplate.lex import error
from ollama_openai_proxy.translate.text import escape_separators

# Text, a boolean, a number, None, a list of values, or a mapping of names to values.
Value = Any


def truth(value: Value) -> bool:
    return bool(value)  # Go's truth is Python's, for these types


def printed(value: Value) -> str:
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return f"{value:g}" if isinstance(value, float) else str(value)
    return error(f"can't print {kind(value)}")


def kind(value: Value) -> str:
    """Return the name of a value's type, for messages."""
    names = {bool: "bool", int: "int", float: "float64", str: "string", list: "list"}
    return names.get(type(value), "nil" if value is None else "map")


def _want(name: str, values: list[Value], least: int, most: int) -> None:
    if not least <= len(values) <= most:
        error(f"wrong number of args for {name}: want {least} got {len(values)}")


def _basic(value: Value) -> str:
    """Return the kind by which a value is compared. Raises InvalidRequest for what can't be."""
    found = kind(value)
    return error("non-comparable type") if found in ("list", "map") else found


def _eq(values: list[Value]) -> bool:
    if len(values) < 2:
        error("missing argument for comparison")
    first, *others = values
    kinds = {_basic(value) for value in values} - {"nil"}
    if len(kinds) > 1:
        error("incompatible types for comparison")
    return any(first == other for other in others)


def _ne(values: list[Value]) -> bool:
    _want("ne", values, 2, 2)
    return not _eq(values)


def _lt(values: list[Value]) -> bool:
    _want("lt", values, 2, 2)
    kinds = {_basic(value) for value in values}
    if len(kinds) > 1 or kinds & {"bool", "nil"}:
        error("incompatible types for comparison")
    smaller: bool = values[0] < values[1]
    return smaller


def _not(values: list[Value]) -> bool:
    _want("not", values, 1, 1)
    return not truth(values[0])


def _len(values: list[Value]) -> int:
    _want("len", values, 1, 1)
    (value,) = values
    if isinstance(value, str):
        return len(value.encode())
    return len(value) if isinstance(value, list | Mapping) else error(f"len of type {kind(value)}")


def _index(values: list[Value]) -> Value:
    if not values:
        error("wrong number of args for index: want at least 1 got 0")
    value, *keys = values
    for key in keys:
        if isinstance(value, Mapping) and isinstance(key, str):
            value = value.get(key)
        elif isinstance(value, list):
            value = value[_position(key, len(value) - 1)]
        else:
            error(f"can't index item of type {kind(value)}")
    return value


def _slice(values: list[Value]) -> Value:
    _want("slice", values, 1, 3)
    value, *bounds = values
    if not isinstance(value, list | str):
        error(f"can't slice item of type {kind(value)}")
    text = value.encode() if isinstance(value, str) else value
    start = _position(bounds[0], len(text)) if bounds else 0
    stop = _position(bounds[1], len(text)) if len(bounds) == 2 else len(text)
    if start > stop:
        error(f"invalid slice index: {start} > {stop}")
    part = text[start:stop]
    return part.decode(errors="replace") if isinstance(part, bytes) else part


def _position(key: Value, last: int) -> int:
    if kind(key) != "int":
        error(f"can't index slice/array with type {kind(key)}")
    position: int = key
    return position if 0 <= position <= last else error(f"index out of range: {position}")


def _json(values: list[Value]) -> str:
    _want("json", values, 1, 1)
    text = escape_separators(msgspec.json.encode(values[0])).decode()
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")  # as Go does


FUNCTIONS: Mapping[str, Callable[[list[Value]], Value]] = {
    "not": _not,
    "eq": _eq,
    "ne": _ne,
    "lt": _lt,
    "le": lambda values: _lt(values) or _eq(values),
    "gt": lambda values: not (_lt(values) or _eq(values)),
    "ge": lambda values: not _lt(values),
    "len": _len,
    "index": _index,
    "slice": _slice,
    "json": _json,
}
