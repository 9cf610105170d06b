import pytest

from ollama_openai_proxy.errors import InvalidRequest
from ollama_openai_proxy.translate.ollama.gojson import ANY, BOOL, INT, MAP, STRING, array, bind, mapping, struct, word

MESSAGE = struct("api.Message", content=STRING, images=array("[]api.ImageData", STRING))
KIND = struct(
    "ChatRequest",
    model=STRING,
    stream=BOOL,
    top_logprobs=INT,
    context=array("[]int", INT),
    options=MAP,
    think=ANY,
    files=mapping("map[string]string", STRING),
    messages=array("[]api.Message", MESSAGE),
)


def refusal(body: bytes) -> str:
    with pytest.raises(InvalidRequest) as caught:
        bind(body, KIND)
    assert caught.value.status == 400
    return caught.value.message


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"{model:1}", "invalid character 'm' looking for beginning of object key string"),
        (b"{'model':1}", r"invalid character '\'' looking for beginning of object key string"),
        (b"{,}", "invalid character ',' looking for beginning of object key string"),
        (b'{"a":1,}', "invalid character '}' looking for beginning of object key string"),
        (b'{"a":1 , }', "invalid character '}' looking for beginning of object key string"),
        (b"not json", "invalid character 'o' in literal null (expecting 'u')"),
        (b'{"a":tru1}', "invalid character '1' in literal true (expecting 'e')"),
        (b'{"a":fals}', "invalid character '}' in literal false (expecting 'e')"),
        (b'{"a":NaN}', "invalid character 'N' looking for beginning of value"),
        (b'{"a":Infinity}', "invalid character 'I' looking for beginning of value"),
        (b'{"a":-Infinity}', "invalid character 'I' in numeric literal"),
        (b'{"a":-x}', "invalid character 'x' in numeric literal"),
        (b'{"a":.5}', "invalid character '.' looking for beginning of value"),
        (b'{"a":+1}', "invalid character '+' looking for beginning of value"),
        (b'{"a":1.}', "invalid character '}' after decimal point in numeric literal"),
        (b'{"a":1.x}', "invalid character 'x' after decimal point in numeric literal"),
        (b'{"a":1e}', "invalid character '}' in exponent of numeric literal"),
        (b'{"a":1.5E+}', "invalid character '}' in exponent of numeric literal"),
        (b'{"a":1e-x}', "invalid character 'x' in exponent of numeric literal"),
        (b'{"a":01}', "invalid character '1' after object key:value pair"),
        (b'{"a":1 .5}', "invalid character '.' after object key:value pair"),
        (b'{"a":[1,]}', "invalid character ']' looking for beginning of value"),
        (b'{"a":[1 2]}', "invalid character '2' after array element"),
        (b'{"a":[{"b":"]\\"["}  2]}', "invalid character '2' after array element"),
        (b'{"a":[[1],{}] 2}', "invalid character '2' after object key:value pair"),
        (b'{"a":1;}', "invalid character ';' after object key:value pair"),
        (b'{"a":1 "b":2}', "invalid character '\"' after object key:value pair"),
        (b'{"a" 1}', "invalid character '1' after object key"),
        (b'{"a":}', "invalid character '}' looking for beginning of value"),
        (b'{"a":"x\ny"}', r"invalid character '\n' in string literal"),
        (b'{"a":"x\0y"}', r"invalid character '\x00' in string literal"),
        (b'{"a":"\\q"}', "invalid character 'q' in string escape code"),
        (b'{"a":"\\\n"}', r"invalid character '\n' in string escape code"),
        (b'{"a":"\\u12G4"}', r"invalid character 'G' in \u hexadecimal character escape"),
        (b'{"a":"\\u"}', "invalid character '\"' in \\u hexadecimal character escape"),
        (b"}", "invalid character '}' looking for beginning of value"),
        (b"1.", "unexpected EOF"),
        (b"1.x", "invalid character 'x' after decimal point in numeric literal"),
        (b"-2e+x", "invalid character 'x' in exponent of numeric literal"),
        (b"model=llama3&prompt=hi", "invalid character 'm' looking for beginning of value"),
    ],
)
def test_b2_syntax(body: bytes, message: str) -> None:
    """Contract 1.7: a body that is no JSON is answered in the words of Go's decoder."""
    assert refusal(body) == message


@pytest.mark.parametrize(
    ("body", "char"),
    [
        (b"\x1f\x8b\x08\x00", r"'\x1f'"),  # gzip
        (b'\xef\xbb\xbf{"model":"m"}', "'ï'"),  # a byte order mark
        ('{"model":"m"}'.encode("utf-16"), "'ÿ'"),
        (b"\x80", r"'\u0080'"),
        ("é".encode(), "'Ã'"),
        ("日".encode(), "'æ'"),
    ],
)
def test_bytes_that_begin_no_value(body: bytes, char: str) -> None:
    """Row B2: Go reads bytes, so the first byte of a character is what it names."""
    assert refusal(body) == f"invalid character {char} looking for beginning of value"


