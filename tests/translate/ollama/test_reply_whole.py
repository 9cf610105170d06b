import msgspec
import pytest

from ollama_openai_proxy.errors import UpstreamBroken
from ollama_openai_proxy.translate.events import Event, Facts, Finish, TextDelta, ThinkingDelta, ToolCallDelta, Usage
from ollama_openai_proxy.translate.ollama.reply import CHAT, GENERATE, Reply, ReplyEncoder, Shape

ARRIVED = 1_704_067_200 * 10**9  # 2024-01-01T00:00:00Z
MILLISECOND = 1_000_000


def whole(shape: Shape, *events: Event, hide_thinking: bool = False) -> bytes:
    """Return the reply to events that all arrive after 5 ms, 4 of which the backend took."""
    encoder = ReplyEncoder(Reply(shape, "M", ARRIVED, streamed=False, hide_thinking=hide_thinking))
    encoder.opened(MILLISECOND)
    out: list[bytes] = []
    encoder.encode(list(events), 5 * MILLISECOND, out)
    return b"".join(out)


METRICS = (
    b'"total_duration":5000000,"load_duration":1000000,"prompt_eval_count":3,"prompt_eval_duration":1,'
    b'"eval_count":2,"eval_duration":4000000}'
)


def test_chat() -> None:
    """Contract 5.8: one object, thoughts, content and all calls together, without a newline."""
    assert whole(
        CHAT,
        ThinkingDelta("h"),
        ThinkingDelta("m"),
        TextDelta("Let "),
        TextDelta("me."),
        ToolCallDelta(0, "a", "f", '{"x":1}'),
        ToolCallDelta(1, "b", "g", "{}"),
        Usage(3, 2),
        Finish("tool_calls"),
    ) == (
        b'{"model":"M","created_at":"2024-01-01T00:00:00.005Z","message":{"role":"assistant","content":"Let me.",'
        b'"thinking":"hm","tool_calls":[{"id":"a","function":{"index":0,"name":"f","arguments":{"x":1}}},'
        b'{"id":"b","function":{"index":1,"name":"g","arguments":{}}}]},"done":true,"done_reason":"stop",' + METRICS
    )


def test_generate() -> None:
    """Contract 5.7: one object with the whole response."""
    assert whole(GENERATE, ThinkingDelta("hm"), TextDelta("Hi"), Usage(3, 2), Finish("length")) == (
        b'{"model":"M","created_at":"2024-01-01T00:00:00.005Z","response":"Hi","thinking":"hm","done":true,'
        b'"done_reason":"length",' + METRICS
    )


def test_nothing_said() -> None:
    """Contract 3.5: content is there though empty; thinking and calls are not."""
    assert whole(CHAT, Usage(3, 2), Finish("stop")) == (
        b'{"model":"M","created_at":"2024-01-01T00:00:00.005Z","message":{"role":"assistant","content":""},'
        b'"done":true,"done_reason":"stop",' + METRICS
    )


def test_hidden_thinking() -> None:
    """ADR 6: with think false, thoughts that come all the same are left out."""
    found = msgspec.json.decode(whole(CHAT, ThinkingDelta("hm"), TextDelta("Hi"), Finish("stop"), hide_thinking=True))
    assert found["message"] == {"role": "assistant", "content": "Hi"}


def test_the_backends_durations() -> None:
    """ADR 4: durations that the backend measured are passed on."""
    found = msgspec.json.decode(whole(CHAT, TextDelta("Hi"), Usage(3, 2, 700, 800), Finish("stop")))
    assert (found["prompt_eval_duration"], found["eval_duration"]) == (700, 800)


def test_a_streamed_answer_to_a_whole_request() -> None:
    """ADR 4: where the backend streams all the same, the first token is seen; nothing leaves before the end."""
    encoder = ReplyEncoder(Reply(CHAT, "M", ARRIVED, streamed=False))
    encoder.opened(MILLISECOND)
    out: list[bytes] = []
    encoder.encode([TextDelta("H")], 3 * MILLISECOND, out)
    encoder.encode([TextDelta("i")], 4 * MILLISECOND, out)
    assert out == []
    encoder.encode([Finish("stop")], 9 * MILLISECOND, out)
    found = msgspec.json.decode(b"".join(out))
    assert found["message"]["content"] == "Hi"
    assert (found["prompt_eval_duration"], found["eval_duration"]) == (2 * MILLISECOND, 6 * MILLISECOND)
    assert found["created_at"] == "2024-01-01T00:00:00.009Z"


def test_line_separators() -> None:
    """Rule R4: whole answers are escaped like streamed ones."""
    assert b'"content":"\\u2028\\u0085"' in whole(CHAT, TextDelta("\u2028\x85"), Finish("stop"))


def test_long_answers_are_one_object() -> None:
    """Contract 1.8: a whole answer is one object, however long."""
    found = whole(GENERATE, TextDelta("x" * 1_000_000), Finish("stop"))
    assert msgspec.json.decode(found)["response"] == "x" * 1_000_000


def test_invalid_arguments() -> None:
    """Section 2.0 of the fault matrix: a reply that is not streamed fails as a whole."""
    encoder = ReplyEncoder(Reply(CHAT, "M", ARRIVED, streamed=False))
    out: list[bytes] = []
    with pytest.raises(UpstreamBroken, match="model returned invalid tool arguments"):
        encoder.encode([TextDelta("Hi"), ToolCallDelta(0, "a", "f", "x"), Finish("stop")], 1, out)
    assert out == []


def test_what_was_odd_on_either_side_is_told() -> None:
    """What is known of the upstream's reply is told together with what its encoder has found."""
    encoder = ReplyEncoder(Reply(CHAT, "M", ARRIVED, streamed=False))
    encoder.encode([ToolCallDelta(0, "a", "f", r'"{\"x\":1}"'), Finish("tool_calls")], 7, [])
    found = encoder.facts(Usage(3), 5, {"empty": 2})
    assert found == Facts(Usage(3), "tool_calls", 7, 7, 5, {"empty": 2, "tool_bad_args": 1})
