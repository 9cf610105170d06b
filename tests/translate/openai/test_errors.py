"""What becomes of a backend's error: status, outcome, Retry-After, and a message that is fit for a client."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ollama_openai_proxy.errors import ModelNotFound, ProxyError, UpstreamRefused, UpstreamUnauthorised
from ollama_openai_proxy.translate.openai.errors import clean, decode_error, named_error, stream_error

KEY = "canary-4711-key"


def refusal(error: ProxyError) -> UpstreamRefused:
    assert isinstance(error, UpstreamRefused)
    return error


@pytest.mark.parametrize(
    ("status", "expected", "outcome"),
    [
        (400, 400, "up_4xx"),
        (402, 402, "up_4xx"),
        (408, 408, "up_4xx"),
        (413, 413, "up_4xx"),
        (418, 418, "up_4xx"),
        (422, 400, "up_4xx"),  # contract 11.6
        (424, 500, "up_4xx"),  # I10: TGI's "generation failed"
        (429, 429, "up_429"),
        (451, 451, "up_4xx"),
        (500, 500, "up_5xx"),
        (502, 502, "up_5xx"),
        (503, 503, "up_5xx"),
        (504, 504, "up_5xx"),
        (520, 502, "up_5xx"),  # I20: Cloudflare's own
        (526, 502, "up_5xx"),
        (529, 503, "up_5xx"),  # I14: Anthropic's "overloaded"
        (599, 502, "up_5xx"),
        (0, 502, "up_5xx"),
        (302, 502, "up_5xx"),
        (999, 502, "up_5xx"),
    ],
)
def test_i20_the_class_of_the_status_is_kept(status: int, expected: int, outcome: str) -> None:
    """I20, contract 11.6: clients see a status that HTTP knows; what has none is a bad gateway."""
    error = decode_error(status, b'{"error":{"message":"no"}}')
    assert (type(error), error.message) == (UpstreamRefused, "no")
    assert (error.status, error.outcome) == (expected, outcome)


def test_i20_any_status_becomes_an_error_that_http_knows() -> None:
    """I20: no status is without its class, and none is an authentication failure of the client."""
    errors = [decode_error(status, b"") for status in range(200, 600)]
    assert {error.status for error in errors} <= set(range(400, 520)) - {401, 403, 407}
    assert all(error.message for error in errors)


def test_a_refusal_for_another_reason_says_it() -> None:
    """Contract 11.6: a 403 is never the client's status, but its message is kept: it may name a region or a filter."""
    error = decode_error(403, b'{"error":{"message":"Country not supported"}}')
    assert (error.status, error.outcome, error.message) == (502, "up_4xx", "Country not supported")
    assert isinstance(decode_error(403, b"<html>Forbidden</html>"), UpstreamUnauthorised)


@pytest.mark.parametrize("status", [401, 407])
def test_i2_our_credentials_are_not_the_clients(status: int) -> None:
    """I2, contract 10.2: a 401 makes clients ask their user to sign in, and its text shows a part of the key."""
    body = b'{"error":{"message":"Incorrect API key provided: sk-ab***yz. You can find your API key at https://x"}}'
    error = decode_error(status, body)
    assert isinstance(error, UpstreamUnauthorised)
    assert (error.status, error.outcome) == (502, "up_4xx")
    assert error.message == "the upstream rejected the proxy's credentials"


@pytest.mark.parametrize(
    ("given", "status", "seconds"),
    [(7, 429, 7), (0, 503, 0), (None, 429, None), (None, 503, 5), (None, 529, 5), (None, 500, None)],
)
def test_i6_i14_retry_after(given: int | None, status: int, seconds: int | None) -> None:
    """I6, I14, contract 11.6: the wait is handed on; a backend that is loading or overloaded is back in a moment."""
    assert decode_error(status, b"", retry_after=given).retry_after == seconds


@pytest.mark.parametrize(("code", "seconds"), [(503, 5), (529, 5), (500, None), (429, None)])
def test_i6_i14_retry_after_within_a_stream(code: int, seconds: int | None) -> None:
    """I6, I14: so is one that says it under status 200."""
    assert stream_error({"message": "no", "code": code}).retry_after == seconds