WHOLE = (
    b'{"model":"a\\n\\u00e9\xc3\xa9\\"","messages":[{"content":"x"}, {"role":"b"}],"stream":true, "x":null,'
    b'"options":{"temperature":-1.5e-7,"min_p":0.05,"seed":1E+2,"a":[1,{"b":[]},-2]},"think":false}'
)


@pytest.mark.parametrize("length", range(1, len(WHOLE)))
def test_truncated_anywhere(length: int) -> None:
    """Contract 1.7: truncated JSON is an unexpected EOF, wherever it was cut."""
    assert refusal(WHOLE[:length]) == "unexpected EOF"


@pytest.mark.parametrize("body", [b"", b" ", b" \t\r\n "])
def test_no_body(body: bytes) -> None:
    """Contract 1.7: nothing, or nothing but white space, is a missing body."""
    assert refusal(body) == "missing request body"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"[]", "json: cannot unmarshal array into Go value of type api.ChatRequest"),
        (b'"x"', "json: cannot unmarshal string into Go value of type api.ChatRequest"),
        (b"5", "json: cannot unmarshal number into Go value of type api.ChatRequest"),
        (b"true", "json: cannot unmarshal bool into Go value of type api.ChatRequest"),
    ],
)
def test_body_that_is_no_object(body: bytes, message: str) -> None:
    """Contract 1.7: any other value than an object or null is refused as a whole."""
    assert refusal(body) == message


@pytest.mark.parametrize(
    ("member", "message"),
    [
        ('"model":5', "number into Go struct field ChatRequest.model of type string"),
        ('"model":1.5', "number into Go struct field ChatRequest.model of type string"),
        ('"model":true', "bool into Go struct field ChatRequest.model of type string"),
        ('"stream":"false"', "string into Go struct field ChatRequest.stream of type bool"),
        ('"stream":0', "number into Go struct field ChatRequest.stream of type bool"),
        ('"top_logprobs":1.5', "number 1.5 into Go struct field ChatRequest.top_logprobs of type int"),
        ('"top_logprobs":true', "bool into Go struct field ChatRequest.top_logprobs of type int"),
        ('"context":["a"]', "string into Go struct field ChatRequest.context of type int"),
        ('"context":{}', "object into Go struct field ChatRequest.context of type []int"),
        ('"options":"x"', "string into Go struct field ChatRequest.options of type map[string]interface {}"),
        ('"messages":"x"', "string into Go struct field ChatRequest.messages of type []api.Message"),
        ('"messages":[5]', "number into Go struct field ChatRequest.messages of type api.Message"),
        ('"messages":[{"content":[]}]', "array into Go struct field ChatRequest.messages.content of type string"),
        ('"MESSAGES":[{"Content":{}}]', "object into Go struct field ChatRequest.messages.content of type string"),
        ('"files":[]', "array into Go struct field ChatRequest.files of type map[string]string"),
        ('"files":{"a":5}', "number into Go struct field ChatRequest.files of type string"),
        ('"options":[]', "array into Go struct field ChatRequest.options of type map[string]interface {}"),
        ('"model":99999999999999999999', "number into Go struct field ChatRequest.model of type string"),
        (
            '"messages":[{"images":"x"}]',
            "string into Go struct field ChatRequest.messages.images of type []api.ImageData",
        ),
    ],
)
def test_b4_wrong_types(member: str, message: str) -> None:
    """Contract 1.7: the word for the JSON, the path through the structs, the Go type."""
    assert refusal(f"{{{member}}}".encode()) == f"json: cannot unmarshal {message}"


def test_the_first_wrong_type_is_reported() -> None:
    """Go reports the first mismatch, and only when the whole text is JSON."""
    assert "ChatRequest.stream" in refusal(b'{"stream":1,"model":1}')
    assert refusal(b'{"stream":1,"model":') == "unexpected EOF"


