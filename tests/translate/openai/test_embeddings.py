"""Embeddings as backends answer them (row H27, contract 11.5)."""

from __future__ import annotations

import base64
import json
import struct
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ollama_openai_proxy.errors import UpstreamBroken, UpstreamError, UpstreamUnauthorised
from ollama_openai_proxy.translate.openai.embeddings import Decoder, Embeddings, truncation
from ollama_openai_proxy.translate.openai.profiles import GENERIC, PROFILES

RECORDINGS = Path(__file__).parents[2] / "recordings"


def body(*items: Any, **fields: Any) -> bytes:
    return json.dumps({"object": "list", "data": items, **fields}).encode()


def item(vector: Any, **fields: Any) -> dict[str, Any]:
    return {"object": "embedding", "embedding": vector, **fields}


def decode(reply: bytes, count: int, secrets: tuple[str, ...] = (), piece: int = 0) -> Embeddings:
    """Decode a reply that comes at once, or in pieces of so many bytes; vectors are kept as they came."""
    decoder = Decoder(count, bytes, secrets)
    for start in range(0, len(reply), piece or len(reply) or 1):
        decoder.feed(reply[start : start + (piece or len(reply))])
    return decoder.close()


def vectors(reply: bytes, count: int) -> list[Any]:
    return [json.loads(vector) for vector in decode(reply, count).vectors]


def test_vectors_come_in_the_order_of_their_index() -> None:
    """H27: `index` says which input a vector belongs to, whatever order they come in."""
    reply = body(item([3.0], index=2), item([1.0], index=0), item([2.0], index=1))
    assert vectors(reply, 3) == [[1.0], [2.0], [3.0]]


@pytest.mark.parametrize(
    "indexes",
    [
        pytest.param([None, None], id="null"),
        pytest.param([0, 0], id="all the same"),
        pytest.param([1, 2], id="from 1"),
        pytest.param([0, "1"], id="text"),
        pytest.param([True, False], id="booleans"),
        pytest.param([-1, 0], id="negative"),
    ],
)
def test_an_index_that_is_no_order_leaves_the_order_that_came(indexes: list[Any]) -> None:
    """H27: where the indexes do not number the inputs, the backend's order is the inputs'."""
    assert vectors(body(*(item([n], index=index) for n, index in enumerate(indexes))), 2) == [[0], [1]]


def test_the_index_may_be_missing() -> None:
    """H27: some backends leave it out."""
    assert vectors(body(item([1]), item([2])), 2) == [[1], [2]]


def test_numbers_are_not_touched() -> None:
    """The vector is forwarded byte for byte: no digit is lost, none added."""
    written = b"[0.10000000149011612,1e-7,-0.0,1,12345678901234567890.0]"
    reply = b'{"data":[{"index":0,"embedding": ' + written + b' }],"usage":{"prompt_tokens":3,"total_tokens":3}}'
    answer = decode(reply, 1)
    assert answer.vectors == [written]
    assert answer.prompt_tokens == 3


def test_base64_is_unpacked() -> None:
    """H27: OpenAI's `encoding_format: base64` is little-endian float32, and some send it unasked."""
    packed = base64.b64encode(struct.pack("<3f", 1.0, -0.5, 0.25)).decode()
    assert vectors(body(item(packed, index=0)), 1) == [[1.0, -0.5, 0.25]]
    assert vectors(body(item("AACAPwAAAL8=", index=0)), 1) == [[1.0, -0.5]]


@pytest.mark.parametrize("reply", [b"{}", b'{"data":null}', b'{"object":"list","data":[]}'], ids=repr)
def test_no_vectors_at_all_is_a_wrong_number(reply: bytes) -> None:
    """H27: JSON without vectors is not an answer without vectors."""
    with pytest.raises(UpstreamBroken, match=r"^the upstream answered with the wrong number of embeddings$"):
        decode(reply, 1)


@pytest.mark.parametrize(
    ("items", "count"),
    [
        pytest.param([], 1, id="H27 empty"),
        pytest.param([item([1])], 2, id="H27 one too few"),
        pytest.param([item([1]), item([2])], 1, id="H27 one too many"),
    ],
)
def test_h27_a_wrong_number_of_vectors_is_refused(items: list[Any], count: int) -> None:
    """H27: vectors that belong to no input, or inputs without one, must not be misaligned silently."""
    with pytest.raises(UpstreamBroken) as caught:
        decode(body(*items), count)
    assert caught.value.message == "the upstream answered with the wrong number of embeddings"
    assert caught.value.status == 502


