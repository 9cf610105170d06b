"""Pieces that came at once are written as if each had been told of by itself, and each line has its time."""

from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ollama_openai_proxy.translate.events import Event, Finish, Logprobs, Pieces, TextDelta, ThinkingDelta, Usage
from ollama_openai_proxy.translate.ollama.context import Conversation, Turn
from ollama_openai_proxy.translate.ollama.reply import CHAT, GENERATE, ContextEncoder, Reply, ReplyEncoder, Shape
from ollama_openai_proxy.translate.ollama.times import timestamp

ARRIVED = 1_704_067_200 * 10**9 + 999_000_000
SECOND = 10**9
TEXTS = st.lists(
    st.text(alphabet=st.sampled_from('ab ",\\{}<>&\n\x00\x7fé\u0085\u2028日\U0001f600'), min_size=1), min_size=1
)
LARGE = "é" * (64 * 1024 + 1)


def pieces(texts: list[str], *, thinking: bool = False) -> Pieces:
    return Pieces(msgspec.json.Encoder().encode_lines(texts)[:-1], len(texts), thinking)


def deltas(told: Pieces) -> list[Event]:
    return [ThinkingDelta(text) if told.thinking else TextDelta(text) for text in told.texts()]


def written(events: list[Event], reply: Reply) -> tuple[list[bytes], object]:
    """The bytes of the events and of an end, of an encoder with a context where there is one, and the facts."""
    conversation = Conversation([Turn("user", "Hi")])
    encoder = ContextEncoder(reply, conversation) if reply.shape is GENERATE else ReplyEncoder(reply)
    out: list[bytes] = []
    encoder.encode(events, 5, out)
    encoder.encode([Usage(1, 2), Finish("stop")], 9, out)
    return out, encoder.facts()


@given(TEXTS, st.sampled_from([CHAT, GENERATE]), st.booleans(), st.booleans(), st.booleans())
@example(['","'], CHAT, True, False, False)
@example(['"name', '",', "\n", '"'], CHAT, True, False, False)
@example([",", "a"], GENERATE, True, True, False)
@example(["\\", "a"], CHAT, True, False, False)
@example([LARGE, "a"], GENERATE, True, False, False)
@example([LARGE, LARGE], CHAT, True, True, False)
def test_pieces_are_written_as_one_after_the_other(
    texts: list[str], shape: Shape, streamed: bool, thinking: bool, hidden: bool
) -> None:
    """Contract 5.7, 5.8: which texts a read brought together shows in no byte, and neither in what is counted."""
    told = pieces(texts, thinking=thinking)
    reply = Reply(shape, "m\u2028", ARRIVED, streamed=streamed, hide_thinking=hidden)
    assert written([told], reply) == written(deltas(told), reply)
    assert written([Logprobs([]), TextDelta("a"), told], reply) == written([TextDelta("a"), *deltas(told)], reply)


@pytest.mark.parametrize("thinking", [False, True], ids=["text", "thinking"])
def test_logprobs_before_pieces_are_told_with_the_first(thinking: bool) -> None:
    """Contract 3.8: what was told of the tokens leaves with the next line, as it does with a single piece."""
    told, tokens = pieces(["a", "b"], thinking=thinking), Logprobs([{"token": "a", "logprob": -1}])
    for hidden in (False, True):
        reply = Reply(CHAT, "m", ARRIVED, streamed=True, hide_thinking=hidden, top_logprobs=0)
        assert written([tokens, told], reply) == written([tokens, *deltas(told)], reply)


@given(
    st.lists(
        st.integers(0, 3 * SECOND) | st.sampled_from([0, SECOND, 1_000_000, 1_000_001, 2 * SECOND - 1]), min_size=1
    )
)
def test_each_line_has_the_time_of_its_read(times: list[int]) -> None:
    """Contract 1.8: over the end of a second, on it and back, without the zeros that Go does not write."""
    encoder = ReplyEncoder(Reply(CHAT, "m", ARRIVED, streamed=True))
    for elapsed in times:
        out: list[bytes] = []
        encoder.encode([TextDelta("a")], elapsed, out)
        assert json.loads(out[0])["created_at"] == timestamp(ARRIVED + elapsed)
