"""A row of the table, and what rows are made of."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

CANARY = "canary-value-4711"  # in what is wrong with a request, where that can hold it: never echoed
PROMPT = "canary-prompt-4711"  # in the rest of a request
LIMIT = 32 * 1024  # bytes of a body
JSON = "application/json; charset=utf-8"


class Row(NamedTuple):
    """A request, and what is answered. Bytes are sent as they are. `closes`: whether the connection ends with it.

    `type` is that of the answer.
    """

    name: str
    path: str
    body: bytes | dict[str, Any]
    status: int
    error: str
    method: str = "POST"
    closes: bool = False
    type: str = JSON

    @property
    def data(self) -> bytes:
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()

    @property
    def route(self) -> str:
        """The path as the log has it."""
        return "/api/blobs/{digest}" if self.path.startswith("/api/blobs/") else self.path

    @property
    def label(self) -> str:
        return f"{self.path.removeprefix('/api/')} {self.name}"


class Api(NamedTuple):
    """A route that reads a body: Go's name for that, and a body that is taken."""

    path: str
    struct: str
    valid: dict[str, Any]
    method: str = "POST"

    def row(self, name: str, status: int, error: str, /, **fields: Any) -> Row:
        """A body that is right but for these fields."""
        return Row(name, self.path, {**self.valid, **fields}, status, error, self.method)

    def raw(self, name: str, body: bytes, error: str) -> Row:
        return Row(name, self.path, body, 400, error, self.method)


def mismatch(found: str, struct: str, field: str, kind: str) -> str:
    """What Go says of a value of another type (contract 1.7)."""
    return f"json: cannot unmarshal {found} into Go struct field {struct}.{field} of type {kind}"


# JSON texts, and what Go calls their kinds.
TEXT, NUMBER, FRACTION = (f'"{CANARY}"', "string"), ("5", "number"), ("1.5", "number")
BOOL, ARRAY, OBJECT = ("true", "bool"), (f'["{CANARY}"]', "array"), (f'{{"{CANARY}":1}}', "object")
# What an int does not take, with the literal that is told.
NO_INTS = [(literal, f"number {literal}") for literal in ("1.5", "1.0", "1e2", "9223372036854775808", "9" * 40)]
WRONG: dict[str, list[tuple[str, str]]] = {
    "string": [NUMBER, FRACTION, BOOL, ARRAY, OBJECT],
    "bool": [TEXT, ('"false"', "string"), ("0", "number"), FRACTION, ARRAY, OBJECT],
    "int": [TEXT, ('"5"', "string"), BOOL, ARRAY, OBJECT, *NO_INTS],
    "[]": [TEXT, NUMBER, BOOL, OBJECT],
    "map": [TEXT, NUMBER, FRACTION, BOOL, ARRAY],
    "{}": [TEXT, NUMBER, BOOL, ARRAY],
}


def wrong_types(api: Api, kind: str, *fields: str, name: str = "", around: str = "%s") -> list[Row]:
    """Rows for fields of one Go type, each with every JSON value that is none.

    `kind` is one of `WRONG`; `name` is what Go calls the type, where that is another word. `around` is the JSON
    around the field's value: the path of a field within others is written with dots, as Go does.
    """
    rows = []
    for field in fields:
        top, _, _ = field.partition(".")
        rest = {key: value for key, value in api.valid.items() if key != top}
        for value, found in WRONG[kind]:
            # The wrong value stands last: a field in front of it is no reason to overlook it.
            member = f'"{top}":{around % value}}}'.encode()
            body = json.dumps(rest).encode()[:-1] + (b"," if rest else b"") + member
            rows.append(api.raw(f"{field} {around % value}", body, mismatch(found, api.struct, field, name or kind)))
    return rows
