"""Vectors that are not read number by number are the same, and fail with the same, as those that are (adr/0024)."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ollama_openai_proxy.errors import UpstreamBroken
from ollama_openai_proxy.translate.ollama.embeddings import checked
from ollama_openai_proxy.translate.openai.embeddings import All, Checks, Decoder, only_numbers


class Nobody:
    """No vector is looked at that looks like a list of numbers."""

    def due(self, count: int, *, first: bool) -> bool:
        return False

    def saw(self, *, kept: bool) -> None:
        pass


NUMBERS = st.one_of(
    st.floats(-2, 2).map(repr),
    st.floats(-1e300, 1e300, allow_subnormal=False).map("{:.9E}".format),
    st.floats(-1, 1).map("{:.3e}".format),
    st.integers(-(10**30), 10**30).map(str),
    st.sampled_from(["0", "-0", "0.0", "1e-400", "0e0", "1E-5", "1e5", "1.5e+3"]),
)
STRAYS = "null NaN nan Infinity -inf true false [1] [ {} 1e999 1E999 - +1 01 1. .5 --1 1-2 1e 1e- e-1 0x1 \u0661 '1'"
OTHERS = st.sampled_from([*STRAYS.split(), '"1"', '"a]b"', "", "1 2", "\x00", "\ufeff1"])
SPACES = st.sampled_from(["", "", "", " ", "\n\t", "\r\n  ", " " * 40])


@st.composite
def written(draw: st.DrawFn, values: st.SearchStrategy[str], size: int) -> str:
    """A list as some writer of JSON could have put it."""
    drawn = draw(st.lists(values, min_size=size, max_size=size))
    return "[" + ",".join(draw(SPACES) + value + draw(SPACES) for value in drawn) + "]"


@st.composite
def replies(draw: st.DrawFn) -> tuple[bytes, int]:
    """A reply, and how many vectors were asked for."""
    size, count = draw(st.integers(0, 5)), draw(st.integers(1, 4))
    odd = draw(st.integers(0, 5)) == 0
    vectors = [draw(written(NUMBERS, size)) for _ in range(count)]
    if odd:
        vectors[-1] = draw(written(NUMBERS | OTHERS, draw(st.integers(0, 5))))
    order = draw(st.permutations(range(count)))
    space = draw(SPACES)
    items = [f'{{"embedding"{space}:{space}{vector},"index":{at}}}' for at, vector in zip(order, vectors, strict=True)]
    return ('{"data":[' + ",".join(items) + '],"usage":{"prompt_tokens":3}}').encode(), count


def outcome(reply: bytes, count: int, piece: int, checks: Checks) -> object:
    """Return what becomes of a reply that comes in pieces of so many bytes: vectors, or an error."""
    decoder = Decoder(count, checked, checks=checks)
    try:
        for start in range(0, len(reply), piece):
            decoder.feed(reply[start : start + piece])
        return decoder.close()
    except UpstreamBroken as error:
        return error.message, error.status


@given(replies(), st.integers(1, 300))
def test_h27_vectors_that_are_not_read(reply: tuple[bytes, int], piece: int) -> None:
    """H27: whatever the vectors are and however they come, it is of no matter whether their numbers are read."""
    body, count = reply
    assert outcome(body, count, piece, Nobody()) == outcome(body, count, len(body), All())


@given(st.integers(0, 6).flatmap(lambda size: written(NUMBERS | OTHERS, size)))
@example("[1,,2]")
@example("[1e999]")
def test_only_numbers(vector: str) -> None:
    """RFC 8259, section 6: what is said to be a list of numbers is one that a reader of floats takes."""
    if only_numbers(vector.encode()):
        assert checked(vector.encode()) == vector.encode()


@pytest.mark.parametrize(
    "vector",
    [
        b"[]",
        b"[1]",
        b"[0.1,-0.25,3]",
        b"[ 0.1 ,\n\t-1 ]",
        b"[1e-05,-9.1e-05]",
        b"[" + b",".join([b"1e-5"] * 64) + b"]",
    ],
)
def test_usual_vectors_are_only_numbers(vector: bytes) -> None:
    """Unit vectors, as the usual writers of JSON write them, need not be read."""
    assert only_numbers(vector)


@pytest.mark.parametrize(
    "vector", [b"[1,null]", b"[true]", b"[false]", b'["1"]', b"[{}]", b"[[1]", b"[[1]]", b"[NaN]", b"[-Infinity]"]
)
def test_other_things_are_no_numbers(vector: bytes) -> None:
    """H27: what stands for no number in JSON, or in what some write for JSON, is looked at."""
    assert not only_numbers(vector)


@pytest.mark.parametrize(
    "vector", [b"[1e999]", b"[1e+999]", b"[1E999]", b"[1E-5]", b"[" + b",".join([b"1e-5"] * 65) + b"]"]
)
def test_numbers_that_may_be_too_large_are_read(vector: bytes) -> None:
    """Contract 5.9: infinity may be written as a number, too; many exponents are slower to look at than to read."""
    assert not only_numbers(vector)
