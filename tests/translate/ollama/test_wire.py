import pytest

from ollama_openai_proxy.errors import InvalidRequest
from ollama_openai_proxy.translate.ollama.wire import (
    UNSET,
    ChatRequest,
    EmbeddingsRequest,
    EmbedRequest,
    GenerateRequest,
    Message,
    ModelRequest,
    ShowRequest,
    decode,
)


def refusal(body: bytes, kind: type[ModelRequest]) -> str:
    with pytest.raises(InvalidRequest) as caught:
        decode(body, kind)
    assert caught.value.status == 400
    return caught.value.message


def call(function: str) -> str:
    return f'{{"messages":[{{"role":"assistant","tool_calls":[{{"id":"a","function":{function}}}]}}]}}'


@pytest.mark.parametrize("unknown", ["", '"_unknown":1,'], ids=["known", "unknown"])
@pytest.mark.parametrize(
    ("kind", "member", "mismatch"),
    [
        (ChatRequest, '"model":5', ("number", "ChatRequest.model", "string")),
        (ChatRequest, '"messages":"x"', ("string", "ChatRequest.messages", "[]api.Message")),
        (
            ChatRequest,
            '"messages":[{"content":[{"type":"text"}]}]',
            ("array", "ChatRequest.messages.content", "string"),
        ),
        (ChatRequest, '"messages":[{"content":{}}]', ("object", "ChatRequest.messages.content", "string")),
        (ChatRequest, '"messages":[{"images":"x"}]', ("string", "ChatRequest.messages.images", "[]api.ImageData")),
        (ChatRequest, '"messages":[{"images":[5]}]', ("number", "ChatRequest.messages.images", "api.ImageData")),
        (
            ChatRequest,
            '"messages":[{"tool_calls":{}}]',
            ("object", "ChatRequest.messages.tool_calls", "[]api.ToolCall"),
        ),
        (ChatRequest, '"stream":"false"', ("string", "ChatRequest.stream", "bool")),
        (ChatRequest, '"options":"x"', ("string", "ChatRequest.options", "map[string]interface {}")),
        (ChatRequest, '"top_logprobs":1.5', ("number 1.5", "ChatRequest.top_logprobs", "int")),
        (ChatRequest, '"tools":{}', ("object", "ChatRequest.tools", "api.Tools")),
        (GenerateRequest, '"prompt":["a"]', ("array", "GenerateRequest.prompt", "string")),
        (GenerateRequest, '"context":["a"]', ("string", "GenerateRequest.context", "int")),
        (GenerateRequest, '"raw":1', ("number", "GenerateRequest.raw", "bool")),
        (GenerateRequest, '"images":"x"', ("string", "GenerateRequest.images", "[]api.ImageData")),
        (EmbedRequest, '"truncate":"x"', ("string", "EmbedRequest.truncate", "bool")),
        (EmbedRequest, '"dimensions":"x"', ("string", "EmbedRequest.dimensions", "int")),
        (EmbeddingsRequest, '"prompt":["a"]', ("array", "EmbeddingRequest.prompt", "string")),
        (ShowRequest, '"verbose":1', ("number", "ShowRequest.verbose", "bool")),
        (ShowRequest, '"name":{}', ("object", "ShowRequest.name", "string")),
    ],
)
def test_wrong_types(kind: type[ModelRequest], unknown: str, member: str, mismatch: tuple[str, str, str]) -> None:
    """Contract 1.7: the error names the route's struct, with or without fields that nobody knows."""
    found, field, type_ = mismatch
    expected = f"json: cannot unmarshal {found} into Go struct field {field} of type {type_}"
    assert refusal(f"{{{unknown}{member}}}".encode(), kind) == expected


