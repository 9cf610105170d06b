import re
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ollama_openai_proxy.errors import UpstreamBroken, UpstreamTimeout
from ollama_openai_proxy.translate.events import Event, Finish, TextDelta, ThinkingDelta, ToolCallDelta, Usage
from ollama_openai_proxy.translate.ollama.reply import CHAT, GENERATE, Reply, ReplyEncoder, Shape, idle_answer

ARRIVED = 1_704_067_200 * 10**9  # 2024-01-01T00:00:00Z
MILLISECOND = 1_000_000


def encoder(shape: Shape = CHAT, *, model: str = "M", hide_thinking: bool = False) -> ReplyEncoder:
    """Return the encoder of a streamed reply to a request that reached the backend after 1 ms."""
    made = ReplyEncoder(Reply(shape, model, ARRIVED, streamed=True, hide_thinking=hide_thinking))
    made.opened(MILLISECOND)
    return made


def lines(made: ReplyEncoder, *reads: list[Event]) -> list[bytes]:
    """Return what the reads, 1 ms apart from 2 ms on, are encoded to."""
    out: list[bytes] = []
    for number, events in enumerate(reads, 2):
        made.encode(events, number * MILLISECOND, out)
    return b"".join(out).splitlines(keepends=True)


def test_chat() -> None:
    """Contract 5.8: a line for each piece, then a last one with an empty content, the reason and the metrics."""
    read: list[Event] = [Usage(3, 2), Finish("stop")]
    assert lines(encoder(), [TextDelta("Hel")], [TextDelta("lo")], [], read) == [
        (
            b'{"model":"M","created_at":"2024-01-01T00:00:00.002Z","message":{"role":"assistant","content":"Hel"},'
            b'"done":false}\n'
        ),
        (
            b'{"model":"M","created_at":"2024-01-01T00:00:00.003Z","message":{"role":"assistant","content":"lo"},'
            b'"done":false}\n'
        ),
        (
            b'{"model":"M","created_at":"2024-01-01T00:00:00.005Z","message":{"role":"assistant","content":""},'
            b'"done":true,"done_reason":"stop","total_duration":5000000,"load_duration":1000000,"prompt_eval_count":3,'
            b'"prompt_eval_duration":1000000,"eval_count":2,"eval_duration":3000000}\n'
        ),
    ]


def test_generate() -> None:
    """Contract 5.7: the same with response, and without message and role."""
    assert lines(encoder(GENERATE), [TextDelta("Hi")], [Usage(3, 2), Finish("stop")]) == [
        b'{"model":"M","created_at":"2024-01-01T00:00:00.002Z","response":"Hi","done":false}\n',
        (
            b'{"model":"M","created_at":"2024-01-01T00:00:00.003Z","response":"","done":true,"done_reason":"stop",'
            b'"total_duration":3000000,"load_duration":1000000,"prompt_eval_count":3,"prompt_eval_duration":1000000,'
            b'"eval_count":2,"eval_duration":1000000}\n'
        ),
    ]


def test_thinking() -> None:
    """Rule R8: thoughts have lines of their own, with an empty content, and are never repeated."""
    found = lines(encoder(), [ThinkingDelta("hm"), TextDelta("Hi")], [Finish("stop")])
    assert found[0] == (
        b'{"model":"M","created_at":"2024-01-01T00:00:00.002Z","message":{"role":"assistant","content":"",'
        b'"thinking":"hm"},"done":false}\n'
    )
    assert [msgspec.json.decode(line)["message"].get("thinking") for line in found] == ["hm", None, None]
    assert [msgspec.json.decode(line)["message"]["content"] for line in found] == ["", "Hi", ""]


def test_thinking_of_a_generation() -> None:
    """Contract 5.7: thoughts of a generation stand beside its response."""
    found = lines(encoder(GENERATE), [ThinkingDelta("hm")], [Finish("stop")])
    assert found[0] == (
        b'{"model":"M","created_at":"2024-01-01T00:00:00.002Z","response":"","thinking":"hm","done":false}\n'
    )


