"""From the upstream's bytes to the client's: what a client gets, when, and how it ends."""

from __future__ import annotations

import json

import pytest

from ollama_openai_proxy.errors import ProxyError, UpstreamBroken, UpstreamRefused
from ollama_openai_proxy.translate.events import Facts, Usage
from ollama_openai_proxy.translate.ollama.errors import error_record
from ollama_openai_proxy.translate.ollama.reply import CHAT, GENERATE, Reply, ReplyEncoder, Shape
from ollama_openai_proxy.translate.translator import MAX_VECTORS, ReplyTranslator, WholeTranslator
from support.decoding import (
    ARRIVED,
    CREATED_AT,
    DONE,
    ELAPSED,
    JSON,
    OPENED,
    SSE,
    STOP,
    delta,
    replay,
    sse,
    tools,
)

USAGE = {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2}}
TRUNCATED = {"error": "the upstream closed the stream before finishing"}
BROKEN_CALL = {"index": 0, "id": "a", "function": {"name": "f", "arguments": '{"x":'}}


def chat(streamed: bool = True) -> ReplyTranslator:
    translator = ReplyTranslator(ReplyEncoder(Reply(CHAT, "m", ARRIVED, streamed=streamed)))
    translator.open(SSE, OPENED)
    return translator


def test_text_leaves_with_the_read_that_brings_it() -> None:
    """A token waits for nothing: not for the next read, not for the end."""
    translator = chat()
    line = json.loads(translator.feed(sse(delta("Hi")), ELAPSED))
    assert line == {
        "model": "m",
        "created_at": CREATED_AT,
        "message": {"role": "assistant", "content": "Hi"},
        "done": False,
    }
    assert not translator.done


def test_several_events_in_a_read_leave_together() -> None:
    """One read becomes one write, however many lines it makes."""
    out = chat().feed(sse(delta("H"), delta("i"), delta("!")), ELAPSED)
    assert [json.loads(line)["message"]["content"] for line in out.splitlines()] == ["H", "i", "!"]


def test_g1_pieces_that_come_in_one_read_are_told_apart_whatever_is_in_them() -> None:
    """G1: models that answer in JSON say commas and quotes, alone and together: each is text, and in its own line."""
    texts = [",", '{"a', '":', ' "b', '",', "\n", ",", '"', '","', "}"]
    translator = chat()
    translator.feed(sse(delta("Hi")), ELAPSED)
    out = translator.feed(sse(*map(delta, texts)), ELAPSED)
    assert [json.loads(line)["message"]["content"] for line in out.split(b"\n")[:-1]] == texts


@pytest.mark.parametrize("read", [sse(delta("")), b": ping\n\n", b'data: {"choi'], ids=["no text", "comment", "half"])
def test_reads_without_text_leave_nothing(read: bytes) -> None:
    """R4, H6: no blank line and no empty one keeps a client's connection alive."""
    assert chat().feed(read, ELAPSED) == b""


def test_the_end_waits_for_what_trails_it() -> None:
    """Decision 2: after the reason only usage is missing, and whoever waits may stop waiting."""
    translator = chat()
    states = [(translator.finishing, translator.done)]
    for chunk in (delta("Hi"), STOP, USAGE):
        last = translator.feed(sse(chunk), ELAPSED)
        states.append((translator.finishing, translator.done))
    assert states == [(False, False), (False, False), (True, False), (False, True)]
    assert json.loads(last)["done"] is True


def test_f3_g9_closing_after_the_reason_ends_the_reply() -> None:
    """F3, G9: a close, or an end to waiting, after the reason is a good end, without counts nobody gave."""
    translator = chat()
    translator.feed(sse(delta("Hi"), STOP), ELAPSED)
    last = json.loads(translator.close(ELAPSED))
    assert (last["done"], last["done_reason"], translator.failure) == (True, "stop", None)
    assert (translator.finishing, translator.done) == (False, True)
    assert {"prompt_eval_count", "eval_count"}.isdisjoint(last)


def test_closing_after_the_end_adds_nothing() -> None:
    """There is one end."""
    translator = chat()
    translator.feed(sse(delta("Hi"), STOP, DONE), ELAPSED)
    assert translator.done
    assert translator.close(ELAPSED) == b""
    assert (translator.done, translator.failure) == (True, None)


