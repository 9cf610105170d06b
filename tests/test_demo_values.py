import base64
import math
import struct
from typing import Any

import pytest

from ollama_openai_proxy.demo_values import HARD_DEPTH, MAX_VALUES, embedding, fill, logprob, packed

TREE = {
    "$ref": "#/$defs/Node",
    "$defs": {
        "Node": {
            "type": "object",
            "properties": {"name": {"type": "string"}, "next": {"anyOf": [{"$ref": "#/$defs/Node"}, {"type": "null"}]}},
            "required": ["name", "next"],
        }
    },
}


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"type": "string"}, "Paris"),
        ({"type": "integer"}, 1),
        ({"type": "number"}, 1),
        ({"type": "boolean"}, True),
        ({"type": "null"}, None),
        ({"type": "array"}, ["Paris"]),
        ({"type": "object"}, {}),
        ({"type": ["integer", "null"]}, 1),
        ({}, "Paris"),
        ({"const": 7}, 7),
        ({"type": "string", "enum": ["celsius", "fahrenheit"]}, "celsius"),
    ],
)
def test_types(schema: dict[str, Any], value: object) -> None:
    """Each type has one value, and free strings are the word given."""
    assert value == fill(schema, "Paris")


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"type": "string", "minLength": 9}, "examplexx"),
        ({"type": "string", "maxLength": 4}, "exam"),
        ({"type": "string", "format": "date"}, "2024-01-01"),
        ({"type": "string", "format": "date-time"}, "2024-01-01T00:00:00Z"),
        ({"type": "string", "format": "email"}, "demo@example.com"),
        ({"type": "string", "format": "no such format"}, "example"),
    ],
)
def test_strings(schema: dict[str, Any], value: str) -> None:
    """Lengths and the well-known formats are respected."""
    assert value == fill(schema)


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"type": "integer", "minimum": 5}, 5),
        ({"type": "integer", "minimum": 5.5}, 6),
        ({"type": "integer", "exclusiveMinimum": 5}, 6),
        ({"type": "integer", "maximum": -2}, -2),
        ({"type": "integer", "exclusiveMaximum": 1}, 0),
        ({"type": "integer", "minimum": 4, "multipleOf": 3}, 6),
        ({"type": "number", "minimum": 0.25, "maximum": 0.5}, 0.25),
        ({"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1}, 0.5),
        ({"type": "number", "minimum": 2, "exclusiveMinimum": True}, 2),
        ({"type": "number", "minimum": 1e300}, 1),
    ],
)
def test_numbers(schema: dict[str, Any], value: float) -> None:
    """Numbers stay within their bounds, and bounds that are too large to compute with are ignored."""
    assert value == fill(schema)


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"type": "array", "items": {"type": "integer"}}, [1]),
        ({"type": "array", "items": {"type": "integer"}, "minItems": 3}, [1, 1, 1]),
        ({"type": "array", "items": {"type": "integer"}, "maxItems": 0}, []),
        ({"type": "array", "prefixItems": [{"type": "integer"}, {"type": "boolean"}]}, [1, True]),
        ({"items": {"type": "null"}}, [None]),
    ],
)
def test_arrays(schema: dict[str, Any], value: list[object]) -> None:
    """Arrays have one item unless the schema wants another number."""
    assert value == fill(schema)


