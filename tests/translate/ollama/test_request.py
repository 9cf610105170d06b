import math
from typing import Any

import msgspec
import pytest

from ollama_openai_proxy.errors import InvalidRequest, ModelNotFound, ProxyError
from ollama_openai_proxy.translate.models import Model
from ollama_openai_proxy.translate.ollama import request
from ollama_openai_proxy.translate.ollama.wire import ChatRequest, EmbedRequest, GenerateRequest, decode


def chat(members: str = "") -> Any:
    """Return what a chat's members become, as JSON reads it."""
    body = f'{{"model":"M","messages":[{{"role":"user","content":"Hi"}}]{"," if members else ""}{members}}}'
    completion = request.chat(decode(body.encode(), ChatRequest), Model(id="upstream/m"))
    assert completion.raw is False
    return msgspec.json.decode(msgspec.json.encode(completion.body))


STREAM = {"stream": True, "stream_options": {"include_usage": True}}
HI = {"model": "upstream/m", "messages": [{"role": "user", "content": "Hi"}]}


@pytest.mark.parametrize("members", ["", '"stream":true', '"stream":null'])
def test_streamed_chat(members: str) -> None:
    """Contract 5.8, 11.1: streaming is the default, and asks for usage; nothing else is added."""
    assert chat(members) == HI | STREAM


def test_whole_chat() -> None:
    """Contract 11.1: what the client did not send is not sent on, not even a false."""
    assert chat('"stream":false') == HI


@pytest.mark.parametrize(
    "members",
    [
        '"tools":[]',
        '"tools":null',
        '"tools":[null]',
        '"format":null',
        '"format":""',
        '"options":{}',
        '"keep_alive":-1',
        '"truncate":false,"shift":true',
        '"top_logprobs":5',
        '"logprobs":false,"top_logprobs":5',
        '"tool_choice":"required","temperature":0.5,"max_output_tokens":3',
        '"api_base":"http://evil","api_key":"k","extra_headers":{"a":"b"}',
    ],
)
def test_what_is_not_sent_on(members: str) -> None:
    """Rule R16, row B10: empty lists, what the backend has no use for, and unknown members are left out."""
    assert chat(f'"stream":false,{members}') == HI


def test_tools() -> None:
    """Contract 3.7, 11.1: tools go on as they are, without a tool_choice."""
    tool = {"type": "function", "function": {"name": "f", "parameters": {"additionalProperties": False}}}
    found = chat(f'"stream":false,"tools":[{msgspec.json.encode(tool).decode()}]')
    assert found == HI | {"tools": [tool]}


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ('"tools":["f"]', "json: cannot unmarshal string into Go struct field ChatRequest.tools of type api.Tool"),
        (
            '"messages":[{"role":"assistant","tool_calls":[{"function":{"name":"f","arguments":"{}"}}]}]',
            "Value looks like object, but can't find closing '}' symbol",
        ),
    ],
)
def test_what_can_not_be_parsed_comes_first(members: str, message: str) -> None:
    """Contract 5.8: parsing is the first of all checks, before the range of top_logprobs and the model."""
    with pytest.raises(InvalidRequest) as caught:
        request.check(decode(f'{{{members},"top_logprobs":21,"think":"maybe"}}'.encode(), ChatRequest))
    assert caught.value.message == message


@pytest.mark.parametrize(
    ("given", "response_format"),
    [
        ('"json"', {"type": "json_object"}),
        ("{}", {"type": "json_schema", "json_schema": {"name": "schema", "schema": {}}}),
        (
            '{"type":"object","properties":{"z":{},"a":{}}}',
            {
                "type": "json_schema",
                "json_schema": {"name": "schema", "schema": {"type": "object", "properties": {"z": {}, "a": {}}}},
            },
        ),
    ],
)
def test_format(given: str, response_format: object) -> None:
    """Contract 3.3: "json" is any object; an object is a schema, without strict."""
    assert chat(f'"stream":false,"format":{given}') == HI | {"response_format": response_format}


