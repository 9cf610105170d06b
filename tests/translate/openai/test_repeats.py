"""Chunks of which only the text is read: whatever a backend sends, nobody can tell."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ollama_openai_proxy.errors import UpstreamError
from ollama_openai_proxy.translate.events import Event, Pieces, TextDelta, ThinkingDelta
from ollama_openai_proxy.translate.openai.repeats import Repeats, learned
from ollama_openai_proxy.translate.openai.reply import StreamDecoder
from support.decoding import DONE, STOP, delta, sse, tools

SAID = b'{"choices":[{"delta":{"content":"Hi"}}]}'
TEXT = st.text(alphabet=st.sampled_from('ab ",:\\/{}[]<>&\n\t\r\x00\x7fé\u0085\u2028日\U0001f600'), max_size=5)
WORDS = st.sampled_from(
    ["", "Hi", " the", "content", "assistant", "null", '"', "\\", '","', '"}}]}\n\n', "é", "<think>", "stop"]
)


def expanded(events: list[Event]) -> list[Event]:
    """The events, each piece a delta of its own."""
    deltas: list[Event] = []
    for event in events:
        if isinstance(event, Pieces):
            texts = event.texts()
            assert len(texts) == event.count
            deltas += [ThinkingDelta(text) if event.thinking else TextDelta(text) for text in texts]
        else:
            deltas.append(event)
    return deltas


def states(reads: list[bytes], lessons: int, max_event: int = 2**20) -> list[object]:
    """What is known after each read, until the end or an error; with no lessons each chunk is read as a whole."""
    decoder = StreamDecoder((), max_event, lessons)
    known: list[object] = []
    for read in [*reads, b""]:
        events: list[Event] = []
        failure = None
        try:
            if read:
                decoder.feed(read, events)
            else:
                decoder.close(events)
        except UpstreamError as error:
            failure = (type(error), error.message, error.outcome)
        state = (decoder.seen, dict(decoder.odd), decoder.progress(), decoder.finishing, decoder.ended, decoder.usage)
        known.append((expanded(events), failure, state))
        if failure:
            break
    return known


def chunk(text: object, kind: str, shape: int) -> bytes:
    """An event as one of several backends writes it."""
    said: dict[str, Any] = {kind: text}
    choice: dict[str, Any] = {"index": 0, "delta": said, "logprobs": None, "finish_reason": None}
    bodies: list[dict[str, Any]] = [
        {"id": "1", "object": "chat.completion.chunk", "choices": [choice], "usage": None},
        {"choices": [choice], "id": "1", "obfuscation": "abcde"[: len(str(text))]},
        {"choices": [{"text": text, "index": 0}]},
        {"choices": [{"delta": {"role": "assistant", "content": "", **said}}], "created": 1},
        {"choices": [choice], "timings": {"predicted_n": len(str(text))}},
        {"choices": [{"delta": {"reasoning": "x", **said}}]},
        {"content": text, "stop": False},
        {"choices": [{"delta": {"content": [{"type": "text", "text": text}]}}]},
    ]
    ascii_only, separators = ((True, None), (False, (",", ":")))[shape % 2]
    body = json.dumps(bodies[shape // 2 % len(bodies)], ensure_ascii=ascii_only, separators=separators)
    return b"data: " + body.encode("utf-8", "surrogatepass") + b"\n\n"


@st.composite
def streams(draw: st.DrawFn) -> bytes:
    """Chunks that mostly repeat each other, and what comes between and after them."""
    kinds = st.sampled_from(["content", "reasoning_content", "reasoning", "refusal"])
    kind, shape = draw(kinds), draw(st.integers(0, 15))
    parts: list[bytes] = []
    for text in draw(st.lists(TEXT | WORDS, max_size=12)):
        match draw(st.integers(0, 14)):
            case 0:
                kind, shape = draw(kinds), draw(st.integers(0, 15))
            case 1:
                others = [b": ping\n\n", b"event: x\n", b"\n", sse(tools({"index": 0, "function": {"name": "f"}}))]
                parts.append(draw(st.sampled_from([*others, sse(delta(None)), sse({"error": "x"}), b"data: \n\n"])))
            case 2:
                parts.append(
                    draw(st.sampled_from([sse(STOP), sse(DONE), sse({"choices": [], "usage": {"prompt_tokens": 3}})]))
                )
        parts.append(chunk(text, kind, shape))
    return b"".join([*parts, sse(STOP, DONE)])


@st.composite
def reads(draw: st.DrawFn) -> list[bytes]:
    """A stream in any reads, in most cases event by event; some of its bytes may be others."""
    stream = draw(streams())
    for _ in range(draw(st.sampled_from([0, 0, 0, 1, 2]))):
        at = draw(st.integers(0, len(stream) - 1))
        other = draw(
            st.sampled_from([b"", b'"', b"\\", b"\n", b"\r", b"\xff", b"\x00", b"{", b"}", b"a", b",", b"\xc3"])
        )
        stream = stream[:at] + other + stream[at + draw(st.integers(0, 2)) :]
    if draw(st.booleans()):
        events = [event + b"\n\n" for event in stream.split(b"\n\n")]
        return [
            b"".join(events[at : at + size]) for size in [draw(st.integers(1, 4))] for at in range(0, len(events), size)
        ]
    cuts = sorted(draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    found = [stream[start:end] for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    return [read for read in found if read]


FIRST_BYTE, SECOND_BYTE = (chunk("#", "content", 1).replace(b"#", half) for half in (b"\xc3", b"\xa9"))
HALF_QUOTED = chunk("a", "content", 1).replace(b'"a"', b'"a\\"')
HALF_A_PAIR = chunk("#", "content", 1).replace(b"#", b"\\ud83d")
STARTS_OUTSIDE = chunk("a", "content", 1).replace(b'"a"', b'","b"')


@settings(max_examples=400, deadline=None)
@given(reads())
@example([chunk("Hi", "content", 1), HALF_QUOTED + STARTS_OUTSIDE])
@example([chunk("Hi", "content", 1), FIRST_BYTE + SECOND_BYTE])
@example([chunk("Hi", "content", 1), chunk("\U0001f600", "content", 0), chunk('"\n', "content", 1) * 3])
@example([chunk("Hi", "content", 1), chunk("x", "content", 1)[:-1], b"\n" + chunk("y", "content", 1)])
@example([chunk("Hi", "content", 3), chunk("you", "content", 3) + chunk("a", "content", 3)])
@example([chunk("a", "content", 1), sse(STOP), chunk("late", "content", 1), chunk("er", "content", 1)])
@example([chunk("a", "content", 1) + b"event: error\n", chunk("b", "content", 1)])
@example([chunk("a", "content", 1) + b"\r", chunk("b", "content", 1)])
@example([chunk(" ", "content", 10)] * 3)
@example([chunk("<think>", "content", 10)] * 3)
@example([chunk("a", "content", 1), HALF_A_PAIR, chunk("b", "content", 1)])
@example([chunk("a", "content", 1), b": of a comment ", chunk("b", "content", 1)])
def test_what_is_not_read_again_would_have_said_the_same(reads: list[bytes]) -> None:
    """G1, H1, H2: after each read the events, the counts, the state and the error are those of reading all of it."""
    assert states(reads, lessons=8) == states(reads, lessons=0)


@settings(max_examples=100, deadline=None)
@given(reads(), st.integers(20, 200))
@example([chunk("Hi", "content", 1), chunk("x" * 100, "content", 1)], 200)
def test_g13_what_is_too_large_is_so_all_the_same(reads: list[bytes], max_event: int) -> None:
    """G13: the limit of an event holds for those that repeat, too."""
    assert states(reads, 8, max_event) == states(reads, 0, max_event)


def of(data: bytes = SAID, said: TextDelta | ThinkingDelta | None = None) -> Repeats | None:
    return learned(data, said or TextDelta("Hi"), passive=True)


def taken(known: Repeats | None, read: bytes) -> tuple[list[Event], int, bytes]:
    events: list[Event] = []
    assert known
    count, rest = known.take(read, events)
    return events, count, rest


def test_a_run_of_chunks_is_taken_at_once() -> None:
    """What follows the last whole one is left, whatever it is."""
    known = of()
    run = b"".join(b"data: " + SAID.replace(b"Hi", text) + b"\n\n" for text in (b"a", "é".encode(), b'\\"\\n'))
    assert taken(known, run) == ([Pieces('"a"\n"é"\n"\\"\\n"'.encode(), 3)], 3, b"")
    for rest in (b"data: [DONE]\n\n", b": ping", b"\n", b'data: {"choices":[{"delta":{"content":"hal'):
        assert taken(known, run + rest) == ([Pieces('"a"\n"é"\n"\\"\\n"'.encode(), 3)], 3, rest)


@pytest.mark.parametrize(
    "text", [b"", b'"', b"\\", b"\\x", b"\\ud83d", b"\xff", b"\xc3", b"\n", b'","', b'a","b', b"\x01"], ids=repr
)
def test_what_is_no_text_is_left(text: bytes) -> None:
    """H1, H2: it is for those to refuse who read all of it; an empty text says nothing."""
    known = of()
    event = b"data: " + SAID.replace(b"Hi", text) + b"\n\n"
    good = b"data: " + SAID + b"\n\n"
    for read in (event, good + event + good):
        assert taken(known, read) == ([], 0, read)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b'{"choices":[{"delta":{"content":"\\u0048i"}}]}', id="spelled otherwise"),
        pytest.param(b'{"choices":\n[{"delta":{"content":"Hi"}}]}', id="over two lines"),
        pytest.param(b'{"choices":[{"delta":{"content":"Hi"},\n"index":0}]}', id="with a line behind it"),
        pytest.param(b'{"id":"Hi","choices":[{"delta":{"content":"Hi"}}]}', id="elsewhere, too"),
        pytest.param(b'{"choices":[{"delta":{"content":"Hi"},"finish_reason":"stop"}]}', id="a reason"),
        pytest.param(b'{"choices":[{"delta":{"content":"Hi"}}],"usage":{"prompt_tokens":1}}', id="usage"),
        pytest.param(b'{"choices":[{"delta":{"content":"Hi"}}],"timings":{"predicted_n":1}}', id="timings"),
        pytest.param(b'{"choices":[{"delta":{"content":"Hi","refusal":"no"}}]}', id="another text"),
        pytest.param(b'{"choices":[{"delta":{"content":"Hi"}}],"usage":[3]}', id="what is strange"),
        pytest.param(b'{"choices":[{"delta":{"content":"Hi"}},{"index":0}]}', id="a choice that says nothing"),
        pytest.param(b'{"error":"Hi"}', id="an error"),
        pytest.param(b'{"choices":[{"delta":{"content":"Hi"}}', id="no JSON"),
    ],
)
def test_chunks_that_say_more_than_a_text_are_not_learned(data: bytes) -> None:
    """An end, a count, a second text: none of that may be passed over in the next chunk."""
    assert of(data) is None


def test_what_is_kept_of_a_chunk_is_not_much() -> None:
    """M10: a stream keeps what its chunks repeat until it ends, so that is limited; the text between is not."""
    for padding, kept in ((16_000, True), (17_000, False)):
        data = b'{"id":"%b","choices":[{"delta":{"content":"Hi"}}]}' % (b"x" * padding)
        assert (of(data) is not None) is kept
    assert of(SAID.replace(b"Hi", b"Hi" * 100_000), TextDelta("Hi" * 100_000))


def test_text_that_may_be_a_tag_is_not_learned() -> None:
    """H7: before any text a piece of it may open a thought, whatever the one before was."""
    assert learned(SAID, TextDelta("Hi"), passive=False) is None
    for text in (b" ", b"<think>", b"a"):
        beside = b'{"choices":[{"delta":{"reasoning":"Hi","content":"%b"}}]}' % text
        assert learned(beside, ThinkingDelta("Hi"), passive=False) is None


def test_a_chunk_fits_if_the_same_is_around_its_text() -> None:
    """It is not found out again."""
    known = of()
    assert known
    assert known.fits(SAID.replace(b"Hi", b"you"))
    assert not known.fits(b'{"choices":[{"delta":{"content":"Hi"}}],"created":1}')


def test_padding_is_not_looked_at() -> None:
    """OpenAI's `obfuscation` is of another length in each chunk, and says nothing."""
    padded = b'{"choices":[{"delta":{"content":"%b"}}],"obfuscation":"%b"}'
    known = of(padded % (b"Hi", b"xyz"))
    run = b"".join(b"data: " + padded % (text, random) + b"\n\n" for text, random in ((b"a", b"1234"), (b"b", b"")))
    assert taken(known, run) == ([Pieces(b'"a"\n"b"', 2)], 2, b"")
    assert of(padded % (b"Hi", b'x\\"y')) is None
    for random in (b'"', b"\\u0000", b"\xff"):
        read = b"data: " + padded % (b"a", random) + b"\n\n"
        assert taken(known, read) == ([], 0, read)
