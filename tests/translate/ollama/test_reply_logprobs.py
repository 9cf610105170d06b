from typing import Any

import msgspec
import pytest

from ollama_openai_proxy.translate.events import (
    Event,
    Finish,
    Logprobs,
    TextDelta,
    ThinkingDelta,
    ToolCallDelta,
    Usage,
)
from ollama_openai_proxy.translate.ollama.reply import CHAT, GENERATE, Reply, ReplyEncoder, Shape


def encode(
    events: list[Event], top: int | None, *, streamed: bool = True, shape: Shape = CHAT, hide_thinking: bool = False
) -> list[bytes]:
    encoder = ReplyEncoder(Reply(shape, "M", 0, streamed, hide_thinking=hide_thinking, top_logprobs=top))
    out: list[bytes] = []
    encoder.encode(events, 2, out)
    return b"".join(out).splitlines()


def logprobs(line: bytes) -> Any:
    return msgspec.json.decode(line).get("logprobs")


def entry(token: str, logprob: float, *alternatives: tuple[str, float]) -> dict[str, Any]:
    """Return a token as OpenAI writes it."""
    listed = [{"token": name, "logprob": value, "bytes": list(name.encode())} for name, value in alternatives]
    return {"token": token, "logprob": logprob, "bytes": list(token.encode()), "top_logprobs": listed}


HI = entry("Hi", -0.5, ("Hey", -2), ("Hi", -0.5), ("Ho", -1))


def test_streamed() -> None:
    """Contract 3.8, 5.8: each line has the entries of its own tokens, behind done; the last line has none."""
    first, second, last = encode(
        [Logprobs([entry("H", -1)]), TextDelta("H"), Logprobs([entry("i", -2)]), TextDelta("i"), Finish("stop")], 0
    )
    head = b'{"model":"M","created_at":"1970-01-01T00:00:00.000000002Z","message":{"role":"assistant","content":"H"},'
    assert first == head + b'"done":false,"logprobs":[{"token":"H","logprob":-1,"bytes":[72]}]}'
    assert logprobs(second) == [{"token": "i", "logprob": -2, "bytes": [105]}]
    assert b"logprobs" not in last


def test_alternatives() -> None:
    """Contract 3.8: as many alternatives as were asked for, the likeliest first."""
    line, _ = encode([Logprobs([HI]), TextDelta("Hi"), Finish("stop")], 2)
    assert logprobs(line) == [
        {
            "token": "Hi",
            "logprob": -0.5,
            "bytes": [72, 105],
            "top_logprobs": [
                {"token": "Hi", "logprob": -0.5, "bytes": [72, 105]},
                {"token": "Ho", "logprob": -1, "bytes": [72, 111]},
            ],
        }
    ]


def test_fewer_alternatives_than_asked_for() -> None:
    """What the backend did not tell is not made up; no alternatives are no member."""
    line, _ = encode([Logprobs([entry("a", -1, ("a", -1)), entry("b", -1)]), TextDelta("ab"), Finish("stop")], 5)
    first, second = logprobs(line)
    assert len(first["top_logprobs"]) == 1
    assert "top_logprobs" not in second


@pytest.mark.parametrize("value", [None, True, "-1", float("nan"), float("-inf")])
def test_probability_that_is_none(value: object) -> None:
    """Contract 3.8: `logprob` is a number. What is none, or none that JSON has, is left out, and nothing is made up."""
    unknown = {"token": "a", "logprob": value}
    known = {**entry("b", -1, ("b", -1)), "top_logprobs": [unknown, {"token": "b", "logprob": -1}]}
    line, _ = encode([Logprobs([unknown, known]), TextDelta("ab"), Finish("stop")], 5)
    b = {"token": "b", "logprob": -1, "bytes": [98]}
    assert logprobs(line) == [{**b, "top_logprobs": [b]}]


