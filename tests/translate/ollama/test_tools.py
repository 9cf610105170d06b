"""`tools`: what Ollama's decoder refuses, and what goes on (contract 3.7)."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from ollama_openai_proxy.errors import InvalidRequest
from ollama_openai_proxy.translate.ollama.tools import read


def raw(*tools: Any) -> list[Raw]:
    return [Raw(tool.encode() if isinstance(tool, str) else json.dumps(tool).encode()) for tool in tools]


def refusal(tool: Any) -> str:
    with pytest.raises(InvalidRequest) as caught:
        read(raw(tool))
    assert caught.value.status == 400
    return caught.value.message


def with_parameters(**parameters: Any) -> dict[str, Any]:
    return {"type": "function", "function": {"name": "f", "parameters": parameters}}


def with_property(value: Any) -> dict[str, Any]:
    return with_parameters(type="object", properties={"x": value})


IN_PARAMETERS = "ToolFunctionParameters.tools.function.parameters"


@pytest.mark.parametrize(
    ("tool", "found", "field", "type_"),
    [
        ('"f"', "string", "ChatRequest.tools", "api.Tool"),
        ("[ ]", "array", "ChatRequest.tools", "api.Tool"),
        ("1", "number", "ChatRequest.tools", "api.Tool"),
        ("true", "bool", "ChatRequest.tools", "api.Tool"),
        ({"type": 1}, "number", "Tool.tools.type", "string"),
        ({"function": "f"}, "string", "Tool.tools.function", "api.ToolFunction"),
        ({"function": {"name": 1}}, "number", "ToolFunction.tools.function.name", "string"),
        ({"function": {"description": []}}, "array", "ToolFunction.tools.function.description", "string"),
        (
            {"function": {"parameters": []}},
            "array",
            "ToolFunction.tools.function.parameters",
            "api.ToolFunctionParameters",
        ),
        (with_parameters(type=["object"]), "array", f"{IN_PARAMETERS}.type", "string"),
        (with_parameters(required="x"), "string", f"{IN_PARAMETERS}.required", "[]string"),
        (with_parameters(required=[1]), "number", f"{IN_PARAMETERS}.required", "string"),
        # https://github.com/ollama/ollama/issues/14256 has the text.
        (with_property("string"), "string", f"{IN_PARAMETERS}.properties", "api.ToolProperty"),
        (with_property({"type": 1}), "number", f"{IN_PARAMETERS}.properties.type", "[]string"),
        (with_property({"type": [1]}), "number", f"{IN_PARAMETERS}.properties.type", "string"),
        (with_property({"description": {}}), "object", f"{IN_PARAMETERS}.properties.description", "string"),
        (with_property({"enum": "a"}), "string", f"{IN_PARAMETERS}.properties.enum", "[]interface {}"),
        (with_property({"anyOf": {}}), "object", f"{IN_PARAMETERS}.properties.anyOf", "[]api.ToolProperty"),
        (with_property({"anyOf": [1]}), "number", f"{IN_PARAMETERS}.properties.anyOf", "api.ToolProperty"),
        (
            with_property({"properties": {"y": {"required": [False]}}}),
            "bool",
            f"{IN_PARAMETERS}.properties.properties.required",
            "string",
        ),
    ],
    ids=repr,
)
def test_wrong_types(tool: Any, found: str, field: str, type_: str) -> None:
    """Contract 3.7: the structure is typed, and Go names the innermost struct and the whole path."""
    assert refusal(tool) == f"json: cannot unmarshal {found} into Go struct field {field} of type {type_}"


@pytest.mark.parametrize("properties", [[], "x", 1])
def test_properties_that_are_no_object(properties: Any) -> None:
    """Contract 1.7: the ordered map that takes arguments takes properties, and has words of its own."""
    expected = "Value looks like object, but can't find closing '}' symbol"
    assert refusal(with_parameters(properties=properties)) == expected
    assert refusal(with_property({"properties": properties})) == expected


SCHEMAS = [
    '{"type":"object","properties":{"x":{"type":["string","null"],"minimum":1.50}},"additionalProperties":false}',
    '{"type":"object","properties":{"x":{"$ref":"#/$defs/a","default":null}},"$defs":{"a":{"type":5}},"required":[]}',
    '{"type":"object","properties":{"x":{"items":[],"anyOf":[{"type":"string"},null],"oneOf":3}},"required":[null]}',
    '{"type":"object","properties":{"x":null,"y":{"type":null,"properties":null}}}',
    '{"type":"object","properties":{"x":{"maximum":1e999}}}',
    '{"type":"string"}',
    '{"anyOf":[{"type":"object"}]}',
    '{"type":"","properties":null}',
]


@pytest.mark.parametrize("schema", SCHEMAS)
def test_what_is_valid_goes_on_as_it_came(schema: str) -> None:
    """Contract 3.7: schemas are forwarded unmodified, keywords that Ollama does not know, order and numbers kept."""
    tool = f'{{"type":"function","function":{{"parameters":{schema},"name":"f","strict":true}},"x":1}}'
    assert msgspec.json.encode(read(raw(tool))) == f"[{tool}]".encode()


@pytest.mark.parametrize("type_", ["", '"type":null,', '"type":"",'])
def test_a_missing_type_is_function(type_: str) -> None:
    """Contract 3.7: many clients leave the type out, and there is only one."""
    tool = f'{{{type_}"function":{{"name":"f","parameters":{SCHEMAS[0]}}}}}'
    (found,) = json.loads(msgspec.json.encode(read(raw(tool))))
    assert found == {"type": "function", "function": {"name": "f", "parameters": json.loads(SCHEMAS[0])}}


@pytest.mark.parametrize(
    "parameters", ["", ',"parameters":null', ',"parameters":{}', ',"parameters":{"type":"object"}']
)
def test_functions_without_parameters(parameters: str) -> None:
    """OpenAI refuses an object schema without `properties`: a function that takes nothing has none of them."""
    tool = f'{{"type":"function","function":{{"name":"f"{parameters}}}}}'
    (found,) = json.loads(msgspec.json.encode(read(raw(tool))))
    assert found["function"] == {"name": "f", "parameters": {"type": "object", "properties": {}}}


@pytest.mark.parametrize("function", ["{}", '{"type":"function"}', '{"type":"function","function":null}'])
def test_tools_without_a_function(function: str) -> None:
    """Contract 3.7: Ollama takes them; what a tool without a function is worth the backend may judge."""
    (found,) = json.loads(msgspec.json.encode(read(raw(function))))
    assert found == {"type": "function"} | json.loads(function)


def test_keys_in_another_case() -> None:
    """Contract 1.7: Go takes names in any case, and backends do not."""
    for parameters in ('{"type":"object","properties":{}}', "null"):
        tool = f'{{"Type":"function","x":1,"FUNCTION":{{"Name":"f","Parameters":{parameters}}}}}'
        (found,) = json.loads(msgspec.json.encode(read(raw(tool))))
        function = {"name": "f", "parameters": {"type": "object", "properties": {}}}
        assert found == {"type": "function", "x": 1, "function": function}
    expected = "json: cannot unmarshal number into Go struct field ToolFunction.tools.function.name of type string"
    assert refusal({"Function": {"NAME": 1}}) == expected


def test_nulls_are_no_tools() -> None:
    """Contract 3.7: null and empty lists mean no tools, and null in a list is none of them."""
    assert read(None) == read([]) == read(raw("null")) == []
    assert len(read(raw("null", SCHEMAS[0], "null"))) == 1


@pytest.mark.parametrize("properties", ['"properties":{}', '"properties":{"x":{"type":"string"}}', '"title":"F"'])
def test_a_list_of_required_that_is_null(properties: str) -> None:
    """OpenAI takes a list alone, and Go writes null for an empty one: Go's clients of Ollama have sent it."""
    schema = f'{{"type":"object","required":null,{properties}}}'
    (found,) = json.loads(msgspec.json.encode(read(raw(f'{{"function":{{"name":"f","parameters":{schema}}}}}'))))
    assert found["function"]["parameters"] == {"properties": {}} | json.loads(schema.replace('"required":null,', ""))


