"""Bodies: the fast path and Go's, which must agree, and what neither takes."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ollama_openai_proxy.errors import InvalidRequest
from ollama_openai_proxy.translate.ollama.decoding import MAX_ODD_VALUES, MAX_VALUES, Body, Wire
from ollama_openai_proxy.translate.ollama.gojson import ANY, BOOL, INT, MAP, STRING, array, struct


class Part(Wire):
    text: str | None = None


class Thing(Wire):
    name: str | None = None
    count: int | None = None
    on: bool | None = None
    any: Any = None
    options: dict[str, Any] | None = None
    parts: list[Part] | None = None


BODY = Body(
    Thing,
    struct(
        "ThingRequest",
        name=STRING,
        count=INT,
        on=BOOL,
        any=ANY,
        options=MAP,
        parts=array("[]api.Part", struct("api.Part", text=STRING)),
    ),
)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | FLOATS | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)
THINGS = st.fixed_dictionaries(
    {},
    optional={
        "name": st.none() | TEXTS,
        "count": st.none() | st.integers(-(2**63), 2**63 - 1),
        "on": st.none() | st.booleans(),
        "any": ANYTHING,
        "options": st.none() | st.dictionaries(TEXTS, ANYTHING, max_size=3),
        "parts": st.none() | st.lists(st.fixed_dictionaries({}, optional={"text": st.none() | TEXTS}), max_size=3),
    },
)


@given(THINGS)
def test_both_ways_agree(thing: dict[str, Any]) -> None:
    """Contract 1.7: what only the slow way takes (another case, unknown fields, bytes that follow) changes nothing."""
    plain = BODY.decode(msgspec.json.encode(thing))
    odd = {"_unknown": [{}], **{key.upper(): value for key, value in thing.items()}}
    assert BODY.decode(msgspec.json.encode(odd) + b" junk") == plain
    assert plain == msgspec.convert(thing, Thing)


@given(
    st.binary(max_size=40) | ANYTHING.map(msgspec.json.encode) | THINGS.map(msgspec.json.encode).map(lambda b: b[1:])
)
def test_b2_t21_nothing_but_refusals(body: bytes) -> None:
    """Contract 1.7: any bytes are a request or a bad request with a text: nothing else is ever raised."""
    refused: InvalidRequest | None = None
    try:
        BODY.decode(body)
    except InvalidRequest as refusal:
        refused = refusal
    assert refused is None or (refused.status, bool(refused.message)) == (400, True)


@given(THINGS.map(msgspec.json.encode), st.integers(0, 200))
def test_every_cut(body: bytes, cut: int) -> None:
    """Contract 1.7: a body that was cut is an unexpected end, or missing when nothing of it is there."""
    part = body[: min(cut, len(body) - 1)]
    with pytest.raises(InvalidRequest) as caught:
        BODY.decode(part)
    assert caught.value.message == ("unexpected EOF" if part else "missing request body")


class Narrow(Wire):
    name: int = 0


def test_what_neither_way_takes() -> None:
    """A body of which the wire's type has another idea than Go's is a bad request, never a failure of the server."""
    with pytest.raises(InvalidRequest, match=r"^invalid request body$"):
        Body(Narrow, struct("NarrowRequest", name=STRING)).decode(b'{"name":"x"}')


@pytest.mark.parametrize(
    "body",
    [b'{"name":"\xff"}', b'{"name":"\xed\xa0\x80"}', b'{"name":"a"}\xff', '{"name":"é"}'.encode("latin-1")],
)
def test_text_that_is_no_utf8(body: bytes) -> None:
    """Go reads any bytes as text, with U+FFFD for what is none."""
    assert set(BODY.decode(body).name or "") <= {"\ufffd", "a"}


MANY = b'{"any":[' + b'"a",' * MAX_ODD_VALUES + b'"a"]'


@pytest.mark.parametrize("body", [b"[" * (MAX_VALUES + 1), b'{"any":[' + b"1," * MAX_VALUES + b"1]}"])
def test_b4_too_many_values(body: bytes) -> None:
    """B4, M10: what a body costs goes by its values: no more of them are read than any honest request has."""
    with pytest.raises(InvalidRequest, match=r"^request body has too many values$"):
        BODY.decode(body)


def test_b4_many_values() -> None:
    """B4: fewer are read, and what stands in strings is text."""
    assert len(BODY.decode(MANY + b"}").any) == MAX_ODD_VALUES + 1
    assert len(BODY.decode(b'{"name":"' + b"{[," * MAX_VALUES + b'"}').name or "") == 3 * MAX_VALUES


@pytest.mark.parametrize("odd", [b',"on":5}', b',"parts":[{"unknown":1}]}', b",}", b',"NAME":"x"}'])
def test_m10_many_values_that_are_odd(odd: bytes) -> None:
    """M10: what takes Go's way to read, or to find its words for, is read only while that is quick."""
    with pytest.raises(InvalidRequest, match=r"^invalid request body$"):
        BODY.decode(MANY + odd)


def test_unknown_fields_are_left_out_at_once() -> None:
    """Contract 1.7: a large body with fields of another API is read like any other; the last of a field twice wins."""
    thing = BODY.decode(MANY + b',"unknown":{"x":[1e999]},"name":"x","other":null,"name":"y"}')
    assert (thing.name, len(thing.any)) == ("y", MAX_ODD_VALUES + 1)


def test_b3_depth() -> None:
    """B3: nesting without end is refused, wherever it stands."""
    for field in (b"any", b"unknown", b"ANY"):
        with pytest.raises(InvalidRequest, match=r"^exceeded max depth$"):
            BODY.decode(b'{"%b":' % field + b"[" * 100_000 + b"]" * 100_000 + b"}")