def test_objects_have_all_their_properties() -> None:
    """Optional and nested properties are filled too, and so are required ones that are not described."""
    schema = {
        "type": "object",
        "properties": {"city": {"type": "string"}, "where": {"properties": {"lat": {"type": "number"}}}},
        "required": ["unit"],
    }

    assert fill(schema, "Oslo") == {"city": "Oslo", "where": {"lat": 1}, "unit": "Oslo"}


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"anyOf": [{"type": "integer"}, {"type": "null"}]}, 1),
        ({"oneOf": [{"const": "a"}, {"const": "b"}]}, "a"),
        ({"$ref": "#/$defs/a~1b", "$defs": {"a/b": {"type": "boolean"}}}, True),
        ({"$ref": "#/anyThing/1", "anyThing": [{"const": 0}, {"const": 1}]}, 1),
        ({"$ref": "#/$defs/missing"}, "example"),
        (
            {"allOf": [{"properties": {"a": {"type": "integer"}}}, {"properties": {"b": {"type": "boolean"}}}]},
            {"a": 1, "b": True},
        ),
        ({"properties": {"a": {"const": 1}}, "anyOf": [{"required": ["c"]}, {}]}, {"a": 1, "c": "example"}),
    ],
)
def test_combined_schemas(schema: dict[str, Any], value: object) -> None:
    """Alternatives give their first branch, and references and allOf are merged into the schema that has them."""
    assert value == fill(schema)


def test_recursion_ends_at_null() -> None:
    """A recursive schema is filled a few levels deep and then ends where it may."""
    assert fill(TREE, "x") == {"name": "x", "next": {"name": "x", "next": {"name": "x", "next": None}}}


def test_endless_schemas_end() -> None:
    """A schema without a finite value is cut off in depth, and a broad one in the number of values."""
    names = [f"p{number}" for number in range(20)]
    endless = {"type": "object", "properties": {name: {"$ref": "#"} for name in names}, "required": names}

    def size(value: object, depth: int = 0) -> int:
        assert depth <= HARD_DEPTH
        return 1 + sum(size(item, depth + 1) for item in value.values()) if isinstance(value, dict) else 1

    assert fill({"$ref": "#"}) is None
    assert size(fill(endless)) < 20 * MAX_VALUES
    assert len(fill({"type": "array", "minItems": 10**9})) < MAX_VALUES


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object", "properties": 3, "required": "all"},
        {"type": "array", "minItems": "many", "items": None},
        {"anyOf": [], "allOf": {"a": 1}},
        {"type": 7, "enum": []},
        {"$ref": 5},
        {"type": "string", "minLength": -1e308, "maxLength": 1e308},
        {"type": "integer", "multipleOf": 1e-300, "minimum": 3},
    ],
)
def test_nonsense_schemas_give_some_value(schema: dict[str, Any]) -> None:
    """A schema that is not one does not raise, and gives the same value every time."""
    assert fill(schema) == fill(schema)


def test_embeddings_are_unit_vectors() -> None:
    """A vector has the dimensions asked for, length 1, and depends on the text, the order of its words included."""
    vectors = [embedding(text, 64) for text in ("a cat sat", "sat a cat", "")]

    assert [len(vector) for vector in vectors] == [64, 64, 64]
    assert all(math.isclose(1, math.hypot(*vector)) for vector in vectors)
    assert vectors[0] != vectors[1] != vectors[2]
    assert vectors[0] == embedding("a cat sat", 64)


def test_embeddings_of_texts_with_the_same_words_are_close() -> None:
    """A search by cosine finds the text that shares words with the question."""

    def cosine(one: str, other: str) -> float:
        return sum(a * b for a, b in zip(embedding(one, 64), embedding(other, 64), strict=True))

    assert cosine("the cat sat", "where is the cat") > 0.4
    assert abs(cosine("the cat sat", "stock prices fell today")) < 0.3


def test_packed_vectors_are_little_endian_floats() -> None:
    """The base64 form is OpenAI's: 4 bytes for a number."""
    assert struct.unpack("<2f", base64.b64decode(packed([0.5, -1.0]))) == (0.5, -1.0)


def test_logprob_entries() -> None:
    """An entry names the token, its bytes and as many alternatives as asked for, the token itself first."""
    entry = logprob(" ä", 2)

    assert [entry[key] for key in ("token", "bytes", "logprob")] == [" ä", [32, 195, 164], -0.125]
    assert [top["token"] for top in entry["top_logprobs"]] == [" ä", " alternative1"]
    assert [top["logprob"] for top in entry["top_logprobs"]] == [-0.125, -1.125]
    assert logprob("x", 0)["top_logprobs"] == []