@pytest.mark.parametrize("streamed", [True, False], ids=["stream", "whole"])
def test_e10_nothing_at_all_is_an_empty_response(streamed: bool) -> None:
    """E10: 200 without a body is a failure, not an empty answer."""
    replayed = replay([], streamed=streamed)
    assert replayed.failure is not None
    assert (replayed.failure.outcome, replayed.failure.status) == ("up_empty", 502)
    assert json.loads(replayed.output) == {"error": "empty response from upstream"}


def test_f2_a_cut_stream_ends_with_one_error_and_no_done() -> None:
    """F2: the text that came is kept, and a record says that it is not all."""
    replayed = replay([sse(delta("Hel"))])
    assert [line.get("done") for line in replayed.lines] == [False, None]
    assert replayed.lines[-1] == TRUNCATED
    assert not replayed.done


def test_a_cut_stream_is_no_whole_answer() -> None:
    """2.0: for a client that does not stream, partial text is never returned as a success."""
    replayed = replay([sse(delta("Hel"))], streamed=False)
    assert (json.loads(replayed.output), replayed.done) == (TRUNCATED, False)


def test_a_page_for_a_reply_is_a_failure() -> None:
    """E14: the type of the reply is looked at with its first bytes."""
    replayed = replay([b"<html>"], "text/html")
    assert replayed.lines == [{"error": "unexpected content type from upstream"}]


@pytest.mark.parametrize("streamed", [True, False], ids=["stream", "whole"])
def test_h18_arguments_that_are_none_fail_the_reply_at_its_end(streamed: bool) -> None:
    """H18: broken arguments are an error, never `{}` and never text; what came before them stays valid."""
    replayed = replay([sse(delta("Hi"), tools(BROKEN_CALL), STOP, DONE)], streamed=streamed)
    assert replayed.failure is not None
    assert not replayed.done
    assert json.loads(replayed.output.splitlines()[-1]) == {"error": "model returned invalid tool arguments"}
    assert len(replayed.output.splitlines()) == (2 if streamed else 1)


def test_arguments_that_are_none_fail_it_at_a_close_as_well() -> None:
    """H18: half a call, then the close after a reason."""
    replayed = replay([sse(tools(BROKEN_CALL)), sse(STOP)])
    assert [line.get("error") for line in replayed.lines] == ["model returned invalid tool arguments"]


def test_an_error_in_the_stream_follows_the_text_before_it() -> None:
    """I5: in one read or in two, the text leaves, then the error."""
    chunks = (delta("Hi"), {"error": {"message": "canary-key expired", "code": 500}}, DONE)
    for reads in ([sse(*chunks)], [sse(chunk) for chunk in chunks]):
        replayed = replay(reads, secrets=("canary-key",))
        assert [line.get("message", {}).get("content") or line["error"] for line in replayed.lines] == [
            "Hi",
            "[key] expired",
        ]


@pytest.mark.parametrize(
    ("content_type", "reads"),
    [
        pytest.param(SSE, [sse(delta("H"), delta("i"), STOP, USAGE)], id="stream"),
        pytest.param(
            JSON,
            [
                b'{"choices":[{"message":{"content":"Hi"},"finish_reason":"stop"}],"usage":{"prompt_tokens":3,',
                b'"completion_tokens":2}}',
            ],
            id="E13 whole",
        ),
    ],
)
@pytest.mark.parametrize(("shape", "key"), [(CHAT, "message"), (GENERATE, "response")], ids=["chat", "generate"])
def test_a_whole_answer_is_one_object_whatever_the_upstream_sends(
    content_type: str, reads: list[bytes], shape: Shape, key: str
) -> None:
    """E13: a client that does not stream gets one object, without a line feed (contract 1.8)."""
    body = replay(reads, content_type, shape=shape, streamed=False).body
    text = body[key]["content"] if key == "message" else body[key]
    assert (text, body["done"], body["prompt_eval_count"], body["eval_count"]) == ("Hi", True, 3, 2)


