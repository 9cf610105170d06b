"""Whether a reply is whole (the completion rule; rows F1 to F4, G5 to G12)."""

from __future__ import annotations

import json

import pytest

from ollama_openai_proxy.errors import UpstreamBroken, UpstreamError
from ollama_openai_proxy.translate.events import Event, Finish, TextDelta, Usage
from ollama_openai_proxy.translate.openai.reply import StreamDecoder, WholeDecoder
from support.decoding import DONE, STOP, Told, decode, delta, sse, tell, told, tools

USAGE = {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2}}
WHOLE = b'{"choices":[{"message":{"content":"Hi"},"finish_reason":"stop"}]}'


def failure(stream: bytes) -> UpstreamError:
    with pytest.raises(UpstreamError) as caught:
        decode(stream)
    return caught.value


@pytest.mark.parametrize(
    ("chunks", "expected"),
    [
        pytest.param([delta("Hi"), STOP, USAGE, DONE], Told(text="Hi", usage=(3, 2), reason="stop"), id="OpenAI"),
        pytest.param([delta("Hi"), STOP, USAGE], Told(text="Hi", usage=(3, 2), reason="stop"), id="G9 no [DONE]"),
        pytest.param([delta("Hi"), STOP], Told(text="Hi", reason="stop"), id="G9 F3 nothing after the reason"),
        pytest.param([delta("Hi"), DONE], Told(text="Hi", reason="stop"), id="G10 [DONE] without a reason"),
        pytest.param([delta("Hi"), USAGE], Told(text="Hi", usage=(3, 2), reason="stop"), id="usage after content"),
        pytest.param(
            [delta(thinking="hm"), USAGE], Told(thinking="hm", usage=(3, 2), reason="stop"), id="usage after thinking"
        ),
        pytest.param(
            [delta(refusal="No."), USAGE], Told(text="No.", usage=(3, 2), reason="stop"), id="usage after a refusal"
        ),
        pytest.param(
            [tools({"id": "a", "function": {"name": "f"}}), USAGE],
            Told(calls=[("a", "f", "")], usage=(3, 2), reason="stop"),
            id="usage after a call",
        ),
        pytest.param(
            [delta(function_call={"name": "f"}), USAGE],
            Told(calls=[("", "f", "")], usage=(3, 2), reason="stop"),
            id="usage after a legacy call",
        ),
        pytest.param(
            [{"choices": [{"text": "Hi"}]}, USAGE],
            Told(text="Hi", usage=(3, 2), reason="stop"),
            id="usage after plain text",
        ),
        pytest.param([delta(""), DONE], Told(reason="stop"), id="an empty answer"),
    ],
)
def test_a_stream_is_whole_with_a_reason_or_done_or_usage_after_content(chunks: list[object], expected: Told) -> None:
    """The completion rule: a finish reason, `[DONE]`, or usage without choices after content."""
    assert told(*chunks, done=False) == expected


@pytest.mark.parametrize(
    ("stream", "outcome"),
    [
        pytest.param(b"", "up_empty", id="F1 nothing"),
        pytest.param(b": ping\n\n", "up_empty", id="F1 only a comment"),
        pytest.param(sse({"choices": []}), "up_empty", id="H3 no choice at all"),
        pytest.param(sse(DONE), "up_empty", id="[DONE] alone"),
        pytest.param(b"data: [DONE]", "up_empty", id="[DONE] alone, no blank line"),
        pytest.param(sse(USAGE), "up_empty", id="usage alone"),
        pytest.param(sse(delta(role="assistant")), "up_truncated", id="F2 only the role"),
        pytest.param(sse(delta("Hel")), "up_truncated", id="F2 content"),
        pytest.param(sse(delta(reasoning="hm")), "up_truncated", id="F2 thinking"),
        pytest.param(
            sse(tools({"id": "a", "function": {"name": "f", "arguments": '{"x'}})), "up_truncated", id="F2 half a call"
        ),
        pytest.param(sse(delta(role="assistant"), USAGE), "up_truncated", id="usage without content"),
        pytest.param(
            sse(delta("Hel"), {**delta("lo"), "usage": USAGE["usage"]}), "up_truncated", id="continuous usage"
        ),
        pytest.param(
            sse(delta("Hel")) + b'data: {"choices":[{"finish_reason":"stop"}',
            "up_truncated",
            id="G12 half the last event",
        ),
        pytest.param(sse(delta("Hel")) + b"data: [DON", "up_truncated", id="G12 half of [DONE]"),
    ],
)
def test_a_stream_that_was_cut_is_never_whole(stream: bytes, outcome: str) -> None:
    """F1, F2, G12: no `stop` is made up for a stream that ended early (LiteLLM#33404)."""
    error = failure(stream)
    message = {
        "up_empty": "empty response from upstream",
        "up_truncated": "the upstream closed the stream before finishing",
    }
    assert (error.outcome, error.message, error.status) == (outcome, message[outcome], 502)