@pytest.mark.parametrize("code", [["x"], [None], [256], [-1], [98.5], [True], "b", 98, []])
def test_bytes_that_are_none(code: object) -> None:
    """Contract 3.8: `bytes` are numbers from 0 to 255; where the backend's are not, the token's own are told."""
    line, _ = encode([Logprobs([{"token": "b", "logprob": -1, "bytes": code}]), TextDelta("b"), Finish("stop")], 0)
    assert logprobs(line) == [{"token": "b", "logprob": -1, "bytes": [98]}]


def test_no_alternatives_wanted() -> None:
    """Contract 11.1: alternatives that nobody asked for are hidden."""
    line, _ = encode([Logprobs([HI]), TextDelta("Hi"), Finish("stop")], 0)
    assert logprobs(line) == [{"token": "Hi", "logprob": -0.5, "bytes": [72, 105]}]


def test_not_wanted() -> None:
    """Contract 3.8: without logprobs in the request there are none in the answer, even if the backend sends them."""
    assert all(b"logprobs" not in line for line in encode([Logprobs([HI]), TextDelta("Hi"), Finish("stop")], None))


@pytest.mark.parametrize(
    ("token", "written"),
    [
        ({"token": "é", "logprob": -1}, {"token": "é", "logprob": -1, "bytes": [195, 169]}),
        ({"token": "é", "logprob": -1, "bytes": None}, {"token": "é", "logprob": -1, "bytes": [195, 169]}),
        ({"token": "é", "logprob": -1, "bytes": "?"}, {"token": "é", "logprob": -1, "bytes": [195, 169]}),
        ({"token": "?", "logprob": -1, "bytes": [240, 159]}, {"token": "?", "logprob": -1, "bytes": [240, 159]}),
        ({"token": "", "logprob": 0, "bytes": []}, {"token": "", "logprob": 0}),
    ],
)
def test_bytes(token: dict[str, Any], written: dict[str, Any]) -> None:
    """Contract 3.8: the bytes of the token, the backend's where it cut a character; none for an empty token."""
    line, _ = encode([Logprobs([token]), TextDelta("x"), Finish("stop")], 0)
    assert logprobs(line) == [written]


@pytest.mark.parametrize(
    "broken",
    [
        None,
        "Hi",
        {},
        {"token": "Hi"},
        {"logprob": -1},
        {"token": 5, "logprob": -1},
        {"token": "Hi", "logprob": "-1"},
        {"token": "Hi", "logprob": None},
    ],
)
def test_entries_that_are_none(broken: Any) -> None:
    """A backend's broken entry is left out, as a token and as an alternative; nulls never reach a client."""
    line, _ = encode([Logprobs([broken, entry("a", -1)]), TextDelta("a"), Finish("stop")], 1)
    assert [found["token"] for found in logprobs(line)] == ["a"]
    token = {"token": "a", "logprob": -1, "top_logprobs": [broken, {"token": "b", "logprob": -2}]}
    line, _ = encode([Logprobs([token]), TextDelta("a"), Finish("stop")], 1)
    assert [found["token"] for found in logprobs(line)[0]["top_logprobs"]] == ["b"]


@pytest.mark.parametrize("alternatives", [None, "ab", 5, {"token": "b", "logprob": -2}, []])
def test_alternatives_that_are_none(alternatives: object) -> None:
    """Alternatives that are no list are left out."""
    line, _ = encode(
        [Logprobs([{"token": "a", "logprob": -1, "top_logprobs": alternatives}]), TextDelta("a"), Finish("")], 3
    )
    assert logprobs(line) == [{"token": "a", "logprob": -1, "bytes": [97]}]  # fmt: skip


def test_whole_chat() -> None:
    """Contract 3.8, 5.8: a whole answer has the entries of all its tokens, between the reason and the metrics."""
    events: list[Event] = [Logprobs([entry("H", -1)]), TextDelta("H"), Logprobs([entry("i", -2)]), TextDelta("i")]
    (found,) = encode([*events, Usage(1, 2), Finish("stop")], 0, streamed=False)
    assert (
        b'"done_reason":"stop","logprobs":[{"token":"H","logprob":-1,"bytes":[72]},'
        b'{"token":"i","logprob":-2,"bytes":[105]}],"total_duration":2,' in found
    )