@pytest.mark.parametrize(
    "reply",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"<html>", id="a page"),
        pytest.param(b"[]", id="a list"),
        pytest.param(b"null", id="null"),
        pytest.param(b'{"data":[{"embedding":[1,2', id="half"),
        pytest.param(b'{"data":[{"index":0}]}', id="no vector"),
        pytest.param(b'{"data":[null]}', id="no item"),
        pytest.param(b'{"data":{"embedding":[1]}}', id="an object"),
        pytest.param(b'{"data":[{"embedding":null}]}', id="null vector"),
        pytest.param(b'{"data":[{"embedding":{"a":1}}]}', id="an object for a vector"),
        pytest.param(b'{"data":[{"embedding":"AAAA"}]}', id="three bytes are no float"),
        pytest.param(b'{"data":[{"embedding":"not base64!"}]}', id="no base64"),
        pytest.param('{"data":[{"embedding":"ééé="}]}'.encode(), id="no base64, no ASCII"),
        pytest.param(b'{"data":[{"embedding":"\xff\xff"}]}', id="no text"),
        pytest.param(b'{"data":[{"embedding":' + b"[" * 100_000 + b"]" * 100_000 + b"}]}", id="too deep"),
    ],
)
def test_what_is_no_list_of_vectors_is_refused(reply: bytes) -> None:
    """H27: a reply that can't be read is the upstream's failure, never an empty answer."""
    with pytest.raises(UpstreamBroken) as caught:
        decode(reply, 1)
    assert caught.value.message == "the upstream sent invalid JSON"


def test_an_error_under_status_200_is_an_error() -> None:
    """I7: OpenRouter answers 200 with nothing but `error`; its code is the status, and our key is not in the text."""
    reply = json.dumps({"error": {"message": "quota of canary-key exceeded", "code": 429}}).encode()
    with pytest.raises(UpstreamError) as caught:
        decode(reply, 1, ("canary-key",))
    assert (caught.value.status, caught.value.message) == (429, "quota of [key] exceeded")
    with pytest.raises(UpstreamUnauthorised):
        decode(b'{"error":{"code":401,"message":"bad key"}}', 1)


@pytest.mark.parametrize(
    ("usage", "tokens"),
    [
        ({"prompt_tokens": 8, "total_tokens": 8}, 8),
        (None, None),
        ({}, None),
        ("8", None),
        ({"prompt_tokens": -1}, None),
    ],
    ids=repr,
)
def test_prompt_tokens_are_told_only_where_the_backend_does(usage: Any, tokens: int | None) -> None:
    """H10: a count that was not given is left out, not guessed."""
    assert decode(body(item([1]), usage=usage), 1).prompt_tokens == tokens


def test_a_total_is_the_prompt() -> None:
    """Contract 5.9: where only a total is told, it is that of the inputs, for nothing else is counted."""
    assert decode(body(item([1]), usage={"total_tokens": 8}), 1).prompt_tokens == 8
    assert decode(body(item([1]), usage={"prompt_tokens": 0, "total_tokens": 0}), 1).prompt_tokens in (None, 0)


@given(
    st.integers(1, 60),
    st.integers(0, 4).flatmap(
        lambda size: st.lists(st.lists(st.integers(-9, 9), min_size=size, max_size=size), max_size=4)
    ),
    st.sampled_from(["", " ", "\n\t"]),
)
def test_h27_any_pieces_make_the_same_vectors(piece: int, given_vectors: list[list[int]], space: str) -> None:
    """H27: however the bytes are cut, the vectors are the same, and belong to the same inputs."""
    items = [item(vector, index=index) for index, vector in reversed(list(enumerate(given_vectors)))]
    reply = json.dumps({"data": items, "usage": {"prompt_tokens": 3}}, indent=2 if space else None).encode()
    found = decode(reply.replace(b'":', f'"{space}:{space}'.encode()), len(items), piece=piece)
    assert [json.loads(vector) for vector in found.vectors] == given_vectors
    assert found.prompt_tokens == 3


def test_a_vector_is_converted_when_it_is_whole() -> None:
    """No read has to wait for the end to be worked on, or the last would hold up the streams of all others."""
    converted: list[bytes] = []

    def convert(vector: bytes) -> bytes:
        converted.append(vector)
        return vector

    decoder = Decoder(2, convert)
    decoder.feed(b'{"data":[{"embedding":[1,2')
    assert converted == []
    decoder.feed(b'],"index":1},{"embed')
    assert converted == [b"[1,2]"]
    decoder.feed(b'ding":[3,4],"index":0}')
    assert converted == [b"[1,2]", b"[3,4]"]
    decoder.feed(b"]}")
    assert decoder.close().vectors == [b"[3,4]", b"[1,2]"]