def test_schema_is_not_rewritten() -> None:
    """Contract 3.3: a schema's bytes go on as they are: order and numbers matter to grammars."""
    completion = request.chat(decode(b'{"format":{"b":1.50,"a":[ 2 ]}}', ChatRequest), Model(id="m"))
    assert b'"schema":{"b":1.50,"a":[ 2 ]}' in msgspec.json.encode(completion.body)


@pytest.mark.parametrize(
    ("given", "quoted"), [('"xml"', r'"\"xml\""'), ("true", '"true"'), ("[1]", '"[1]"'), ('"' + "x" * 300 + '"', "")]
)
def test_wrong_format(given: str, quoted: str) -> None:
    """Contract 3.3: anything else fails with status 500, the JSON quoted as Go's %q does, at most a part of it."""
    with pytest.raises(InvalidRequest) as caught:
        chat(f'"format":{given}')
    quoted = quoted or '"\\"' + "x" * 199 + '"'
    assert caught.value.message == f'invalid format: {quoted}; expected "json" or a valid JSON Schema object'
    assert caught.value.status == 500


def test_options() -> None:
    """Contract 4: standard options become members, the others are for the backend's profile."""
    body = b'{"stream":false,"messages":[],"options":{"temperature":0.5,"num_predict":9,"top_k":3,"num_ctx":4096}}'
    completion = request.chat(decode(body, ChatRequest), Model(id="m"))
    assert completion.body == {"model": "m", "messages": [], "temperature": 0.5, "max_tokens": 9}
    assert completion.extensions == {"top_k": 3}


@pytest.mark.parametrize(
    ("members", "sent"),
    [
        ('"logprobs":true', {"logprobs": True}),
        ('"logprobs":true,"top_logprobs":0', {"logprobs": True}),
        ('"logprobs":true,"top_logprobs":5', {"logprobs": True, "top_logprobs": 5}),
    ],
)
def test_logprobs(members: str, sent: dict[str, object]) -> None:
    """Contract 3.8: alternatives are asked for with logprobs only."""
    assert chat(f'"stream":false,{members}') == HI | sent


@pytest.mark.parametrize("value", [None, True, False, "low", "medium", "high", "max"])
def test_think(value: bool | str | None) -> None:
    """Contract 3.2: a boolean, one of four levels, or unset."""
    assert request.think(value) == value
    asked = ChatRequest(messages=[], think=value)
    assert request.chat(asked, Model(id="m")).think == value


@pytest.mark.parametrize("value", ["", "none", "HIGH", "low ", 'a"b'])
def test_unknown_levels(value: str) -> None:
    """Contract 3.2: the levels are exact, and any other string is quoted."""
    with pytest.raises(InvalidRequest) as caught:
        request.think(value)
    quoted = value.replace('"', '\\"')
    expected = f'invalid think value: "{quoted}" (must be "high", "medium", "low", "max", true, or false)'
    assert caught.value.message == expected


def test_long_levels() -> None:
    """Row B2: a refusal does not send megabytes back."""
    with pytest.raises(InvalidRequest) as caught:
        request.think("x" * 1_000_000)
    assert caught.value.message.startswith(f'invalid think value: "{"x" * 100}" (must be ')


@pytest.mark.parametrize("value", [0, 1, 1.5, [], {}, ["low"]])
def test_think_of_another_type(value: object) -> None:
    """Contract 3.2: numbers, arrays and objects are no thinking."""
    with pytest.raises(InvalidRequest) as caught:
        request.think(value)
    expected = 'think must be a boolean or string ("high", "medium", "low", "max", true, or false)'
    assert caught.value.message == expected


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        (0, 0),
        (0.0, 0),
        (300, 300),
        (42.5, 42.5),
        (-1, math.inf),
        (-1.0, math.inf),
        (-0.001, math.inf),
        pytest.param(10**400, math.inf, id="huge"),
        (1e300, math.inf),
        ("0", 0),
        ("0s", 0),
        ("5m0s", 300),
        ("1h30m", 5400),
        ("1.5h", 5400),
        (".5s", 0.5),
        ("-1s", math.inf),
        ("-1m", math.inf),
    ],
    ids=repr,
)
def test_keep_alive(value: object, seconds: float | None) -> None:
    """Contract 3.1: seconds, a duration, or for ever when negative."""
    assert request.keep_alive(value) == seconds


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("300", 'time: missing unit in duration "300"'),
        ("-1", 'time: missing unit in duration "-1"'),
        ("1d", 'time: unknown unit "d" in duration "1d"'),
        ("abc", 'time: invalid duration "abc"'),
        ("", 'time: invalid duration ""'),
        (True, "Unsupported type: 'bool'"),
        (False, "Unsupported type: 'bool'"),
        ([], "Unsupported type: '[]interface {}'"),
        ({}, "Unsupported type: 'map[string]interface {}'"),
    ],
)
def test_wrong_keep_alive(value: object, message: str) -> None:
    """Contract 3.1: what is no duration is a bad request."""
    with pytest.raises(InvalidRequest) as caught:
        request.keep_alive(value)
    assert caught.value.message == message
    assert caught.value.status == 400