@pytest.mark.parametrize(
    ("message", "said"),
    [
        pytest.param("a\r\nb\tc  d\x00e\x1b[31mf", "a b c d e [31mf", id="I19 one line, no control characters"),
        pytest.param("a\u2028b\u2029c\u0085d", "a b c d", id="I19 line ends of other scripts"),
        pytest.param("x" * 1_000_000, "x" * 500, id="I19 one million characters"),
        pytest.param(f"key {KEY} rejected, {KEY}!", "key [key] rejected, [key]!", id="I19 our key"),
        pytest.param("key sk-proj-abcDEF123 is wrong", "key [key] is wrong", id="I19 OpenAI's kind of key"),
        pytest.param("密钥sk-proj-abcDEF123错误", "密钥[key]错误", id="I19 a key next to other letters"),
        pytest.param("got Bearer abc.def-ghi here", "got [key] here", id="I19 a header"),
        pytest.param("key AIzaSyA1234567890 expired", "key [key] expired", id="I19 Google's kind of key"),
        pytest.param("at http://user:pw@10.0.0.5:8000/v1?x=1 failed", "at [url] failed", id="I19 URL with userinfo"),
        pytest.param("请求http://vllm.internal/v1失败", "请求[url]", id="I19 a URL next to other letters"),
        pytest.param("see _https://a.internal/x, ok", "see _[url] ok", id="I19 a URL after an underscore"),
        pytest.param("bad\nTraceback (most recent call last):\n  File x", "bad", id="I9 traceback"),
        pytest.param("bad Traceback (most recent call last): File x", "bad", id="I9 traceback on the same line"),
        pytest.param("litellm.X: no\nReceived Model Group=a", "litellm.X: no", id="I9 what LiteLLM adds"),
        pytest.param("2 errors:\n one\n two", "2 errors: one two", id="lines of others"),
        pytest.param("the task-force disk-usage is fine", "the task-force disk-usage is fine", id="no keys"),
        pytest.param("  plain  ", "plain", id="white space around it"),
        pytest.param("a \ud800 b\udfff", "a \ufffd b\ufffd", id="half a surrogate pair"),
        pytest.param("a \ud83d\ude00", "a \N{GRINNING FACE}", id="a surrogate pair"),
    ],
)
def test_i9_i19_messages_are_one_short_line_without_secrets(message: str, said: str) -> None:
    """I19: no key, no URL, no control character, at most 500 characters."""
    assert clean(message, (KEY,)) == said


def test_an_empty_secret_is_no_secret() -> None:
    """A proxy without a key has nothing to hide; the message stays readable."""
    assert clean("plain", ("", KEY)) == "plain"


def test_i19_our_key_is_hidden_wherever_the_error_comes() -> None:
    """I19: as a status, as plain text, in a stream, or as a named event, nested as deep as the vendor likes."""
    body = {"error": {"message": json.dumps({"detail": f"invalid {KEY} for http://{KEY}@host/"})}}
    data = json.dumps(body).encode()
    errors = [
        decode_error(400, data, secrets=(KEY,)),
        decode_error(500, KEY.encode(), secrets=(KEY,)),
        stream_error(body["error"], (KEY,)),
        named_error(data, (KEY,)),
    ]
    assert [error.message for error in errors] == ["invalid [key] for [url]", "[key]", *["invalid [key] for [url]"] * 2]


