"""Replies of backends: which shape they have, and errors within them (rows E13 to E15, G13 to G16, I2 to I19)."""

from __future__ import annotations

import json

import pytest

from ollama_openai_proxy.errors import UpstreamBroken, UpstreamError, UpstreamRefused, UpstreamUnauthorised
from ollama_openai_proxy.translate.events import Event, TextDelta
from ollama_openai_proxy.translate.openai.reply import StreamDecoder, WholeDecoder, decoder_for
from support.decoding import DONE, JSON, SSE, STOP, Told, decode, delta, sse, tell, told

USAGE = {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2}}
WHOLE = json.dumps(
    {"choices": [{"message": {"content": "Hi"}, "finish_reason": "stop"}], "usage": USAGE["usage"]}
).encode()


def failure(stream: bytes, content_type: str = SSE) -> UpstreamError:
    with pytest.raises(UpstreamError) as caught:
        decode(stream, content_type=content_type)
    return caught.value


@pytest.mark.parametrize(
    "content_type",
    [
        pytest.param("text/event-stream", id="as it should be"),
        pytest.param("Text/Event-Stream;charset=utf8", id="E15 with a charset"),
        pytest.param("text/plain", id="E15 text/plain"),
        pytest.param("", id="E15 absent"),
        pytest.param("application/octet-stream", id="E15 binary"),
        pytest.param("application/json", id="E15 JSON"),
    ],
)
@pytest.mark.parametrize(
    "start",
    [b"", b"\xef\xbb\xbf", b": ping\n\n", b"\n", b"event: message\n", b"id: 1\n", b"retry: 9\n"],
    ids=repr,
)
def test_an_event_stream_is_known_by_its_type_or_its_first_byte(content_type: str, start: bytes) -> None:
    """E15: many backends and gateways mislabel their streams."""
    assert tell(decode(start + sse(delta("Hi"), STOP), content_type=content_type)) == Told(text="Hi", reason="stop")


@pytest.mark.parametrize("content_type", ["application/json", "application/json; charset=utf-8", "text/plain", "", SSE])
@pytest.mark.parametrize("start", [b"", b"\xef\xbb\xbf", b"\n  "], ids=repr)
def test_a_whole_reply_is_taken_although_a_stream_was_asked_for(content_type: str, start: bytes) -> None:
    """E13, G16: no event begins with a brace, so that is JSON, whatever its type."""
    assert tell(decode(start + WHOLE, content_type=content_type)) == Told(text="Hi", usage=(3, 2), reason="stop")


@pytest.mark.parametrize(
    ("content_type", "start"),
    [
        pytest.param("text/html", b"<html>", id="E14 a page"),
        pytest.param("text/html; charset=utf-8", b"data: {}", id="E14 by its type alone"),
        pytest.param("image/png", b"\x89PNG", id="an image"),
        pytest.param("audio/mpeg", b"ID3", id="sound"),
        pytest.param("application/json", b"<html>", id="a page that says it is JSON"),
        pytest.param("", b"\n<!DOCTYPE html>", id="a page without a type"),
    ],
)
def test_a_page_is_no_reply(content_type: str, start: bytes) -> None:
    """E14: a captive portal's or a gateway's page is refused, not relayed as text."""
    with pytest.raises(UpstreamBroken, match=r"^unexpected content type from upstream$"):
        decoder_for(content_type, start)


def test_json_that_begins_with_white_space_is_json_by_its_type() -> None:
    """OpenRouter keeps connections alive with white space before a whole reply."""
    assert tell(decode(b"\n", b"  ", WHOLE, content_type=JSON)).text == "Hi"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        pytest.param(b'{"choices":[{"message":{"content":"Hi"', "the upstream sent invalid JSON", id="F4 cut short"),
        pytest.param(b'{"choices":[]}', "empty response from upstream", id="E10 no choice"),
        pytest.param(b"{}", "empty response from upstream", id="E10 nothing in it"),
        pytest.param(b"\n \n", "empty response from upstream", id="E10 space"),
        pytest.param(b'{"response":"Hi"}\n{"response":"!"}\n', "the upstream sent invalid JSON", id="G16 NDJSON"),
        pytest.param(b'{"choices":[]}{"choices":[]}', "the upstream sent invalid JSON", id="G16 concatenated"),
        pytest.param(b"[]", "the upstream sent invalid JSON", id="a list"),
        pytest.param(b'{"error":{"code":402,"message":"no credits"}}', "no credits", id="I7 only an error"),
    ],
)
def test_a_whole_reply_that_is_none_is_an_error(body: bytes, message: str) -> None:
    """F4, G16, I7: half a body, another API's, or an error under status 200 is never an empty answer."""
    assert failure(body, JSON).message == message


def test_a_whole_reply_without_a_finish_reason_is_whole() -> None:
    """The JSON is complete, so is the answer (G10): nothing more will come."""
    assert tell(decode(b'{"choices":[{"message":{"content":"Hi"}}]}', content_type=JSON)).reason == "stop"


LINE = b'{"response":"Hi","done":false}'


