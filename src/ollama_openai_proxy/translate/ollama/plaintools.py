"""Tools as most clients send them, known at a glance; `tools.py` looks at all others member by member.

A chat sends the same tools with each of its requests, often dozens of them: here that costs a tenth.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, Raw, Struct, UnsetType, field

_ABSENT = Raw(b"")
_Strings = list[str | None] | None


class _Strict(Struct, forbid_unknown_fields=True, gc=False):
    """A member that is not listed may be a known one in another case: `tools.py` knows."""


class _Keywords(_Strict):
    """Common keywords of JSON Schema that Ollama does not look at."""

    additional_properties: Raw = field(default=_ABSENT, name="additionalProperties")
    default: Raw = _ABSENT
    title: Raw = _ABSENT
    format: Raw = _ABSENT
    minimum: Raw = _ABSENT
    maximum: Raw = _ABSENT
    schema: Raw = field(default=_ABSENT, name="$schema")
    reference: Raw = field(default=_ABSENT, name="$ref")
    definitions: Raw = field(default=_ABSENT, name="$defs")


class _Property(_Keywords):
    type: str | _Strings = None
    description: str | None = None
    items: Raw = _ABSENT
    enum: list[Raw] | None = None
    required: _Strings = None
    properties: dict[str, _Property | None] | None = None
    any_of: list[_Property | None] | None = field(default=None, name="anyOf")


class _Parameters(_Keywords, kw_only=True):
    properties: dict[str, _Property | None]
    type: str | None = None
    description: Raw = _ABSENT
    items: Raw = _ABSENT
    required: list[str | None] | UnsetType = UNSET


class _Function(_Strict):
    parameters: _Parameters
    name: str | None = None
    description: str | None = None
    strict: Raw = _ABSENT


class _Tool(_Strict):
    type: Annotated[str, Meta(min_length=1)]
    function: _Function


_decoder = msgspec.json.Decoder(_Tool)


def is_plain(tool: Raw) -> bool:
    """Whether Ollama's decoder surely takes the tool (contract 3.7), and it has all that a chat completion wants."""
    try:
        _decoder.decode(tool)
    except (msgspec.DecodeError, RecursionError):
        return False
    return True
