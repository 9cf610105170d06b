"""What decodes a reply is chosen by its first bytes, however they are cut."""

from __future__ import annotations

import json

import pytest

from ollama_openai_proxy.translate.events import Usage
from ollama_openai_proxy.translate.ollama.reply import CHAT, Reply, ReplyEncoder
from ollama_openai_proxy.translate.translator import ReplyTranslator

WHOLE = b'{"choices":[{"message":{"content":"Hi"},"finish_reason":"stop"}]}'
EVENTS = b'data: {"choices":[{"delta":{"content":"Hi"},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'


def translated(content_type: str, *reads: bytes) -> ReplyTranslator:
    translator = ReplyTranslator(ReplyEncoder(Reply(CHAT, "m", arrived=0, streamed=False)))
    translator.open(content_type, 0)
    out = b"".join([*(translator.feed(read, 1) for read in reads), translator.close(1)])
    if translator.failure:
        raise translator.failure
    assert json.loads(out)["message"]["content"] == "Hi"
    return translator


@pytest.mark.parametrize("content_type", ["", "text/plain", "application/json", "text/event-stream"])
@pytest.mark.parametrize("body", [WHOLE, EVENTS], ids=["whole", "events"])
@pytest.mark.parametrize("before", [b"", b"\n", b"\r\n \n", b"\xef\xbb\xbf"], ids=["", "lf", "space", "bom"])
def test_any_type_and_any_cut(content_type: str, body: bytes, before: bytes) -> None:
    """E13, E15: the content type is a hint; white space, a BOM or a cut before the first word change nothing."""
    whole = before + body
    for cut in range(len(before) + 8):
        assert translated(content_type, *filter(None, (whole[:cut], whole[cut:]))).done


def test_an_answer_has_begun_with_its_first_event() -> None:
    """E2: comments and the role are no answer yet."""
    translator = ReplyTranslator(ReplyEncoder(Reply(CHAT, "m", arrived=0, streamed=True)))
    translator.open("text/event-stream", 0)
    translator.feed(b': ping\n\ndata: {"choices":[{"delta":{"role":"assistant","content":""}}]}\n\n', 1)
    assert not translator.begun
    translator.feed(EVENTS, 2)
    assert translator.begun


def test_text_and_usage_after_the_finish_reason_count() -> None:
    """H9, H11: a finish chunk with usage is not the end when more text and a later usage follow it."""
    translator = ReplyTranslator(ReplyEncoder(Reply(CHAT, "m", arrived=0, streamed=True)))
    translator.open("text/event-stream", 0)
    finish = b'data: {"choices":[{"delta":{"content":"H"},"finish_reason":"stop"}],"usage":{"prompt_tokens":1}}\n\n'
    late = b'data: {"choices":[{"delta":{"content":"i"}}]}\n\n'
    usage = b'data: {"choices":[],"usage":{"prompt_tokens":30,"completion_tokens":4}}\n\n'
    lines = [json.loads(line) for line in (translator.feed(finish + late + usage, 1)).splitlines()]
    assert [line["message"]["content"] for line in lines] == ["H", "i", ""]
    assert (lines[-1]["done"], lines[-1]["prompt_eval_count"], lines[-1]["eval_count"]) == (True, 30, 4)


def test_usage_after_content_finishes() -> None:
    """Section 2.0: a usage chunk without choices completes a stream, so that nothing more need be waited for."""
    translator = ReplyTranslator(ReplyEncoder(Reply(CHAT, "m", arrived=0, streamed=True)))
    translator.open("text/event-stream", 0)
    translator.feed(b'data: {"choices":[{"delta":{"content":"Hi"}}]}\n\n', 1)
    before = translator.finishing
    translator.feed(b'data: {"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":1}}\n\n', 1)
    assert (before, translator.finishing) == (False, True)
    assert b'"done":true' in translator.close(1)


def opened(content_type: str) -> ReplyTranslator:
    translator = ReplyTranslator(ReplyEncoder(Reply(CHAT, "m", arrived=0, streamed=True)))
    translator.open(content_type, 0)
    return translator


def test_f7_f8_progress_of_a_stream() -> None:
    """F7, F8: what counts of a stream are whole events; part of one, or of a line, is told as such."""
    translator = opened("text/event-stream")
    translator.feed(b"\n", 1)
    assert translator.progress() == (1, False)  # nothing yet by which to tell what it is
    seen = []
    for read in (b": ping\n\n", EVENTS, b": pi", b"ng\n", b"data: {}\n", b"\n"):
        translator.feed(read, 2)
        seen.append(translator.progress())
    assert seen == [(0, False), (2, False), (2, True), (2, False), (2, True), (3, False)]


def test_f7_progress_of_a_whole_reply() -> None:
    """F7: a reply that comes whole has no events: its bytes count."""
    translator = opened("application/json")
    translator.feed(WHOLE[:10], 1)
    assert translator.progress() == (10, False)
    translator.feed(WHOLE[10:], 1)
    assert translator.progress() == (len(WHOLE), False)


def test_c4_usage_so_far() -> None:
    """C4: what a backend tells of its usage on the way is known before the end, of whole replies at the end."""
    translator = opened("text/event-stream")
    translator.feed(
        b'data: {"choices":[{"delta":{"content":"Hi"}}],"usage":{"prompt_tokens":3,"completion_tokens":1}}\n\n', 1
    )
    assert translator.facts().usage == Usage(3, 1)
    translator = opened("application/json")
    translator.feed(WHOLE, 1)
    assert translator.facts().usage == Usage()