@pytest.mark.parametrize(
    "reads",
    [
        pytest.param((LINE + b"\n" + LINE[:1],), id="at once"),
        pytest.param((LINE, b"\r\n", b" ", b"{"), id="in pieces"),
        pytest.param((b"\xef\xbb\xbf\n\n ", b"\n", LINE[:9], LINE[9:] + b"\n\n", LINE), id="after space"),
        pytest.param((b"[]\n", b"data: {}\n\n"), id="something else"),
    ],
)
def test_g16_the_second_line_of_another_protocol_is_refused(reads: tuple[bytes, ...]) -> None:
    """G16: a line that is JSON by itself, with more after it, is no completion: nobody waits for the end of that."""
    decoder = WholeDecoder()
    for read in reads[:-1]:
        decoder.feed(read, [])
    with pytest.raises(UpstreamBroken, match=r"^the upstream sent invalid JSON$"):
        decoder.feed(reads[-1], [])
    assert decoder.odd == {"invalid_json": 1}


@pytest.mark.parametrize("reads", [(WHOLE + b"\n", b"\r\n "), (WHOLE, b"\n"), (b"\n \n" + WHOLE,)])
def test_line_ends_around_a_whole_reply_are_nothing(reads: tuple[bytes, ...]) -> None:
    """G16: what is written with a line end at its end, as many servers do, is one value all the same."""
    assert tell(decode(*reads, content_type=JSON)).text == "Hi"


def test_a_whole_reply_may_be_printed_over_many_lines() -> None:
    """G16: a first line that is no JSON by itself tells nothing of the next."""
    pretty = json.dumps(json.loads(WHOLE), indent=2).encode()
    assert tell(decode(*(pretty[at : at + 1] for at in range(len(pretty))), content_type=JSON)).text == "Hi"


def test_an_event_too_large_ends_the_stream_after_what_came_before() -> None:
    """G13: more than 16 MiB in one event is refused; the text before it is kept."""
    decoder = StreamDecoder()
    events: list[Event] = []
    with pytest.raises(UpstreamBroken, match=r"^the upstream sent an event that is too large$"):
        decoder.feed(sse(delta("Hi")) + sse(delta("x" * (16 * 2**20))), events)
    assert events == [TextDelta("Hi")]


@pytest.mark.parametrize("size", [1_200_000, 10_000_000])
def test_large_events_are_taken_in_small_reads(size: int) -> None:
    """G13, G15: one event of 10 MB in reads of 64 KB arrives whole."""
    stream = sse(delta("x" * size), STOP)
    reads = [stream[at : at + 65536] for at in range(0, len(stream), 65536)]
    assert len(tell(decode(*reads)).text) == size


@pytest.mark.parametrize(
    ("stream", "status", "message"),
    [
        pytest.param(sse({"error": {"message": "no", "code": 429}}), 429, "no", id="I18 first event"),
        pytest.param(sse(delta("Hi"), {"error": {"message": "no", "code": 500}}, DONE), 500, "no", id="I5 vLLM"),
        pytest.param(sse(delta("Hi"), {"error": "no"}), 502, "no", id="I16 text"),
        pytest.param(sse({"object": "error", "message": "no", "code": 400}), 400, "no", id="I4 older vLLM"),
        pytest.param(b'event: error\ndata: {"code":400,"details":"no"}\n\n', 400, "no", id="I17 named"),
        pytest.param(sse(delta("Hi", "error") | {"error": {"message": "no"}}), 502, "no", id="I7 OpenRouter"),
    ],
)
def test_an_error_in_the_stream_ends_it(stream: bytes, status: int, message: str) -> None:
    """I4, I5, I7, I16 to I18: an error under status 200 is an error with the status it names."""
    error = failure(stream)
    assert isinstance(error, UpstreamRefused)
    assert (error.status, error.message, error.outcome) == (status, message, "up_midstream_error")


@pytest.mark.parametrize("data", ["garbage", "{bad", "null", "42", '["x"]', '"Hi"', "{}{}", "[DONE] or not"])
def test_an_event_that_is_no_chunk_ends_the_stream(data: str) -> None:
    """H1, H2: tokens must not be lost silently with an event that can't be read."""
    error = failure(sse(delta("Hi"), data, STOP, DONE))
    assert (error.message, error.outcome, error.status) == ("the upstream sent invalid JSON", "up_protocol", 502)


def test_rejected_credentials_in_a_stream_are_the_proxys() -> None:
    """I2: the code in the error object is as good as a status."""
    assert isinstance(failure(sse({"error": {"message": "bad key", "code": 401}})), UpstreamUnauthorised)


@pytest.mark.parametrize("nothing", [None, {}, "", False, []], ids=repr)
def test_an_error_field_that_is_empty_is_none(nothing: object) -> None:
    """Some backends have the field in every chunk."""
    assert told({**delta("Hi"), "error": nothing}, STOP).text == "Hi"


@pytest.mark.parametrize("make", [sse, lambda error: json.dumps(error).encode()], ids=["stream", "whole"])
def test_our_key_does_not_leave_in_a_streams_error(make: object) -> None:
    """I19: what the backend repeats of our key is hidden, in a stream too."""
    assert callable(make)
    with pytest.raises(UpstreamRefused) as caught:
        decode(
            make({"error": {"message": "bad canary-key at https://host/x"}}), content_type="", secrets=("canary-key",)
        )
    assert caught.value.message == "bad [key] at [url]"
