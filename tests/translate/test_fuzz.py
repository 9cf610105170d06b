"""Whatever a backend sends, what goes wrong is one of our errors (H25, I13)."""

from __future__ import annotations

import contextlib
import json
from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ollama_openai_proxy.errors import ProxyError, UpstreamError
from ollama_openai_proxy.translate.ollama.embeddings import unit
from ollama_openai_proxy.translate.openai import catalog, embeddings
from ollama_openai_proxy.translate.openai.errors import decode_error, named_error, stream_error
from support.decoding import DONE, SSE, STOP, decode, delta, replay, sse, tell, tools

KEYS = [
    *("choices", "delta", "message", "content", "finish_reason", "index", "usage", "timings", "error", "code"),
    *("tool_calls", "function", "function_call", "name", "arguments", "id", "logprobs", "token", "logprob", "object"),
    *("top_logprobs", "bytes", "reasoning", "reasoning_details", "thinking", "text", "refusal", "prompt_tokens"),
    *("completion_tokens", "prompt_ms", "predicted_ms", "data", "embedding", "models", "meta", "architecture"),
    *("created", "owned_by", "supported_parameters", "input_modalities", "metadata", "raw", "detail", "loc", "msg"),
]
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(10**25), 10**25)
    | st.floats()
    | st.sampled_from(["", "0", "stop", "{", '{"a":1}', "<think>", "\ud800", "\u2028", "9" * 5000, "AAAAAAA="])
    | st.text(max_size=5)
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4),
    max_leaves=15,
)
OBJECTS = st.dictionaries(st.sampled_from(KEYS), VALUES, max_size=5)
TOKENS = st.fixed_dictionaries({"token": st.just("a") | SCALARS, "logprob": st.just(-0.5) | SCALARS})
ALTERNATIVES = st.fixed_dictionaries(
    {"token": st.just("a"), "logprob": st.just(-0.5)},
    optional={"bytes": VALUES, "top_logprobs": VALUES | st.lists(TOKENS | VALUES, max_size=2)},
)
LOGPROBS = VALUES | st.lists(ALTERNATIVES | TOKENS | VALUES, max_size=2)
# A chunk that is right down to where the surprise is.
CHUNKS = (
    OBJECTS
    | OBJECTS.map(lambda fields: {"choices": [fields]})
    | OBJECTS.map(lambda fields: {"choices": [{"delta": fields}]})
    | OBJECTS.map(tools)
    | OBJECTS.map(lambda fields: tools({"index": 0, "function": fields}))
    | LOGPROBS.map(lambda value: {"choices": [{"delta": {"content": "a"}, "logprobs": {"content": value}}]})
)


@settings(max_examples=150, deadline=None)
@given(st.lists(CHUNKS, max_size=4), st.booleans())
def test_h25_any_chunks_end_in_one_record(chunks: list[dict[str, Any]], streamed: bool) -> None:
    """H25: no field of any kind anywhere breaks the reply in a way that is not an error of ours."""
    stream = b"".join(b"data: " + json.dumps(chunk).encode() + b"\n\n" for chunk in [*chunks, STOP])
    replayed = replay([stream, sse(DONE)], streamed=streamed, top_logprobs=1)
    record = json.loads(replayed.output.splitlines()[-1])
    assert ("error" in record) != record.get("done", False)


@settings(max_examples=80, deadline=None)
@given(
    st.lists(
        st.binary(max_size=12) | st.sampled_from([b"data: ", b"event: error\n", b"\n\n", b"{}", b"[DONE]", b"\r"]),
        max_size=8,
    )
)
def test_any_bytes_are_a_reply_or_an_error(reads: list[bytes]) -> None:
    """I13: a backend that speaks no protocol at all is a failure with a status."""
    for content_type in (SSE, "application/json", ""):
        with contextlib.suppress(UpstreamError):
            tell(decode(*reads, content_type=content_type))


def vectors(body: bytes) -> list[bytes]:
    """Return the one vector of a reply that comes in two reads."""
    decoder = embeddings.Decoder(1, unit)
    decoder.feed(body[:20])
    decoder.feed(body[20:])
    return decoder.close().vectors