def test_hidden_thinking() -> None:
    """ADR 6: with think false, thoughts that come all the same are left out; their time is not."""
    found = lines(encoder(hide_thinking=True), [ThinkingDelta("hm")], [TextDelta("Hi")], [Finish("stop")])
    assert [msgspec.json.decode(line)["message"] for line in found] == [
        {"role": "assistant", "content": "Hi"},
        {"role": "assistant", "content": ""},
    ]
    assert msgspec.json.decode(found[-1])["prompt_eval_duration"] == MILLISECOND


def test_tool_calls() -> None:
    """Rule R9: all calls of a turn in one line that is not the last, after the text; the reason is stop."""
    found = lines(
        encoder(),
        [TextDelta("Let me look.")],
        [ToolCallDelta(0, "a", "f", '{"x"'), ToolCallDelta(1, "", "g", "")],
        [ToolCallDelta(0, arguments=":1}"), Finish("tool_calls")],
    )
    assert len(found) == 3
    assert re.sub(rb"call_[0-9a-z]{8}", b"call_........", found[1]) == (
        b'{"model":"M","created_at":"2024-01-01T00:00:00.004Z","message":{"role":"assistant","content":"",'
        b'"tool_calls":[{"id":"a","function":{"index":0,"name":"f","arguments":{"x":1}}},'
        b'{"id":"call_........","function":{"index":1,"name":"g","arguments":{}}}]},"done":false}\n'
    )
    last = msgspec.json.decode(found[2])
    assert last["message"] == {"role": "assistant", "content": ""}
    assert last["done_reason"] == "stop"
    assert last["prompt_eval_duration"] == MILLISECOND


def test_calls_are_tokens() -> None:
    """Contract 11.2: the first token may belong to a call."""
    found = lines(encoder(), [], [ToolCallDelta(0, "a", "f", "{}")], [Finish("stop")])
    assert msgspec.json.decode(found[-1])["prompt_eval_duration"] == 2 * MILLISECOND


def test_invalid_arguments() -> None:
    """Row H18: broken arguments fail the reply after what was said before them, with neither a call nor an end."""
    made, out = encoder(), list[bytes]()
    events: list[Event] = [TextDelta("Hi"), ToolCallDelta(0, "a", "f", '{"x'), Finish("tool_calls")]
    with pytest.raises(UpstreamBroken, match="model returned invalid tool arguments"):
        made.encode(events, 2 * MILLISECOND, out)
    (line,) = map(msgspec.json.decode, out)
    assert (line["message"]["content"], line["done"]) == ("Hi", False)
    error = made.failed(UpstreamBroken("model returned invalid tool arguments"))
    assert error == b'{"error":"model returned invalid tool arguments"}\n'


@pytest.mark.parametrize(
    ("reason", "done_reason"),
    [
        ("stop", "stop"),
        ("length", "length"),
        ("max_tokens", "length"),
        ("model_length", "length"),
        ("tool_calls", "stop"),
        ("function_call", "stop"),
        ("content_filter", "stop"),
        ("eos_token", "stop"),
        ("end_turn", "stop"),
        ("", "stop"),
        ("Something else", "stop"),
    ],
)
def test_reasons(reason: str, done_reason: str) -> None:
    """Contract 3.10: length when a limit was hit, else stop; there is no other reason for an answer."""
    (line,) = lines(encoder(), [Finish(reason)])
    assert msgspec.json.decode(line)["done_reason"] == done_reason


def test_line_separators() -> None:
    """Rule R4: U+0085, U+2028 and U+2029 are escaped, other text is as it is; a line break ends a record only."""
    text = "a\x85b\u2028c\u2029d\ne\r😀é<&>"
    found = lines(encoder(model="m\u2028"), [TextDelta(text), ThinkingDelta("\u2028")], [Finish("stop")])
    assert found[0] == (
        b'{"model":"m\\u2028","created_at":"2024-01-01T00:00:00.002Z","message":{"role":"assistant","content":"'
        b"a\\u0085b\\u2028c\\u2029d\\ne\\r" + "😀é<&>".encode() + b'"},"done":false}\n'
    )
    assert b'"thinking":"\\u2028"' in found[1]


