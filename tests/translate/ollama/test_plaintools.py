"""Tools that need no second look (contract 3.7)."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from ollama_openai_proxy.translate.ollama import tools
from ollama_openai_proxy.translate.ollama.plaintools import is_plain


def with_parameters(**parameters: Any) -> dict[str, Any]:
    return {"type": "function", "function": {"name": "f", "description": "F", "parameters": parameters}}


def found(tool: Any) -> bool:
    return is_plain(Raw(json.dumps(tool).encode()))


PYTHON = {"type": "object", "required": ["x"], "properties": {"x": {"type": "string", "description": "X"}}}
PYDANTIC = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "$defs": {"A": {"type": "object"}},
    "title": "F",
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "a": {"$ref": "#/$defs/A"},
        "b": {"anyOf": [{"type": "integer", "minimum": 1, "maximum": 2}, {"type": "null"}], "default": None},
        "c": {"type": "array", "items": {"type": "string", "format": "date"}, "title": "C"},
        "d": {"type": ["string", "null"], "enum": ["x", 1, None]},
    },
}


@pytest.mark.parametrize("parameters", [PYTHON, PYDANTIC, {"type": "object", "properties": {}}])
def test_what_clients_make_of_functions_is_plain(parameters: dict[str, Any]) -> None:
    """Contract 10.1: what the Python client, pydantic and the MCP make of a function is read at once."""
    assert found(with_parameters(**parameters))


@pytest.mark.parametrize("strange", [None, "f", {}, with_parameters(), with_parameters(properties={}, x=1)])
def test_what_is_not_plain(strange: Any) -> None:
    """Contract 3.7: what may be refused, or lacks something, is looked at member by member."""
    assert not found(strange)


def test_depth() -> None:
    """Row B3: a tool that is nested too deep is no plain one, and no failure of the server."""
    schema = '{"properties":{"x":' * 50_000 + "{}" + "}}" * 50_000
    assert not is_plain(Raw(f'{{"type":"function","function":{{"parameters":{schema}}}}}'.encode()))


NAMES = ["type", "items", "description", "enum", "required", "anyOf", "title", "Type", "default", "x"]
VALUES = st.sampled_from([None, 1, "", "string", [], ["a"], [None], [1], {}, {"type": "string"}, [{"type": 1}]])
SCHEMAS = st.recursive(
    st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=3),
    lambda inner: st.fixed_dictionaries(
        {"properties": st.dictionaries(st.sampled_from("ab"), inner, max_size=2)},
        optional={"type": VALUES, "required": VALUES, "anyOf": st.lists(inner, max_size=2)},
    ),
)


@given(SCHEMAS, VALUES)
def test_plain_tools_are_taken_as_they_are(schema: dict[str, Any], type_: Any) -> None:
    """Contract 3.7: what is known at a glance is what the longer look takes, and leaves as it is."""
    tool = Raw(json.dumps(with_parameters(**schema) | {"type": type_}).encode())
    if is_plain(tool):
        assert tools.looked_through(tool) is tool
