"""What a chunk says (rows H2 to H26), as each backend says it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ollama_openai_proxy.errors import UpstreamBroken
from ollama_openai_proxy.translate.events import Event, Finish, Logprobs, TextDelta, ThinkingDelta, ToolCallDelta, Usage
from ollama_openai_proxy.translate.openai.reply import StreamDecoder
from support.decoding import DONE, JSON, STOP, Told, decode, delta, sse, tell, told, tools

HI = delta("Hi")
CALL = {"index": 0, "id": "a", "function": {"name": "f", "arguments": "{}"}}


def choices(*entries: dict[str, Any]) -> dict[str, Any]:
    return {"choices": list(entries)}


@pytest.mark.parametrize(
    "chunk",
    [
        pytest.param({}, id="H2 empty object"),
        pytest.param({"type": "ping"}, id="H2 ping"),
        pytest.param({"choices": None}, id="H2 no choices"),
        pytest.param({"choices": [], "prompt_filter_results": [{}]}, id="H3 Azure prompt filter"),
        pytest.param(
            choices({"index": 0, "finish_reason": None, "content_filter_offsets": {}}), id="H4 Azure async filter"
        ),
        pytest.param(choices({"index": 0, "delta": None}), id="H4 null delta"),
        pytest.param(choices({"index": 0, "delta": {}}), id="empty delta"),
        pytest.param(delta(None), id="H5 null content"),
        pytest.param(delta(""), id="H5 empty content"),
        pytest.param(choices({"index": 0, "delta": {"role": "assistant"}}), id="H6 role only"),
        pytest.param(
            choices({"index": 0, "delta": {"refusal": "", "annotations": [], "audio": None}}), id="H25 others"
        ),
        pytest.param(delta(reasoning_content=None, reasoning="", thinking=None), id="H22 empty thinking"),
        pytest.param(delta(tool_calls=[]), id="no tool calls"),
        pytest.param(delta(tool_calls=None, function_call=None), id="null tool calls"),
        pytest.param(delta(finish=""), id="H12 empty reason"),
        pytest.param({**delta(""), "usage": None, "timings": None, "error": None}, id="H9 null usage"),
        pytest.param(
            choices({"index": 1, "delta": {"content": "no"}, "finish_reason": "length"}), id="H7 another choice"
        ),
        pytest.param(choices({"index": "1", "delta": {"content": "no"}}), id="H7 another choice, as text"),
    ],
)
@pytest.mark.parametrize("place", [0, 1, 2, 3], ids=["first", "middle", "before the end", "after the end"])
def test_h2_to_h25_chunks_that_say_nothing_are_skipped(chunk: dict[str, Any], place: int) -> None:
    """H2 to H7: wherever they come, they are no text, no error and no end."""
    chunks: list[object] = [HI, delta("!"), delta(finish="length")]
    chunks.insert(place, chunk)
    assert told(*chunks) == Told(text="Hi!", reason="length")


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        pytest.param([{"type": "text", "text": "Hi"}], Told(text="Hi"), id="H5 a part"),
        pytest.param([{"type": "text", "text": "H"}, {"type": "text", "text": "i"}], Told(text="Hi"), id="H5 parts"),
        pytest.param(["H", "i"], Told(text="Hi"), id="H5 plain parts"),
        pytest.param([{"type": "text", "text": ""}, {"type": "image"}, None, 7], Told(), id="H5 parts without text"),
        pytest.param(
            [{"type": "thinking", "thinking": [{"type": "text", "text": "h"}, {"type": "text", "text": "m"}]}],
            Told(thinking="hm"),
            id="H22 Mistral",
        ),
        pytest.param([{"type": "thinking", "thinking": "hm"}, {"text": "Hi"}], Told("Hi", "hm"), id="H22 Anthropic"),
        pytest.param([{"type": "thinking", "thinking": [{}, 7]}], Told(), id="H22 thinking without text"),
        pytest.param({"text": "no"}, Told(), id="an object is no content"),
        pytest.param(7, Told(), id="a number is no content"),
    ],
)
def test_content_may_come_in_parts(content: object, expected: Told) -> None:
    """H5: the text of the parts is joined; what has none adds nothing."""
    expected.reason = "stop"
    assert told(delta(content), STOP) == expected


def test_only_the_first_choice_is_read() -> None:
    """H7: choices are interleaved, and their texts never mixed; nor does another's end end ours."""
    other = {"index": 1, "delta": {"content": "no"}, "finish_reason": "length"}
    stream = [choices(other, {"index": 0, "delta": {"content": "H"}}), choices({"delta": {"content": "i"}}, other)]
    assert told(*stream, choices({"index": "0", "delta": {"content": "!"}}), STOP) == Told(text="Hi!", reason="stop")