def test_base64_is_converted_when_it_is_whole() -> None:
    """Nor has base64: two thousand vectors unpacked at once would hold up everybody for more than a second."""
    converted: list[bytes] = []

    def convert(vector: bytes) -> bytes:
        converted.append(vector)
        return vector

    decoder = Decoder(2, convert)
    decoder.feed(b'{"data":[{"embedding": "AACAPwA')
    assert converted == []
    decoder.feed(b'AAL8=","index":1},{"embedding":"')
    assert converted == [b"[1.0,-0.5]"]
    decoder.feed(b'AACAPwAAAL8=","index":0}')
    assert converted == [b"[1.0,-0.5]", b"[1.0,-0.5]"]
    decoder.feed(b"]}")
    assert decoder.close().vectors == [b"[1.0,-0.5]", b"[1.0,-0.5]"]


def test_h27_cut_at_any_byte() -> None:
    """H27: a part of a reply is no reply, wherever it was cut, and however it writes its vectors."""
    reply = body(item([1.5], index=0), item("AACAPw==", index=1), usage={"prompt_tokens": 3})
    assert len(decode(reply, 2).vectors) == 2
    for end in range(len(reply)):
        with pytest.raises(UpstreamBroken):
            decode(reply[:end], 2, piece=7)


def test_base64_with_escapes() -> None:
    """RFC 8259, section 7: some writers of JSON escape each slash, which base64 has."""
    assert vectors(body(item("//9/Pw==")).replace(b"/", b"\\/"), 1) == [[struct.unpack("<f", b"\xff\xff\x7f\x3f")[0]]]


def test_space_around_a_key_is_no_matter() -> None:
    """JSON may have any space between tokens (RFC 8259, section 2), longer than anybody would search for, too."""
    spaced = b'{"data":[{"embedding"' + b" " * 500 + b":" + b"\n" * 500 + b"[1,2]}]}"
    assert [decode(spaced, 1, piece=piece).vectors for piece in (0, 1, 7, 100)] == [[b"[1,2]"]] * 4


def test_text_that_looks_like_a_vector_is_none() -> None:
    """What stands in a string is text: its quotes are escaped (RFC 8259, section 7)."""
    reply = body({"object": 'say "embedding":[9] ', "embedding": [1]}, model='"embedding": [7]')
    assert decode(reply, 1).vectors == [b"[1]"]


@pytest.mark.parametrize("place", ["{}", '{"vector":5}', '{"vector":"0"}'])
def test_an_object_is_no_vector(place: str) -> None:
    """H27: what is neither a list nor base64 is no vector, whatever is in it."""
    with pytest.raises(UpstreamBroken, match="invalid JSON"):
        decode(b'{"data":[{"embedding":[1]},{"embedding":%s}]}' % place.encode(), 2)


def test_what_a_vector_fails_with_is_told_at_once() -> None:
    """One vector that is no list of numbers fails the call when it comes, not when all the others have come, too."""

    def refuse(_vector: bytes) -> bytes:
        raise UpstreamBroken("no")

    decoder = Decoder(2, refuse)
    with pytest.raises(UpstreamBroken, match="no"):
        decoder.feed(b'{"data":[{"embedding":[]')


@pytest.mark.parametrize(
    ("profile", "length", "expected"),
    [
        ("vllm", 512, {"truncate_prompt_tokens": 512, "truncation_side": "right"}),
        ("vllm", None, {}),
        ("generic", 512, {}),
        ("llamacpp", 512, {}),
        ("openai", 512, {}),
    ],
)
def test_truncation(profile: str, length: int | None, expected: dict[str, Any]) -> None:
    """https://docs.vllm.ai/en/latest/serving/openai_compatible_server.html: "right" keeps the first tokens."""
    assert truncation(PROFILES.get(profile, GENERIC), length) == expected


def test_a_real_reply_of_llama_cpp() -> None:
    """Two vectors of 576 numbers, which is SmolLM2-135M's width, in the order of their texts."""
    reply = (RECORDINGS / "llamacpp-embeddings.json").read_bytes()
    by_index = {entry["index"]: entry["embedding"] for entry in json.loads(reply)["data"]}
    assert vectors(reply, 2) == [by_index[0], by_index[1]]
    assert [len(vector) for vector in vectors(reply, 2)] == [576, 576]


@pytest.mark.parametrize("other", [[1.0], [1.0, 2.0, 3.0], "AACAPw==", {"a": [1, 2, 3]}], ids=repr)
def test_h27_vectors_of_different_lengths_are_refused(other: Any) -> None:
    """H27: vectors of one model are as long as each other; others would be compared with nonsense."""
    reply = json.dumps({"data": [{"index": 0, "embedding": [1.0, 2.0]}, {"index": 1, "embedding": other}]}).encode()
    with pytest.raises(UpstreamBroken):
        decode(reply, 2)
