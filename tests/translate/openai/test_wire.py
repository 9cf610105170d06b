"""Chunks as they come over the wire: what is one, and what only breaks the rules of text."""

from __future__ import annotations

import pytest

from ollama_openai_proxy.errors import UpstreamBroken
from ollama_openai_proxy.translate.openai.wire import Chunk, decode_chunk


def content(chunk: Chunk) -> object:
    """The content of the first choice's delta."""
    assert chunk.choices
    assert chunk.choices[0].delta
    return chunk.choices[0].delta.content


def test_unknown_fields_are_skipped() -> None:
    """H25: vendors add fields at every level, and tomorrow others."""
    chunk = decode_chunk(
        b'{"id":"x","created":1.5,"obfuscation":"a","choices":[{"index":0,"stop_reason":null,"delta":'
        b'{"role":"assistant","content":"Hi","annotations":[{}],"audio":{"id":"a"},"tool_calls":'
        b'[{"type":"function","extra_content":{},"function":{"name":"f","strict":true}}]}}]}',
        {},
    )
    assert content(chunk) == "Hi"
    assert chunk.choices
    assert chunk.choices[0].delta
    assert chunk.choices[0].delta.tool_calls
    assert chunk.choices[0].delta.tool_calls[0].function


@pytest.mark.parametrize("data", [b"{}", b'{"type":"ping"}', b'{"choices":null}', b'{"choices":[]}'])
def test_a_chunk_may_lack_everything(data: bytes) -> None:
    """H2, H3: pings and chunks without choices are chunks."""
    assert not decode_chunk(data, {}).choices


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b'{"choices":[{"delta":{"content":"Hel', id="half"),
        pytest.param(b"not json", id="text"),
        pytest.param(b'{"choices":[]}{"choices":[]}', id="G16 two in one event"),
        pytest.param(b"{'choices':[]}", id="Python's notation"),
        pytest.param(b'{"choices":[],}', id="trailing comma"),
        pytest.param(b"null", id="H2 null"),
        pytest.param(b"[]", id="H2 array"),
        pytest.param(b'"text"', id="H2 string"),
        pytest.param(b"42", id="H2 number"),
        pytest.param(b'{"choices":{}}', id="choices are no array"),
        pytest.param(b'{"choices":[null]}', id="choice is no object"),
        pytest.param(b'{"choices":[{"delta":"text"}]}', id="delta is no object"),
        pytest.param(b'{"choices":[{"delta":{"tool_calls":[7]}}]}', id="call is no object"),
        pytest.param(b'{"usage":' + b"[" * 100_000, id="too deep, cut"),
        pytest.param(b'{"usage":' + b"[" * 100_000 + b"]" * 100_000 + b"}", id="too deep"),
        pytest.param(b'{"usage":' + b'{"a":' * 20_000 + b"1" + b"}" * 20_001, id="too deep, objects"),
        pytest.param(b"\xff\xfe{\x00}\x00", id="UTF-16"),
    ],
)
def test_what_is_no_chunk_is_refused(data: bytes) -> None:
    """H1, H2: a chunk that can't be read is never taken for an empty one, or its tokens would be lost silently."""
    with pytest.raises(UpstreamBroken) as caught:
        decode_chunk(data, {})
    assert caught.value.message == "the upstream sent invalid JSON"
    assert (caught.value.status, caught.value.outcome) == (502, "up_protocol")


@pytest.mark.parametrize(
    ("written", "text"),
    [
        pytest.param(b"caf\xc3", "caf\ufffd", id="G17 a character cut in two"),
        pytest.param(b"\xf0\x9f\x98", "\ufffd", id="G17 an emoji cut short"),
        pytest.param(b"a\xffb", "a\ufffdb", id="G17 no UTF-8"),
        pytest.param(b"a\\ud83d", "a\ufffd", id="half a pair of surrogates, escaped"),
        pytest.param(b"\\ud83d\\ude00", "\U0001f600", id="a whole pair"),
    ],
)
def test_broken_text_costs_the_character_not_the_chunk(written: bytes, text: str) -> None:
    """G17: what is no text becomes U+FFFD, and the stream goes on."""
    assert content(decode_chunk(b'{"choices":[{"delta":{"content":"' + written + b'"}}]}', {})) == text


def test_numbers_that_json_does_not_have_do_not_break_the_chunk() -> None:
    """Python backends write NaN and Infinity for log probabilities; the text beside them is worth keeping."""
    data = b'{"choices":[{"delta":{"content":"Hi"},"logprobs":{"content":[{"token":"Hi","logprob":-Infinity}]}}]}'
    assert content(decode_chunk(data, {})) == "Hi"


def test_separators_of_lines_are_text() -> None:
    """G18: U+2028 and U+0085 in a string are characters like any other."""
    assert (
        content(decode_chunk('{"choices":[{"delta":{"content":"a\u2028b\u0085"}}]}'.encode(), {})) == "a\u2028b\u0085"
    )