@pytest.mark.parametrize("kind", [ChatRequest, GenerateRequest, EmbedRequest, EmbeddingsRequest, ShowRequest])
def test_bodies_without_a_request(kind: type[ModelRequest]) -> None:
    """Contract 1.7: no body is missing, half a body is an unexpected end, null is an empty object."""
    assert refusal(b"", kind) == "missing request body"
    assert refusal(b'{"model":"a"', kind) == "unexpected EOF"
    assert decode(b"null", kind) == decode(b"{}", kind) == kind()


@pytest.mark.parametrize(
    ("kind", "name"),
    [(ChatRequest, "ChatRequest"), (EmbedRequest, "EmbedRequest"), (EmbeddingsRequest, "EmbeddingRequest")],
)
def test_body_that_is_an_array(kind: type[ModelRequest], name: str) -> None:
    """Contract 1.7: a top-level array is no request, in the route's name."""
    assert refusal(b"[1]", kind) == f"json: cannot unmarshal array into Go value of type api.{name}"


@pytest.mark.parametrize(
    "body",
    [
        b'{"model":"a"}',
        b' {"model":"a"}\n',
        b'{"model":"a"} junk',
        b'{"Model":"a"}',
        b'{"MODEL":"x","model":"a"}',
        b'{"model":"x","model":"a"}',
        b'{"model":"a","tool_choice":"auto","temperature":0.5,"width":1}',
        b'{"model":"a","messages":null,"stream":null,"options":null,"tools":null,"think":null,"keep_alive":null}',
    ],
)
def test_the_same_request(body: bytes) -> None:
    """Contract 1.7: space, trailing bytes, case, duplicates, unknown fields and nulls change nothing."""
    asked = decode(body, ChatRequest)
    assert asked.model == "a"
    assert (asked.messages, asked.stream, asked.options, asked.tools, asked.think) == (None,) * 5


def test_go_client_sends_all_it_has() -> None:
    """Contract 10.2: the Go client serialises what is unset; null and "" stand for it."""
    body = b'{"model":"","system":"","template":"","verbose":false,"options":null,"name":"x"}'
    assert decode(body, ShowRequest) == ShowRequest(
        model="", system="", template="", verbose=False, options=None, name="x"
    )
    body = (
        b'{"model":"m","prompt":"","suffix":"","system":"","template":"","context":null,"options":null,"images":null}'
    )
    asked = decode(body, GenerateRequest)
    assert (asked.prompt, asked.suffix, asked.context, asked.images) == ("", "", None, None)


def test_python_client_leaves_out_what_is_empty() -> None:
    """Contract 10.1: an assistant's turn comes without content, options with nulls inside, tools as []."""
    body = b'{"model":"m","stream":false,"options":{"temperature":null},"tools":[],"messages":[{"role":"assistant",'
    asked = decode(body + b'"tool_calls":[{"function":{"name":"f","arguments":{"b":1,"a":2}}}]}]}', ChatRequest)
    assert asked.tools == []
    assert asked.options == {"temperature": None}
    message = (asked.messages or [])[0]
    assert message.content is None
    function = (message.tool_calls or [])[0].function
    assert function is not None
    assert bytes(function.arguments) == b'{"b":1,"a":2}'


def test_schemas_are_kept() -> None:
    """Contract 3.7, 3.3: tools and format go on as they came, whatever keywords and order they have."""
    tool = b'{"type":"function","function":{"name":"f","parameters":{"$ref":"#/x","minimum":1.50,"a":{}}}}'
    asked = decode(b'{"tools":[' + tool + b'],"format":{"z":1,"a":[ 2 ]}}', ChatRequest)
    assert [bytes(raw) for raw in asked.tools or []] == [tool]
    assert bytes(asked.format) == b'{"z":1,"a":[ 2 ]}'
    assert decode(b"{}", ChatRequest).format == UNSET


@pytest.mark.parametrize("before", [b"", b'"_unknown":1,'])
def test_text_that_is_no_utf8(before: bytes) -> None:
    """Row B2: bytes that are no UTF-8 become U+FFFD, as in Go, in parts that are passed through too."""
    (tool,) = decode(b'{%s"tools":[{"type":"x","a":"a\xffb"}]}' % before, ChatRequest).tools or []
    assert bytes(tool) == '{"type":"x","a":"a\ufffdb"}'.encode()