@pytest.mark.parametrize(
    "reason",
    ["stop", "length", "tool_calls", "function_call", "content_filter", "eos", "eos_token", "end_turn", "whatever"],
)
def test_a_finish_reason_is_handed_on(reason: str) -> None:
    """H12: each is an end; what it is called is for the client's API to say."""
    assert told(HI, delta(finish=reason)) == Told(text="Hi", reason=reason)


@pytest.mark.parametrize(
    ("reason", "message"),
    [("error", "the upstream failed while generating"), ("abort", "the upstream aborted the generation")],
)
def test_a_generation_that_failed_is_no_answer(reason: str, message: str) -> None:
    """H12: `error` and `abort` are failures, and what came before them is kept."""
    decoder = StreamDecoder()
    events: list[Event] = []
    with pytest.raises(UpstreamBroken) as caught:
        decoder.feed(sse(delta("Hi", reason), DONE), events)
    assert (caught.value.message, caught.value.outcome) == (message, "up_midstream_error")
    assert events == [TextDelta("Hi")]


@pytest.mark.parametrize("reason", [None, "", 0, 7, True, {"type": "stop"}], ids=repr)
def test_what_is_no_text_is_no_reason(reason: Any) -> None:
    """H12: without a reason a stream that ends was cut."""
    with pytest.raises(UpstreamBroken, match=r"^the upstream closed the stream before finishing$"):
        told(delta("Hi", reason), done=False)


U1 = {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 1}}
U2 = {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2}}


@pytest.mark.parametrize(
    ("chunks", "usage"),
    [
        pytest.param([HI, STOP, U2], (3, 2), id="H9 after the end"),
        pytest.param([U2, HI, STOP], (3, 2), id="H9 first"),
        pytest.param([HI, U2, STOP], (3, 2), id="H9 before the end"),
        pytest.param([HI, {**STOP, "usage": U2["usage"]}], (3, 2), id="H9 with the end"),
        pytest.param([U1, HI, U2, STOP], (3, 2), id="H9 twice, the last counts"),
        pytest.param([HI, STOP, U2, U1], (3, 2), id="H9 twice after the end, the first ends it"),
        pytest.param([HI, STOP, U2, STOP], (3, 2), id="H9 the reason twice, usage between"),
        pytest.param([HI, STOP, STOP], None, id="H9 the reason twice"),
        pytest.param([HI, U2, STOP, {"choices": [], "usage": {"prompt_tokens": -1}}], (3, 2), id="H9 negative"),
        pytest.param([HI, {**HI, "usage": "two"}, STOP], None, id="H9 no usage at all"),
        pytest.param([HI, STOP], None, id="H10 none"),
    ],
)
def test_h9_h10_usage_comes_once_and_last(chunks: list[object], usage: tuple[int, int] | None) -> None:
    """H9, H10: whenever and however often it comes, there is one end, with the last usage that is valid."""
    assert told(*chunks).usage == usage
    assert [type(event) for event in decode(sse(*chunks, DONE))].count(Finish) == 1


def test_the_last_reason_counts() -> None:
    """H9: Azure's asynchronous filter may say `content_filter` after `stop`."""
    assert told(HI, STOP, delta(finish="content_filter")).reason == "content_filter"


@pytest.mark.parametrize(
    "chunks",
    [
        pytest.param([delta("Hi", "stop")], id="H8 in the same chunk"),
        pytest.param([delta("H"), STOP, delta("i")], id="H11 after it"),
    ],
)
def test_text_around_the_reason_is_kept(chunks: list[object]) -> None:
    """H8, H11: no token is lost with the end, or behind it."""
    assert told(*chunks) == Told(text="Hi", reason="stop")


def test_h21_what_a_message_holds_keeps_its_order() -> None:
    """H21: thinking, then text, then calls, also when they come in one delta."""
    chunk = delta("Hi", "tool_calls", reasoning_content="hm", tool_calls=[CALL])
    expected = [ThinkingDelta("hm"), TextDelta("Hi"), ToolCallDelta(0, "a", "f", "{}"), Finish("tool_calls")]
    assert decode(sse(chunk, DONE)) == expected
    assert decode(sse(tools(CALL), delta("Hi"), delta(reasoning="hm"), STOP, DONE)) == [
        ToolCallDelta(0, "a", "f", "{}"),
        TextDelta("Hi"),
        ThinkingDelta("hm"),
        Finish("stop"),
    ]