@pytest.mark.parametrize("kind", [ChatRequest, GenerateRequest])
@pytest.mark.parametrize(
    ("members", "message"),
    [
        ('"top_logprobs":-1', "top_logprobs must be between 0 and 20"),
        ('"top_logprobs":21,"logprobs":true', "top_logprobs must be between 0 and 20"),
        ('"think":"maybe","top_logprobs":21', 'invalid think value: "maybe" (must be "high", "medium", "low", "max", '),
        ('"keep_alive":"x","top_logprobs":21', 'time: invalid duration "x"'),
    ],
)
def test_checks_before_the_lookup(kind: type[ChatRequest | GenerateRequest], members: str, message: str) -> None:
    """Contract 3.8, 5.7: what can't be parsed comes first, then the range of top_logprobs, then the model."""
    with pytest.raises(InvalidRequest) as caught:
        request.check(decode(f"{{{members}}}".encode(), kind))
    assert caught.value.message.startswith(message)


@pytest.mark.parametrize("members", ["", '"top_logprobs":0', '"top_logprobs":20', '"think":"max","keep_alive":0'])
def test_nothing_to_complain_about(members: str) -> None:
    """Contract 3.8: 0 and 20 are within the range, and all of it may be left out."""
    request.check(decode(f"{{{members}}}".encode(), ChatRequest))


@pytest.mark.parametrize(
    ("given", "inputs"), [(None, []), ("", []), ([], []), ("a", ["a"]), ([""], [""]), (["a", "b"], ["a", "b"])]
)
def test_inputs(given: object, inputs: list[str]) -> None:
    """Contract 5.9: a text or a list of them; nothing only loads the model, an empty text in a list does not."""
    assert request.inputs_of(EmbedRequest(input=given)) == inputs


@pytest.mark.parametrize("given", [1, True, {}, ["a", 1], [None], [["a"]], [[1, 2]]])
def test_wrong_inputs(given: object) -> None:
    """Contract 5.9: token lists and anything else are an invalid input type."""
    with pytest.raises(InvalidRequest) as caught:
        request.inputs_of(EmbedRequest(input=given))
    assert caught.value.message == "invalid input type"


@pytest.mark.parametrize("name", [None, "", " "])
def test_blank_names(name: str | None) -> None:
    """Contract 2.6: a missing name is a bad request on some routes, and not found on others."""
    with pytest.raises(InvalidRequest) as invalid:
        request.required(name)
    assert invalid.value.message == "model is required"
    with pytest.raises(ModelNotFound) as missing:
        request.looked_up(name)
    assert (missing.value.model, missing.value.status) == ("", 404)


def test_names_are_echoed() -> None:
    """Contract 2.4: a name is kept as the client spelled it."""
    assert request.required(" Foo ") == request.looked_up(" Foo ") == " Foo "


def test_options_without_a_use() -> None:
    """Contract 4: options of embeddings and of pure loads are checked all the same."""
    request.check_options(None)
    request.check_options({"num_ctx": 1})
    with pytest.raises(ProxyError) as caught:
        request.check_options({"seed": "x"})
    assert (caught.value.message, caught.value.status) == ('option "seed" must be of type integer', 500)
