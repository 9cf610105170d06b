import math

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ollama_openai_proxy.errors import UpstreamBroken
from ollama_openai_proxy.translate.ollama.embeddings import (
    checked,
    embed_answer,
    embeddings_answer,
    loaded,
    unit,
)


def answer(*vectors: bytes, dimensions: int | None = None, prompt_tokens: int | None = None) -> bytes:
    units = [unit(vector, dimensions) for vector in vectors]
    return embed_answer("M", units, prompt_tokens=prompt_tokens, opened=20, elapsed=500)


def vectors(*given: bytes, dimensions: int | None = None) -> list[list[float]]:
    found: list[list[float]] = msgspec.json.decode(answer(*given, dimensions=dimensions))["embeddings"]
    return found


def test_whole_answer() -> None:
    """Contract 5.9: model, embeddings, total and load duration, prompt count, in this order."""
    assert answer(b"[1,0]", b"[0.0,1.0]", prompt_tokens=7) == (
        b'{"model":"M","embeddings":[[1,0],[0.0,1.0]],"total_duration":500,"load_duration":20,"prompt_eval_count":7}'
    )


@pytest.mark.parametrize("tokens", [None, 0])
def test_no_count(tokens: int | None) -> None:
    """Contract 5.9: a count that nobody told is left out."""
    assert b"prompt_eval_count" not in answer(b"[1]", prompt_tokens=tokens)


def test_durations_are_never_zero() -> None:
    """Contract 3.9: a duration is at least a nanosecond."""
    found = embed_answer("M", [], prompt_tokens=None, opened=0, elapsed=0)
    assert found == b'{"model":"M","embeddings":[],"total_duration":1,"load_duration":1}'


def test_vectors_are_normalised() -> None:
    """Contract 5.9: vectors have length 1, in the order of the inputs."""
    assert vectors(b"[3,4]", b"[0,-2.5]") == [[pytest.approx(0.6), pytest.approx(0.8)], [0, -1]]


def test_unit_vectors_are_copied() -> None:
    """Numbers that need no change are passed through to the digit, rounded to float32 as backends send them."""
    assert b'"embeddings":[[0.60000002,0.80000001,0e-7]]' in answer(b"[0.60000002,0.80000001,0e-7]")


@pytest.mark.parametrize("dimensions", [None, 0, -1, 3, 4])
def test_dimensions_that_cut_nothing_leave_the_digits(dimensions: int | None) -> None:
    """Contract 5.9: with as many dimensions as there are, or more, a unit vector needs no change."""
    assert unit(b"[0.60000002,0.80000001,0e-7]", dimensions) == b"[0.60000002,0.80000001,0e-7]"


def test_nearly_unit_vectors_are_normalised() -> None:
    """A vector that is off by more than rounding is not of length 1."""
    ((value,),) = vectors(b"[0.999]")
    assert value == 1


@pytest.mark.parametrize(
    ("dimensions", "expected"),
    [(2, [0.6, 0.8]), (1, [1.0]), (3, [0.36, 0.48, 0.8]), (4, [0.36, 0.48, 0.8]), (0, [0.36, 0.48, 0.8])],
)
def test_dimensions(dimensions: int, expected: list[float]) -> None:
    """Contract 5.9: cut to the first values and normalised again; other numbers than 1 to n-1 change nothing."""
    assert vectors(b"[0.36,0.48,0.8]", dimensions=dimensions) == [pytest.approx(expected)]


def test_negative_dimensions() -> None:
    """Contract 5.9: a negative number is ignored."""
    assert vectors(b"[0.6,0.8]", dimensions=-1) == [[0.6, 0.8]]


def test_null_vector() -> None:
    """A vector of zeros has no direction: it stays as it is."""
    assert vectors(b"[0,0,0]") == [[0, 0, 0]]
    assert vectors(b"[0,0,1]", dimensions=2) == [[0, 0]]


@pytest.mark.parametrize(
    "vector",
    [b"[null,1]", b"[1e999]", b"[1,NaN]", b"[nan]", b"[-Infinity]", b"[1e308,1e308,1e308,1e308]"],
)
def test_no_finite_numbers(vector: bytes) -> None:
    """Contract 5.9: NaN and infinity, however they are written, fail the whole call with a 400."""
    with pytest.raises(UpstreamBroken) as caught:
        answer(b"[1]", vector)
    assert (caught.value.message, caught.value.status) == ("embedding contains NaN or Inf values", 400)


@pytest.mark.parametrize("vector", [b'["a"]', b"[[1]", b"[{}]", b"[1,,2]", b"[true]", b"[1 2]"])
def test_no_numbers(vector: bytes) -> None:
    """H27: what is no list of numbers is the upstream's failure."""
    with pytest.raises(UpstreamBroken) as caught:
        unit(vector)
    message = "the upstream sent an embedding that is no list of numbers"
    assert (caught.value.message, caught.value.status) == (message, 502)


@given(
    st.lists(st.floats(-1e30, 1e30, allow_subnormal=False), min_size=1, max_size=40),
    st.none() | st.integers(-3, 50),
)
def test_any_vector_has_length_1(values: list[float], dimensions: int | None) -> None:
    """Contract 5.9: whatever its numbers, a vector is cut as asked and has length 1, unless it is null."""
    ((*found,),) = vectors(msgspec.json.encode(values), dimensions=dimensions)
    size = dimensions if dimensions and 0 < dimensions < len(values) else len(values)
    assert len(found) == size
    assert math.hypot(*found) == pytest.approx(1, abs=2e-4) or not any(values[:size])


def test_huge_finite_vector() -> None:
    """A vector with finite numbers is normalised, even if their squares are not."""
    ((value, other),) = vectors(b"[1e200,1e200]")
    assert value == other == pytest.approx(1 / math.sqrt(2))


def test_load_only() -> None:
    """Contract 5.9: a request without input answers with two members."""
    assert loaded("M:8b") == b'{"model":"M:8b","embeddings":[]}'


def test_model_is_escaped() -> None:
    """Rule R4: a name is text like any other."""
    assert loaded('a"\u2028') == b'{"model":"a\\"\\u2028","embeddings":[]}'


def test_legacy_answer() -> None:
    """Contract 5.10: the one vector, neither normalised nor rewritten, and no other member."""
    assert embeddings_answer([checked(b"[3, 4.50]")]) == b'{"embedding":[3, 4.50]}'


def test_legacy_load_only() -> None:
    """Contract 5.10: without a prompt there is no vector."""
    assert embeddings_answer([]) == b'{"embedding":[]}'


@pytest.mark.parametrize(
    ("vector", "status"),
    [(b"[NaN]", 400), (b"[1,null]", 400), (b"[1e999]", 400), (b"[1,,2]", 502), (b"[[1]", 502), (b'["1"]', 502)],
)
def test_legacy_vector_that_is_none(vector: bytes, status: int) -> None:
    """H27, R5: what is no list of numbers does not get to the client, and neither does a null among them."""
    with pytest.raises(UpstreamBroken) as caught:
        checked(vector)
    assert caught.value.status == status