ENTRY = {"token": "Hi", "logprob": -0.5, "bytes": [72, 105], "top_logprobs": []}


def test_logprobs_come_before_their_text() -> None:
    """H24, contract 3.8: each line carries the entries of its own tokens."""
    chunk = choices({"index": 0, "delta": {"content": "Hi"}, "logprobs": {"content": [ENTRY]}})
    assert decode(sse(chunk, STOP, DONE)) == [Logprobs([ENTRY]), TextDelta("Hi"), Finish("stop")]


@pytest.mark.parametrize(
    "logprobs",
    [
        None,
        "x",
        [ENTRY],
        {},
        {"content": None},
        {"content": []},
        {"content": 5},
        {"content": "x"},
        {"content": {"a": 1}},
        {"content": [7, None]},
        {"tokens": ["Hi"]},
    ],
    ids=repr,
)
def test_logprobs_of_another_shape_are_none(logprobs: Any) -> None:
    """H24: null, empty, or not whole: the text is not lost for them."""
    chunk = choices({"index": 0, "delta": {"content": "Hi"}, "logprobs": logprobs})
    assert told(chunk, STOP) == Told(text="Hi", reason="stop")


def test_a_refusal_is_the_answer() -> None:
    """H25: OpenAI's models may refuse in a field of its own, which Ollama does not have."""
    assert told(delta(refusal="I "), delta(refusal="won't."), STOP) == Told(text="I won't.", reason="stop")
    assert told(delta("Hi", refusal={"why": 1}), STOP) == Told(text="Hi", reason="stop")


def test_the_text_of_a_plain_completion_is_read() -> None:
    """`/completions` has `text` where chat has a message, and some add an empty delta."""
    stream = [choices({"index": 0, "text": "H"}), choices({"text": "i", "delta": None}), choices({"text": 7})]
    assert told(*stream, choices({"text": "", "finish_reason": "length"})) == Told(text="Hi", reason="length")


def test_a_legacy_function_call_is_a_tool_call() -> None:
    """H20: the name comes once, the arguments in pieces, and there is no id."""
    chunks = [delta(function_call={"name": "f", "arguments": ""}), delta(function_call={"arguments": '{"x"'})]
    assert told(*chunks, delta(function_call={"arguments": ":1}"}), delta(finish="function_call")) == Told(
        calls=[("", "f", '{"x":1}')], reason="function_call"
    )


def test_a_call_in_both_notations_is_one() -> None:
    """H20: where the new notation is there, the old one repeats it."""
    chunk = delta(tool_calls=[CALL], function_call={"name": "f", "arguments": "{}"})
    assert told(chunk, STOP).calls == [("a", "f", "{}")]


@pytest.mark.parametrize("reason", ["stop", "tool_calls", "length"])
def test_calls_do_not_depend_on_the_reason(reason: str) -> None:
    """H13, H14: Gemini says `stop` after calls; others say `tool_calls` without one."""
    assert told(tools(CALL), delta(finish=reason)) == Told(calls=[("a", "f", "{}")], reason=reason)
    assert told(HI, delta(finish=reason)) == Told(text="Hi", reason=reason)


def test_a_message_that_came_whole_is_read_like_its_deltas() -> None:
    """E13: the same fields under `message` instead of `delta`."""
    message = {"role": "assistant", "content": "<think>hm</think>Hi", "tool_calls": [{**CALL, "index": None}]}
    whole = {"choices": [{"index": 0, "message": message, "finish_reason": "tool_calls"}], "usage": U2["usage"]}
    told_whole = tell(decode(json.dumps(whole).encode(), content_type=JSON))
    assert told_whole == Told("Hi", "hm", [("a", "f", "{}")], usage=(3, 2), reason="tool_calls")


def test_timings_end_a_stream_like_usage() -> None:
    """llama.cpp measures: what it says comes with the counts, in nanoseconds."""
    timings = {"prompt_n": 3, "prompt_ms": 1.5, "predicted_n": 2, "predicted_ms": 2.5}
    events = decode(sse(HI, {**STOP, "timings": timings}))
    assert events == [TextDelta("Hi"), Usage(3, 2, 1_500_000, 2_500_000), Finish("stop")]