@pytest.mark.parametrize(
    ("error", "status", "message"),
    [
        pytest.param({"message": "no", "code": 429}, 429, "no", id="I4 code is a number"),
        pytest.param({"message": "no", "code": "503"}, 503, "no", id="I9 code is text"),
        pytest.param({"message": "no", "status": 529}, 503, "no", id="I14 status"),
        pytest.param({"message": "no", "statusCode": 429}, 429, "no", id="I8 statusCode"),
        pytest.param({"message": "no", "status_code": 422}, 400, "no", id="status_code"),
        pytest.param({"message": "no", "code": "server_error"}, 502, "no", id="I7 code is a word"),
        pytest.param({"message": "no", "code": 200}, 502, "no", id="code is no error"),
        pytest.param({"message": "no", "code": 4040}, 502, "no", id="code is no status"),
        pytest.param({"message": "no", "code": "4" * 5000}, 502, "no", id="code has thousands of digits"),
        pytest.param({"message": "no", "code": None, "status": 400}, 400, "no", id="null, then another name"),
        pytest.param({"message": "no"}, 502, "no", id="no code"),
        pytest.param("no", 502, "no", id="I16 text"),
        pytest.param({}, 502, "the upstream reported an error", id="empty"),
        pytest.param({"type": "overloaded_error"}, 503, "the upstream reported an error", id="I14 no message"),
        pytest.param({"message": "no", "type": "rate_limit_error"}, 429, "no", id="I18 a type alone"),
        pytest.param({"message": "no", "type": "x", "code": "rate_limit_exceeded"}, 429, "no", id="I18 a word as code"),
        pytest.param({"message": "no", "type": "not_found_error", "code": 400}, 400, "no", id="a number before a type"),
        pytest.param({"message": "no", "type": "tokens", "code": []}, 502, "no", id="kinds of nothing known"),
        pytest.param(True, 502, "the upstream reported an error", id="true"),
        pytest.param(["a", {"message": "b"}], 502, "a; b", id="several"),
    ],
)
def test_an_error_in_a_stream_says_its_status_itself(error: Any, status: int, message: str) -> None:
    """I7, I18: under status 200 the error object's own code is the status, if it is one."""
    translated = refusal(stream_error(error))
    assert (translated.status, translated.message) == (status, message)
    assert translated.outcome == "up_midstream_error"


@pytest.mark.parametrize("code", [401, pytest.param("401", id="text"), 407, "invalid_api_key"])
def test_rejected_credentials_in_a_stream_are_ours(code: Any) -> None:
    """I2: the code of an error object is treated like the status."""
    assert isinstance(stream_error({"message": "bad key", "code": code}), UpstreamUnauthorised)


@pytest.mark.parametrize(
    ("data", "status", "message"),
    [
        pytest.param(b'{"code":400,"details":"Detected PII"}', 400, "Detected PII", id="I17 guardrails"),
        pytest.param(b'{"error":{"message":"no","code":500}}', 500, "no", id="LM Studio"),
        pytest.param(b'{"error":"no"}', 502, "no", id="text"),
        pytest.param(b"something broke", 502, "something broke", id="no JSON"),
        pytest.param(b'{"error":{"mess', 502, "the upstream reported an error", id="half"),
        pytest.param(b"[1]", 502, "the upstream reported an error", id="a list"),
        pytest.param(b"null", 502, "the upstream reported an error", id="null"),
    ],
)
def test_an_event_named_error_is_one(data: bytes, status: int, message: str) -> None:
    """I17: an orchestrator names its event `error` and needs no `error` in it (eca#559: ignored, the chat hangs)."""
    translated = refusal(named_error(data))
    assert (translated.status, translated.message) == (status, message)


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["error", "message", "detail", "code", "loc", "msg", "metadata", "raw"]), inner
        )
    ),
    max_leaves=12,
)


@settings(max_examples=150, deadline=None)
@given(JSON_VALUES, st.sampled_from([400, 404, 422, 500]))
def test_i13_any_json_becomes_a_message_that_is_one_short_line(value: Any, status: int) -> None:
    """I13: no shape breaks the extractor, and none gets more than a line of text to the client."""
    body = json.dumps(value).encode()
    for error in (decode_error(status, body, model="m"), stream_error(value), named_error(body)):
        assert isinstance(error, UpstreamRefused | ModelNotFound)
        assert 0 < len(error.message) <= 500
        assert len(error.message.splitlines()) == 1


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=60), st.integers(100, 600))
def test_i13_any_bytes_become_an_error(body: bytes, status: int) -> None:
    """I13: whatever a broken backend sends, the answer is an error in our words."""
    assert decode_error(status, body, model="m").message


@pytest.mark.parametrize("key", ["error", "message", "detail"])
@pytest.mark.parametrize("depth", [100, 1000, 2000, 50_000])
def test_an_error_that_is_nested_too_deep_is_generic(key: str, depth: int) -> None:
    """A bomb of brackets is no message, and breaks nothing."""
    bomb = b'{"%s":' % key.encode() * depth + b'"x"' + b"}" * depth
    assert decode_error(500, bomb).message == "the upstream answered with status 500"
    assert decode_error(500, b"[" * depth + b'"x"' + b"]" * depth).message == "the upstream answered with status 500"