@pytest.mark.parametrize(
    ("body", "bound"),
    [
        (b"null", {}),
        (b" {} ", {}),
        (b'{"model":"a"} junk', {"model": "a"}),
        (b'{"model":"a"}{"model":"b"}', {"model": "a"}),
        (b'{"Model":"a","STREAM":true}', {"model": "a", "stream": True}),
        (b'{"model":"a","Model":"b"}', {"model": "b"}),
        (b'{"Model":"a","model":"b"}', {"model": "b"}),
        (b'{"model":"a","model":"b"}', {"model": "b"}),
        (b'{"nope":{"a":[1]},"model":"a"}', {"model": "a"}),
        (b'{"model":"a","Model":"b","model":"c"}', {"model": "c"}),
        (b'{"model":null,"messages":null}', {"model": None, "messages": None}),
        (b'{"messages":[null,{}],"context":[null,2]}', {"messages": [{}, {}], "context": [0, 2]}),
        (b'{"messages":[{"images":[null]}]}', {"messages": [{"images": [""]}]}),
        (b'{"files":{"a":"b","c":null}}', {"files": {"a": "b", "c": ""}}),
        (b'{"options":{"Seed":1,"x":null}}', {"options": {"Seed": 1, "x": None}}),
        (b'{"think":"low","top_logprobs":3}', {"think": "low", "top_logprobs": 3}),
        (b'{"messages":[{"Content":"x","extra":1}]}', {"messages": [{"content": "x"}]}),
        (b'{"model":"\\ud83d\\ude00"}', {"model": "\U0001f600"}),
        (b'{"model":"a\\ud83db"}', {"model": "a\ufffdb"}),
        (b'{"model":"a\xffb"}', {"model": "a\ufffdb"}),
        (b'{"options":{"\\ud800":["\\udc00"]}}', {"options": {"\ufffd": ["\ufffd"]}}),
        (b'{"model":"a\\u0000b"}', {"model": "a\0b"}),
    ],
)
def test_what_go_takes(body: bytes, bound: object) -> None:
    """Contract 1.7: keys in any case, duplicates, nulls, unknown fields, trailing bytes, broken characters."""
    assert bind(body, KIND) == bound


@pytest.mark.parametrize("depth", [1_100, 5_000, 100_000])
def test_b3_t21_depth(depth: int) -> None:
    """Row B3: nesting beyond any honest request is refused, at whichever layer it is too deep."""
    assert refusal(b'{"think":' + b"[" * depth + b"]" * depth + b"}") == "exceeded max depth"


def test_b3_t21_huge_numbers() -> None:
    """Row B3: numbers that no float can hold are refused, not turned into null or infinity."""
    message = "json: cannot unmarshal number 1e999 into Go struct field ChatRequest.options of type float64"
    assert refusal(b'{"options":{"temperature":1e999}}') == message
    message = message.replace("options", "think")
    assert refusal(b'{"think":[-1e999]}') == message.replace("1e999", "-1e999")
    literal = "-1" + "0" * 98  # and 4,902 more
    assert refusal(b'{"think":-1' + b"0" * 5_000 + b"}") == message.replace("1e999", literal)


def test_numbers_that_nobody_asked_for() -> None:
    """Contract 1.7: unknown fields are ignored, whatever is in them."""
    assert bind(b'{"x":1e999,"y":' + b"9" * 5_000 + b',"model":"m"}', KIND) == {"model": "m"}


@pytest.mark.parametrize(
    ("literal", "number"),
    [
        ("9223372036854775807", 9223372036854775807),
        ("-9223372036854775808", -9223372036854775808),
        ("9223372036854775808", 9223372036854775808.0),
        ("1" + "0" * 40, 1e40),
        ("0.1e1", 1.0),
        ("-0", 0),
    ],
)
def test_numbers_of_any_type(literal: str, number: float) -> None:
    """Go reads a number into `interface {}` as a float64; here an int64 stays the integer it was written as."""
    bound = bind(f'{{"think":{literal},"options":{{"a":[{literal}]}}}}'.encode(), KIND)
    assert bound == {"think": number, "options": {"a": [number]}}
    assert type(bound["think"]) is type(number)


@pytest.mark.parametrize(
    "literal", ["1.0", "1e2", "1.50", "0.0", "-1.0", "9223372036854775808", "-9223372036854775809", "9" * 100]
)
def test_numbers_that_are_no_int(literal: str) -> None:
    """Contract 1.7: a number with a point or an exponent, or out of range, is refused with its literal."""
    message = f"json: cannot unmarshal number {literal} into Go struct field ChatRequest.top_logprobs of type int"
    assert refusal(f'{{"top_logprobs":{literal}}}'.encode()) == message
    message = message.replace("top_logprobs", "context")
    assert refusal(f'{{"context":[1,{literal}]}}'.encode()) == message


def test_the_container_of_a_far_error() -> None:
    """Row B4: what lies a megabyte back is not read again; the character is named all the same."""
    assert refusal(b'{"a":[1' + b" " * 1_000_000 + b"2]}").startswith("invalid character '2' after ")


@pytest.mark.parametrize(
    ("value", "name"),
    [("x", "string"), (1, "number"), (1.5, "number"), (True, "bool"), ([], "array"), ({}, "object")],
)
def test_words(value: object, name: str) -> None:
    """Contract 1.7: JSON's kinds are string, number, bool, array and object."""
    assert word(value) == name
