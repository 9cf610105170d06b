"""Replies in llama.cpp's own shape, as `/infill` sends them, and plain completions with log probabilities."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ollama_openai_proxy.errors import UpstreamBroken
from ollama_openai_proxy.translate.events import TextDelta
from ollama_openai_proxy.translate.ollama.reply import GENERATE
from support.decoding import JSON, SSE, Told, decode, delta, replay, sse, tell, told

RECORDINGS = Path(__file__).parents[2] / "recordings"
STREAM = (RECORDINGS / "llamacpp-native.sse").read_bytes()


def native(content: str, *, stop: object = False, **fields: object) -> dict[str, Any]:
    return {"index": 0, "content": content, "stop": stop, "tokens_predicted": 1, "tokens_evaluated": 5, **fields}


def test_recorded_stream() -> None:
    """A real stream: its text, reason, counts and log probabilities."""
    chunks = [json.loads(line[6:]) for line in STREAM.split(b"\n\n") if line]
    found = tell(decode(STREAM))
    assert found.text == "".join(chunk["content"] for chunk in chunks)
    assert (found.usage, found.reason) == ((5, 6), "length")
    assert [entry["token"] for entry in found.logprobs] == [chunk["content"] for chunk in chunks[:-1]]
    assert all(len(entry["top_logprobs"]) == 2 for entry in found.logprobs)


def test_recorded_stream_for_a_client() -> None:
    """Contract 5.7, 3.8: a line for each token, with its log probabilities, and the reason `length`."""
    lines = replay([STREAM], shape=GENERATE, top_logprobs=1).lines
    assert [len(line.get("logprobs", [])) for line in lines] == [1, 1, 1, 1, 1, 1, 0]
    assert all(len(line["logprobs"][0]["top_logprobs"]) == 1 for line in lines[:-1])
    last = lines[-1]
    assert (last["done"], last["done_reason"], last["response"]) == (True, "length", "")
    assert (last["prompt_eval_count"], last["eval_count"]) == (5, 6)


def test_recorded_whole_reply() -> None:
    """The same answer, not streamed: one object."""
    body = (RECORDINGS / "llamacpp-native.json").read_bytes()
    found = tell(decode(body, content_type=JSON))
    assert found == Told(text=json.loads(body)["content"], usage=(5, 6), reason="length")


def test_recorded_completions() -> None:
    """A real stream of plain completions: the log probabilities are in a chat's shape."""
    found = tell(decode((RECORDINGS / "llamacpp-completions.sse").read_bytes()))
    assert (found.usage, found.reason) == ((5, 6), "length")
    assert "".join(entry["token"] for entry in found.logprobs) == found.text


@pytest.mark.parametrize(
    ("stop_type", "reason"), [("eos", "stop"), ("word", "stop"), ("limit", "length"), ("none", "stop"), (None, "stop")]
)
def test_reasons(stop_type: object, reason: str) -> None:
    """llama.cpp's README: `stop_type` is `limit` where the tokens ran out."""
    assert told(native("a"), native("", stop=True, stop_type=stop_type), done=False) == Told(text="a", reason=reason)


def test_nothing_to_fill_in() -> None:
    """An answer may be empty."""
    assert told(native("", stop=True, stop_type="eos"), done=False) == Told(reason="stop")


def test_stream_that_was_cut() -> None:
    """Without a chunk that says `stop`, the answer was not whole, though the times came with each chunk."""
    with pytest.raises(UpstreamBroken, match="before finishing"):
        decode(sse(native("a", timings={"prompt_n": 1, "predicted_n": 1})))


def test_counts_with_each_chunk() -> None:
    """Times that come with each chunk do not end the answer."""
    stream = sse(native("a", timings={"prompt_n": 5, "predicted_n": 1}), native("b"), native("", stop=True))
    assert tell(decode(stream)) == Told(text="ab", usage=(5, 1), reason="stop")


@pytest.mark.parametrize(
    "chunk",
    [{"content": "a"}, {"content": "a", "stop": "x"}, {"content": ["a"], "stop": True}, {"stop": False}],
    ids=repr,
)
def test_other_objects(chunk: dict[str, Any]) -> None:
    """Whatever else has no choices is no text."""
    assert told(delta("Hi"), chunk, delta(finish="stop")) == Told(text="Hi", reason="stop")


def test_bytes_that_are_no_text() -> None:
    """A character cut between two tokens is lost, the rest is not."""
    stream = sse(native("aXb"), native("", stop=True)).replace(b"X", b"\xc3")
    assert tell(decode(stream)).text == "a\ufffdb"


def test_error() -> None:
    """What `/infill` says under status 200 is an error all the same."""
    body = (RECORDINGS / "llamacpp-error-infill.json").read_bytes()
    replayed = replay([body], SSE, shape=GENERATE)
    assert replayed.failure is not None
    assert replayed.failure.message.startswith("Infill is not supported by this model")


@pytest.mark.parametrize("value", [None, "x"])
def test_lists_of_log_probabilities(value: object) -> None:
    """Contract 3.8: OpenAI's lists become Ollama's entries; a token without a number is left out."""
    logprobs = {"tokens": ["H", "i"], "token_logprobs": [value, -0.5], "top_logprobs": None}
    chunk = {"choices": [{"index": 0, "text": "Hi", "logprobs": logprobs, "finish_reason": "stop"}]}
    line, _ = replay([sse(chunk, "[DONE]")], shape=GENERATE, top_logprobs=0).lines
    assert line["logprobs"] == [{"token": "i", "logprob": -0.5, "bytes": [105]}]
    assert isinstance(decode(sse(chunk, "[DONE]"))[1], TextDelta)