@pytest.mark.parametrize(("head", "depth"), [("", 600), ('"type":"function",', 50_000)])
def test_depth(head: str, depth: int) -> None:
    """Row B3: a schema that is nested too deep is refused, and never a failure of the server."""
    schema = '{"properties":{"x":' * depth + "{}" + "}}" * depth
    assert refusal(f'{{{head}"function":{{"parameters":{schema}}}}}') == "exceeded max depth"


def outcome(tool: Any) -> Any:
    """Return the tools that are sent, or the refusal."""
    try:
        return [json.loads(bytes(found)) for found in read(raw(tool))]
    except InvalidRequest as error:
        return error.message


PLAIN = with_property({"type": ["string", "null"], "anyOf": [{"type": "string"}], "enum": [1]})


@pytest.mark.parametrize(
    ("place", "member", "value"),
    [
        ("", "type", 1),
        ("", "type", ""),
        ("", "Type", 1),
        ("function", "name", 1),
        ("function", "Name", 1),
        ("function", "description", []),
        ("function", "parameters", None),
        ("function parameters", "type", ["object"]),
        ("function parameters", "Type", ["object"]),
        ("function parameters", "properties", None),
        ("function parameters", "required", None),
        ("function parameters", "required", [1]),
        ("function parameters properties", "y", 1),
        ("function parameters properties x", "type", [1]),
        ("function parameters properties x", "TYPE", 1),
        ("function parameters properties x", "description", 1),
        ("function parameters properties x", "enum", "a"),
        ("function parameters properties x", "anyOf", [1]),
        ("function parameters properties x", "required", [1]),
        ("function parameters properties x", "properties", {"z": {"items": 1, "type": 1}}),
    ],
)
def test_what_is_wrong_among_plain_members(place: str, member: str, value: Any) -> None:
    """Contract 3.7: one member that is not as it should be is refused or mended, whatever stands around it."""
    assert read(raw(PLAIN)) == raw(PLAIN)
    tool = json.loads(json.dumps(PLAIN))
    at = tool
    for name in place.split():
        at = at[name]
    at[member] = value
    assert outcome(tool) != [tool]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["type", "function", "name", "parameters", "properties", "required", "anyOf", "x"]), inner
        )
    ),
    max_leaves=20,
)


@given(JSON)
def test_any_json_is_a_tool_or_a_bad_request(value: Any) -> None:
    """Row B4: whatever is sent is refused in words, or translated to what JSON can say; nulls alone vanish."""
    try:
        tools = read(raw(json.dumps(value)))
    except InvalidRequest:
        return
    assert read(tools) == tools
    translated = json.loads(msgspec.json.encode(tools))
    assert translated == [] if value is None else translated[0]["type"]