@settings(max_examples=80, deadline=None)
@given(VALUES)
def test_h27_h28_any_json_is_a_catalogue_or_vectors_or_an_error(value: Any) -> None:
    """H27, H28: lists of models and of vectors are read by whoever sends them."""
    for body in (json.dumps(value).encode(), json.dumps({"data": [value]}).encode()):
        with contextlib.suppress(UpstreamError):
            assert all(model.id for model in catalog.decode(body))
        with contextlib.suppress(UpstreamError):
            assert len(vectors(body)) == 1


@settings(max_examples=60, deadline=None)
@given(OBJECTS)
def test_h28_any_model_is_described_or_left_out(entry: dict[str, Any]) -> None:
    """H28: one odd entry costs no more than itself."""
    models = catalog.decode(json.dumps({"data": [{**entry, "id": "odd"}, {"id": "good"}]}).encode())
    assert [model.id for model in models] == ["odd", "good"]


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=40))
def test_any_bytes_are_a_catalogue_or_vectors_or_an_error(body: bytes) -> None:
    """H27, H28: binary, pages, and half of anything."""
    with contextlib.suppress(UpstreamError):
        catalog.decode(body)
    with contextlib.suppress(UpstreamError):
        vectors(body)


SECRET = "canary-4711"
LEAKS = st.sampled_from(
    [SECRET, f"x{SECRET}y", f"https://u:{SECRET}@h/", f"\n{SECRET}\n", f'{{"error":"{SECRET}"}}', "<html>"]
)
TELLING = st.recursive(
    LEAKS,
    lambda inner: (
        st.lists(inner, min_size=1, max_size=3)
        | st.dictionaries(
            st.sampled_from(["error", "message", "detail", "msg", "metadata", "raw", "title"]), inner, min_size=1
        )
    ),
    max_leaves=8,
)


@settings(max_examples=80, deadline=None)
@given(TELLING, st.sampled_from([400, 404, 429, 500]))
def test_no_secret_no_url_and_no_markup_reaches_a_message(value: Any, status: int) -> None:
    """I19: wherever in an error they stand, as a status, in a stream, or as an event."""
    body, secrets = json.dumps(value).encode(), (SECRET,)
    errors: list[ProxyError] = [
        decode_error(status, body, model="m", secrets=secrets),
        decode_error(status, SECRET.encode() + body, model="m", secrets=secrets),
        stream_error(value, secrets),
        named_error(body, secrets),
    ]
    failure = replay([sse(delta("Hi"), {"error": value})], secrets=secrets).failure
    assert failure is not None
    for error in (*errors, failure):
        assert not any(word in error.message for word in (SECRET, "://", "<html", "\n"))


PIECES = st.sampled_from(["", "{", "}", '{"a":1}', "12", " "])
FRAGMENTS = st.fixed_dictionaries(
    {
        "function": st.fixed_dictionaries(
            {"arguments": PIECES}, optional={"name": st.sampled_from(["f", "g", "", None])}
        )
    },
    optional={"index": st.sampled_from([0, 1, 2, "0", None]), "id": st.sampled_from(["a", "b", "", None])},
)


@settings(max_examples=60, deadline=None)
@given(st.lists(FRAGMENTS, max_size=8))
def test_h15_h16_h17_no_argument_is_lost_or_doubled(sent: list[dict[str, Any]]) -> None:
    """H15 to H17: whichever call they are given to, all pieces of arguments arrive, once."""
    said = tell(decode(sse(*map(tools, sent), STOP, DONE)))
    arrived = Counter("".join(arguments for _, _, arguments in said.calls))
    assert arrived == Counter("".join(fragment["function"]["arguments"] for fragment in sent))


@pytest.mark.parametrize("depth", [50, 500, 900, 990, 1500, 3000, 20_000])
@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param(
            '{"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"name":"f","arguments":',
            "}}]}}]}",
            id="arguments",
        ),
        pytest.param('{"choices":[{"delta":{"content":', "}}]}", id="content"),
        pytest.param('{"error":', "}", id="error"),
        pytest.param('{"usage":', "}", id="usage"),
    ],
)
def test_t21_nesting_breaks_nothing(before: str, after: str, depth: int) -> None:
    """T21: a bomb of brackets is refused where it is too deep to read, and costs no more than the reply."""
    for opening, closing in (('{"a":', "}"), ("[", "]")):
        chunk = before + opening * depth + "1" + closing * depth + after
        replayed = replay([sse(chunk, STOP, DONE)])
        assert replayed.done == (replayed.failure is None)