def test_arguments_that_are_no_utf8() -> None:
    """Row B2: a call's arguments are text as well."""
    body = call('{"name":"f","arguments":{"x":"\xff"}}').encode("latin-1")
    message = (decode(body, ChatRequest).messages or [])[0]
    function = (message.tool_calls or [])[0].function
    assert function is not None
    assert bytes(function.arguments) == '{"x":"\ufffd"}'.encode()


def test_text_beyond_ascii() -> None:
    """Text in UTF-8 arrives as it was sent, on both paths."""
    assert decode('{"model":"日本 😀"}'.encode(), ChatRequest).model == "日本 😀"
    assert decode('{"Model":"日本 😀"}'.encode(), ChatRequest).model == "日本 😀"


def test_extra_type_of_a_call() -> None:
    """Contract 3.6: a call may carry OpenAI's type, an index and no id."""
    body = b'{"messages":[{"tool_calls":[{"type":"function","function":{"index":2,"name":"f","arguments":{}}}]}]}'
    tool_call = ((decode(body, ChatRequest).messages or [])[0].tool_calls or [])[0]
    assert tool_call.id is None
    assert tool_call.function is not None
    assert tool_call.function.index == 2


def test_nulls_among_others() -> None:
    """Contract 1.7: a null is nothing set, in a list too, where it keeps its place."""
    assert decode(b'{"messages":[null]}', ChatRequest).messages == [Message()]
    assert decode(b'{"context":[1,null]}', GenerateRequest).context == [1, 0]
    assert decode(b'{"images":[null]}', GenerateRequest).images in ([None], [""])


@pytest.mark.parametrize("literal", ["1.0", "9223372036854775808", "-9223372036854775809"])
def test_numbers_that_are_no_int(literal: str) -> None:
    """Contract 1.7: what Go's int does not hold is refused with its literal, in every field that is one."""
    for kind, member, field in (
        (ChatRequest, f'"top_logprobs":{literal}', "ChatRequest.top_logprobs"),
        (GenerateRequest, f'"context":[{literal}]', "GenerateRequest.context"),
        (EmbedRequest, f'"dimensions":{literal}', "EmbedRequest.dimensions"),
    ):
        message = f"json: cannot unmarshal number {literal} into Go struct field {field} of type int"
        assert refusal(f"{{{member}}}".encode(), kind) == message


@pytest.mark.parametrize(
    ("kind", "member"),
    [
        (ChatRequest, '"messages":[{"images":["AAAA","data:image/png;base64,AAAA"]}]'),
        (ChatRequest, '"_unknown":1,"messages":[{},{"images":["data:image/png;base64,AAAA"]}]'),
        (GenerateRequest, '"images":["AAAA",null,"data:image/png;base64,AAAA"]'),
    ],
)
def test_images(kind: type[ModelRequest], member: str) -> None:
    """Contract 1.7, 3.4: images are decoded with the body, so what is no base64 is told before anything else."""
    assert refusal(f"{{{member}}}".encode(), kind) == "illegal base64 data at input byte 4"


def test_b3_t21_depth() -> None:
    """Row B3: nesting is refused alike in what is read and in what is passed through."""
    for member in (b'"options":{"x":%b}', b'"tools":[{"x":%b}]', b'"format":%b', b'"_unknown":%b'):
        body = b"{" + member.replace(b"%b", b"[" * 100_000 + b"]" * 100_000) + b"}"
        assert refusal(body, ChatRequest) == "exceeded max depth"


def test_context_on_the_slow_path() -> None:
    """Contract 1.7: a list of numbers is the same one where another key makes the body an unusual one."""
    found = decode(b'{"Model":"m","context":[1,-2,3]}', GenerateRequest)
    assert (found.model, found.context) == ("m", [1, -2, 3])
