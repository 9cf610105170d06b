"""JSON Schemas of what is asked and answered."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ollama_openai_proxy.translate.ollama import answers, schemas, wire
from ollama_openai_proxy.translate.ollama.support_fields import FIELDS


def field(kind: str, name: str) -> Any:
    return schemas.requests()[kind]["properties"][name]


def test_every_request_is_described() -> None:
    """Each request has a schema with all of its fields, under the names that clients send."""
    found = schemas.requests()
    assert {kind.__name__ for kind in FIELDS} == set(found)
    for kind, rows in FIELDS.items():
        assert set(found[kind.__name__]["properties"]) == set(rows)
    assert "_debug_render_only" in found["ChatRequest"]["properties"]
    assert "from" in found["CreateRequest"]["properties"]


def test_it_is_json() -> None:
    """What goes into the document has no Python in it."""
    json.dumps(schemas.requests())
    json.dumps(schemas.answers([answers.ChatAnswer]))


@pytest.mark.parametrize(
    ("kind", "name", "schema"),
    [
        ("ChatRequest", "stream", {"anyOf": [{"type": "boolean"}, {"type": "null"}]}),
        ("ChatRequest", "model", {"anyOf": [{"type": "string"}, {"type": "null"}]}),
        (
            "ChatRequest",
            "messages",
            {
                "anyOf": [
                    {"type": "array", "items": {"$ref": "#/components/schemas/Message"}},
                    {"type": "null"},
                ]
            },
        ),
        ("GenerateRequest", "context", {"anyOf": [{"type": "array", "items": {"type": "integer"}}, {"type": "null"}]}),
        ("CreateRequest", "info", {"anyOf": [{"type": "object"}, {"type": "null"}]}),
        (
            "ToolCall",
            "function",
            {"anyOf": [{"$ref": "#/components/schemas/ToolCallFunction"}, {"type": "null"}]},
        ),
    ],
)
def test_a_field_has_the_type_that_it_is_read_to(kind: str, name: str, schema: dict[str, Any]) -> None:
    """Contract 1.7: null means unset for any field."""
    found = field(kind, name)
    assert sorted(map(str, found["anyOf"])) == sorted(map(str, schema["anyOf"]))
    assert found["description"].startswith(found["x-support"] + ": ")


@pytest.mark.parametrize(
    ("name", "kind"), [("temperature", "number"), ("seed", "integer"), ("use_mmap", "boolean"), ("stop", "array")]
)
def test_options_have_their_types(name: str, kind: str) -> None:
    """Contract 4: the types of options, each of which may be null."""
    types = [part["type"] for part in field("ChatRequest", "options")["properties"][name]["anyOf"]]
    assert types == [kind, "null"]


def test_what_is_needed() -> None:
    """Contract 2.6: a request without a model fails, but where `name` may stand for it."""
    found = schemas.requests()
    assert found["ChatRequest"]["required"] == ["model"]
    assert found["CopyRequest"]["required"] == ["source", "destination"]
    assert "required" not in found["ShowRequest"]


def test_answers_refer_to_their_parts() -> None:
    """A part has a schema of its own under the place that the reference names."""
    found = schemas.answers([answers.Tags])
    assert set(found) == {"Tags", "Tag", "Details"}
    assert found["Tags"]["properties"]["models"]["items"] == {"$ref": "#/components/schemas/Tag"}
    assert schemas.reference(wire.ChatRequest) == {"$ref": "#/components/schemas/ChatRequest"}