def test_a_whole_reply_is_streamed_to_a_client_that_streams() -> None:
    """E13: a backend that does not stream still answers a client that does, in lines."""
    reads = [b'{"choices":[{"message":{"content":"Hi"},', b'"finish_reason":"length"}]}']
    lines = replay(reads, JSON).lines
    assert [(line["message"]["content"], line["done"]) for line in lines] == [("Hi", False), ("", True)]
    assert lines[-1]["done_reason"] == "length"


@pytest.mark.parametrize(
    ("streamed", "media_type"), [(True, "application/x-ndjson"), (False, "application/json; charset=utf-8")]
)
def test_the_media_type_is_the_clients(streamed: bool, media_type: str) -> None:
    """R3: NDJSON for streams, JSON for objects; the upstream's type never shows."""
    assert (chat(streamed).media_type, chat(streamed).streamed) == (media_type, streamed)


def whole(fail: ProxyError | None = None, refuse: ProxyError | None = None) -> WholeTranslator:
    """A translator that says what it was given, or fails at the end, or with each read."""
    parts: list[bytes] = []

    def take(read: bytes) -> None:
        if refuse:
            raise refuse
        parts.append(read)

    def answer(opened: int, elapsed: int) -> tuple[bytes, Usage]:
        if fail:
            raise fail
        return b"%s %d %d" % (b"".join(parts), opened, elapsed), Usage(5)

    return WholeTranslator(take, answer, error_record)


def test_a_body_is_translated_once_it_is_whole() -> None:
    """Embeddings have no stream: nothing leaves before the last byte, and both times are known by then."""
    translator = whole()
    translator.open(JSON, 7)
    assert (translator.feed(b"a", 8), translator.feed(b"b", 9)) == (b"", b"")
    assert (translator.done, translator.finishing, translator.streamed) == (False, False, False)
    assert translator.progress() == (2, False)
    assert translator.close(10) == b"ab 7 10"
    assert (translator.done, translator.failure) == (True, None)
    assert translator.media_type == "application/json; charset=utf-8"


def test_what_a_body_has_cost_is_known_when_it_is_whole() -> None:
    """What the upstream says it spent is there for who counts, once the body has been read; before, nothing is."""
    translator = whole()
    assert translator.facts() == Facts()
    translator.feed(b"a", 8)
    translator.close(10)
    assert translator.facts() == Facts(Usage(5))


def test_what_a_stream_was() -> None:
    """The tokens as the backend counts them, its finish reason, and when the first and the last piece came."""
    translator = chat(streamed=True)
    translator.open("text/event-stream", 5)
    assert translator.facts() == Facts()
    for elapsed, content in ((10, "a"), (20, "b"), (35, "c")):
        translator.feed(b'data: {"choices":[{"delta":{"content":"%s"}}]}\n\n' % content.encode(), elapsed)
    translator.feed(b'data: {"choices":[{"delta":{},"finish_reason":"length"}]}\n\n', 40)
    translator.feed(b'data: {"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":9}}\n\ndata: [DONE]\n\n', 50)
    facts = translator.facts()
    assert (facts.usage.prompt_tokens, facts.usage.completion_tokens) == (3, 9)
    assert (facts.finish_reason, facts.first_token, facts.last_token) == ("length", 10, 35)


def test_a_body_that_is_none_is_a_failure() -> None:
    """H27: what the decoder refuses is kept as the failure, and nothing is sent."""
    error = UpstreamRefused("no", status=429)
    translator = whole(error)
    translator.open(JSON, 1)
    assert translator.close(2) == b""
    assert (translator.failure, translator.done) == (error, False)
    assert translator.failed(error) == b'{"error":"no"}\n'


def test_a_read_that_is_refused_is_a_failure() -> None:
    """What the decoder refuses in mid-body is a failure at once: no more of it need be read."""
    error = UpstreamBroken("no")
    translator = whole(refuse=error)
    translator.open(JSON, 1)
    assert translator.feed(b"a", 2) == b""
    assert (translator.failure, translator.done) == (error, False)


def test_f11_most_vectors_of_one_call_fit() -> None:
    """F11: OpenAI takes 2,048 texts at once, and its largest vectors have 3,072 numbers: with 17 digits, sign, exponent
    and comma each they are within what a reply with vectors may have."""
    assert 2048 * 3072 * len("-0.012345678901234567,") <= MAX_VECTORS