def test_what_came_before_the_cut_is_kept() -> None:
    """F2: the client has seen it already; the error only ends the stream."""
    decoder = StreamDecoder()
    events: list[Event] = []
    decoder.feed(sse(delta("Hel")) + b'data: {"choi', events)
    with pytest.raises(UpstreamBroken):
        decoder.close(events)
    assert events == [TextDelta("Hel")]
    assert not decoder.ended


@pytest.mark.parametrize(
    ("tail", "expected"),
    [
        pytest.param(b'data: {"choices":[{"delta":{"content":"!"},"finish_reason":"stop"}]}', "Hi!", id="whole"),
        pytest.param(
            b'data: {"choices":[{"delta":{"content":"!"},"finish_reason":"stop"}]}\n', "Hi!", id="and its line"
        ),
    ],
)
def test_the_last_event_counts_without_its_blank_line_if_it_is_whole(tail: bytes, expected: str) -> None:
    """G12: used if its JSON parses, lost if not."""
    assert tell(decode(sse(delta("Hi")) + tail)).text == expected


@pytest.mark.parametrize("blank", [b"", b"\n", b"\n\n"], ids=repr)
@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b'{"error":{"message":"no","code":500}}', "no"),
        (b'{"choices":[{"delta":{},"finish_reason":"error"}]}', "the upstream failed while generating"),
    ],
    ids=["an error", "a reason"],
)
def test_a_failure_counts_without_its_blank_line_too(data: bytes, message: str, blank: bytes) -> None:
    """G12: what the backend says last is why it failed, not that it was cut."""
    assert failure(sse(delta("Hi")) + b"data: " + data + blank).message == message


@pytest.mark.parametrize("written", ["[DONE]", " [DONE] ", '"[DONE]"', "'[DONE]'", "[done]", "\t[DONE]"], ids=repr)
def test_done_may_be_written_in_many_ways(written: str) -> None:
    """G11: with spaces, quotes, in lower case."""
    assert told(delta("Hi"), written, done=False) == Told(text="Hi", reason="stop")


@pytest.mark.parametrize(
    "late", [DONE, delta("late"), STOP, USAGE, {"error": {"message": "late"}}, "garbage"], ids=repr
)
def test_nothing_follows_done(late: object) -> None:
    """G11: data after `[DONE]`, and a second one, are ignored: there is one end."""
    assert told(delta("Hi"), STOP, DONE, late, done=False) == Told(text="Hi", reason="stop")


@pytest.mark.parametrize(
    "keepalive",
    [b"data:\n\n", b"data: \n\n", b":\n\n", b": OPENROUTER PROCESSING\n\n", b"data:  \ndata:\n\n", b"retry: 100\n\n"],
    ids=repr,
)
def test_keepalives_are_no_events(keepalive: bytes) -> None:
    """G6, G8: comments, empty data and other fields are neither chunks nor errors, anywhere in the stream."""
    events = [sse(delta("Hi")), sse(STOP), sse(USAGE), sse(DONE)]
    assert tell(decode(keepalive + keepalive.join(events) + keepalive)) == Told(text="Hi", usage=(3, 2), reason="stop")


def test_a_multi_line_event_is_one_chunk() -> None:
    """G5: pretty-printed JSON over several data lines."""
    lines = json.dumps(delta("Hi", "stop"), indent=1).splitlines()
    assert tell(decode("".join(f"data: {line}\n" for line in lines).encode() + b"\n")).text == "Hi"


def test_finishing_is_between_the_reason_and_the_end() -> None:
    """Decision 2: the end waits for trailing usage, and whoever waits knows that only that is missing."""
    decoder = StreamDecoder()
    events: list[Event] = []
    states = []
    for chunk in (delta("Hi"), STOP, USAGE):
        decoder.feed(sse(chunk), events)
        states.append((decoder.finishing, decoder.ended))
    assert states == [(False, False), (True, False), (False, True)]
    assert events == [TextDelta("Hi"), Usage(3, 2), Finish("stop")]


def test_a_whole_reply_is_never_finishing() -> None:
    """There is nothing to wait for but its last byte."""
    decoder = WholeDecoder()
    events: list[Event] = []
    decoder.feed(WHOLE, events)
    assert (decoder.finishing, decoder.ended, events) == (False, False, [])
    decoder.close(events)
    assert (decoder.finishing, decoder.ended) == (False, True)