def test_whole_generation() -> None:
    """Contract 5.7: a generation has its logprobs behind the metrics."""
    (found,) = encode([Logprobs([entry("H", -1)]), TextDelta("H"), Finish("stop")], 0, streamed=False, shape=GENERATE)
    assert found.endswith(b',"eval_duration":2,"logprobs":[{"token":"H","logprob":-1,"bytes":[72]}]}')


def test_tokens_of_thoughts() -> None:
    """Contract 3.8: thoughts have the entries of their own tokens."""
    thought, text, _ = encode(
        [Logprobs([entry("h", -1)]), ThinkingDelta("h"), Logprobs([entry("a", -2)]), TextDelta("a"), Finish("stop")], 0
    )
    assert [found["token"] for found in logprobs(thought)] == ["h"]
    assert [found["token"] for found in logprobs(text)] == ["a"]


def test_tokens_of_hidden_thoughts() -> None:
    """ADR 6: thoughts that are left out do not show in the logprobs either."""
    text, _ = encode(
        [Logprobs([entry("h", -1)]), ThinkingDelta("h"), Logprobs([entry("a", -2)]), TextDelta("a"), Finish("stop")],
        0,
        hide_thinking=True,
    )
    assert [found["token"] for found in logprobs(text)] == ["a"]


def test_tokens_without_text() -> None:
    """Contract 5.8: entries that no text follows have a line of their own before the last."""
    line, last = encode([Logprobs([entry("", -1)]), Finish("stop")], 0)
    found = msgspec.json.decode(line)
    assert (found["message"], found["done"]) == ({"role": "assistant", "content": ""}, False)
    assert found["logprobs"] == [{"token": "", "logprob": -1}]
    assert b"logprobs" not in last


def test_tokens_of_calls() -> None:
    """Contract 3.8: the entries of a call's tokens stand with the call."""
    line, _ = encode([Logprobs([entry("f", -1)]), ToolCallDelta(0, "a", "f", "{}"), Finish("tool_calls")], 0)
    found = msgspec.json.decode(line)
    assert found["message"]["tool_calls"][0]["id"] == "a"
    assert [token["token"] for token in found["logprobs"]] == ["f"]


def test_long_text_with_logprobs() -> None:
    """Rule R4: text that is cut into several lines has its entries once."""
    found = encode([Logprobs([entry("x", -1)]), TextDelta("x" * 200_000), Finish("stop")], 0)
    assert [b"logprobs" in line for line in found].count(True) == 1
    assert "".join(msgspec.json.decode(line)["message"]["content"] for line in found) == "x" * 200_000


@pytest.mark.parametrize("kind", [TextDelta, ThinkingDelta])
def test_g13_entries_without_number_take_several_lines(kind: type[TextDelta | ThinkingDelta]) -> None:
    """G13: no line holds more than 256 entries; what no text is left for follows without text, before the end."""
    events: list[Event] = [Logprobs([entry(str(number), -0.5) for number in range(600)]), kind("Hi"), Finish("stop")]
    lines = encode(events, 0)
    assert [len(logprobs(line) or ()) for line in lines] == [256, 256, 88, 0]
    tokens = [one["token"] for line in lines for one in logprobs(line) or ()]
    assert tokens == [str(number) for number in range(600)]
    assert len(encode(events, 0, streamed=False)) == 1
    assert len(logprobs(encode(events, 0, streamed=False)[0])) == 600


def test_g13_entries_of_calls_take_several_lines() -> None:
    """G13: so do those of tool calls, which come with the last of all lines but one."""
    events: list[Event] = [Logprobs([entry("{", -0.5)] * 300), ToolCallDelta(0, "a", "f", "{}"), Finish("stop")]
    assert [len(logprobs(line) or ()) for line in encode(events, 0)] == [256, 44, 0]