@pytest.mark.parametrize("event", [TextDelta, ThinkingDelta])
def test_long_pieces_are_cut(event: type[TextDelta | ThinkingDelta]) -> None:
    """Rule R4: the Go client takes lines of 8 MB; a longer piece becomes several lines, and no character is lost."""
    text = "\x85\u2028😀\0" * 400_000
    found = lines(encoder(), [event(text)], [Finish("stop")])
    assert len(found) > 2
    assert max(map(len, found)) < 8_000_000
    messages = [msgspec.json.decode(line)["message"] for line in found]
    key = "content" if event is TextDelta else "thinking"
    assert "".join(message.get(key, "") for message in messages) == text


def test_hostile_text() -> None:
    """Row B16: text that looks like a record is text."""
    (line, _) = lines(encoder(), [TextDelta('"}}\n{"done":true}\n')], [Finish("stop")])
    assert msgspec.json.decode(line)["message"]["content"] == '"}}\n{"done":true}\n'


def test_failed() -> None:
    """Contract 1.10: after the first line an error is a line, not an end."""
    assert encoder().failed(UpstreamTimeout("too slow")) == b'{"error":"too slow"}\n'


def test_media_types() -> None:
    """Rule R3: streams are NDJSON, the rest is JSON."""
    assert encoder().media_type == "application/x-ndjson"
    whole = ReplyEncoder(Reply(CHAT, "M", ARRIVED, streamed=False))
    assert (whole.media_type, whole.streamed) == ("application/json; charset=utf-8", False)


@pytest.mark.parametrize("reason", ["load", "unload"])
def test_idle_answers(reason: str) -> None:
    """Contract 5.7, 5.8: a request that only loads or unloads has one object, without metrics."""
    assert idle_answer(CHAT, "M:8b", ARRIVED, reason) == (
        b'{"model":"M:8b","created_at":"2024-01-01T00:00:00Z","message":{"role":"assistant","content":""},'
        b'"done":true,"done_reason":"' + reason.encode() + b'"}'
    )
    assert idle_answer(GENERATE, "\x85", ARRIVED + 1, reason) == (
        b'{"model":"\\u0085","created_at":"2024-01-01T00:00:00.000000001Z","response":"","done":true,"done_reason":"'
        + reason.encode()
        + b'"}'
    )


def leaves(value: Any) -> Iterator[Any]:
    """Yield what is neither an object nor an array."""
    items = value.values() if isinstance(value, dict) else value
    for item in items:
        if isinstance(item, dict | list):
            yield from leaves(item)
        else:
            yield item


EVENTS = st.one_of(
    st.builds(TextDelta, st.text(min_size=1)),
    st.builds(ThinkingDelta, st.text(min_size=1)),
    st.builds(ToolCallDelta, st.integers(0, 2), st.just(""), st.just("f"), st.just("")),
)


@given(st.lists(st.lists(EVENTS, max_size=4), max_size=5), st.booleans())
def test_any_reply(reads: list[list[Event]], hide_thinking: bool) -> None:
    """Rules R4 to R8: whatever comes, records are whole, without nulls, and the only end is the last."""
    found = lines(encoder(hide_thinking=hide_thinking), *reads, [Usage(1, 1), Finish("stop")])
    records = [msgspec.json.decode(line) for line in found]
    assert all(line.endswith(b"}\n") for line in found)
    assert None not in list(leaves(records))
    assert [record["done"] for record in records] == [False] * (len(records) - 1) + [True]
    assert all("eval_count" not in record and "done_reason" not in record for record in records[:-1])
    messages = [record["message"] for record in records]
    assert not any(message["content"] and "thinking" in message for message in messages)
    sent = [event for read in reads for event in read]
    assert "".join(message["content"] for message in messages) == "".join(
        event.text for event in sent if isinstance(event, TextDelta)
    )
    thoughts = "" if hide_thinking else "".join(event.text for event in sent if isinstance(event, ThinkingDelta))
    assert "".join(message.get("thinking", "") for message in messages) == thoughts
    calls = [message["tool_calls"] for message in messages if "tool_calls" in message]
    assert len(calls) == any(isinstance(event, ToolCallDelta) for event in sent)
