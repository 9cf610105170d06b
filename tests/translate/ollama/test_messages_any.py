"""Any conversation becomes one that a chat completion takes, or a bad request."""

from __future__ import annotations

import base64
from itertools import takewhile
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from ollama_openai_proxy.errors import InvalidRequest
from ollama_openai_proxy.translate.ollama.messages import conversation
from ollama_openai_proxy.translate.ollama.wire import ChatRequest, decode

PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(8)).decode()
IDS = st.sampled_from([None, "", "a", "b", "call_00000000", "call_00000001"])
NAMES = st.sampled_from([None, "", "f", "g"])
FUNCTIONS = st.fixed_dictionaries({"name": NAMES, "arguments": st.sampled_from([None, {}, {"a": 1}])})
CALLS = st.fixed_dictionaries({"id": IDS}, optional={"function": FUNCTIONS, "type": st.just("function")})
SAID = {
    "content": st.sampled_from([None, "", "Hi", "<think>hm</think>4", "<think>"]),
    "images": st.sampled_from([None, [], [None, ""], [PNG], [PNG, None, PNG]]),
}
MESSAGES = st.one_of(
    st.fixed_dictionaries({"role": st.sampled_from(["user", "User", "system"])}, optional=SAID),
    st.fixed_dictionaries(
        {"role": st.just("assistant"), "tool_calls": st.lists(CALLS, max_size=3)},
        optional={"thinking": st.sampled_from([None, "", "hm"]), **SAID},
    ),
    st.fixed_dictionaries(
        {"role": st.sampled_from(["tool", "TOOL"])}, optional={"tool_name": NAMES, "tool_call_id": IDS, **SAID}
    ),
)
WRONG = st.sampled_from([None, {}, {"role": "usr"}, {"role": "user", "images": ["x"]}, {"role": "tool", "content": 1}])


def check_history(history: list[dict[str, Any]]) -> None:
    """Check what OpenAI's API wants of messages, https://platform.openai.com/docs/api-reference/chat/create."""
    seen: set[str] = set()
    for at, message in enumerate(history):
        assert message["role"] == message["role"].lower() != ""
        calls = [call["id"] for call in message.get("tool_calls", [])]
        results = takewhile(lambda other: other["role"] == "tool", history[at + 1 :])
        if message["role"] != "tool":
            assert sorted(result["tool_call_id"] for result in results) == sorted(calls)
            assert all(calls)
            assert seen.isdisjoint(calls)
            assert len(set(calls)) == len(calls)
            seen.update(calls)
        assert message["content"] is not None or calls
        assert message["content"] != []
        assert all(
            isinstance(msgspec.json.decode(call["function"]["arguments"]), dict) for call in message_calls(message)
        )
    assert not history or history[0]["role"] != "tool"


def message_calls(message: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the calls of a message, none if it makes none; an empty list is never sent."""
    assert message.get("tool_calls") != []
    calls: list[dict[str, Any]] = message.get("tool_calls", [])
    return calls


def conversed(messages: list[Any], *, strip_thoughts: bool = False) -> list[dict[str, Any]]:
    """Return the upstream's messages as JSON reads them."""
    asked = decode(msgspec.json.encode({"messages": messages}), ChatRequest)
    history = conversation(asked.messages or [], strip_thoughts=strip_thoughts)
    decoded: list[dict[str, Any]] = msgspec.json.decode(msgspec.json.encode(history))
    return decoded


@given(st.lists(MESSAGES, max_size=8), st.booleans())
def test_any_messages_are_a_valid_history(messages: list[Any], strip_thoughts: bool) -> None:
    """Contract 11.3: each call is answered exactly once, right behind its turn, and each result answers one call."""
    check_history(conversed(messages, strip_thoughts=strip_thoughts))


@given(st.lists(MESSAGES | WRONG, max_size=8))
def test_what_is_no_history_is_a_bad_request(messages: list[Any]) -> None:
    """Row B4: what can't be translated is refused in words, whatever stands around it."""
    try:
        history = conversed(messages)
    except InvalidRequest:
        return
    check_history(history)


@given(st.lists(MESSAGES, max_size=8))
def test_nothing_that_was_said_is_lost(messages: list[Any]) -> None:
    """Rule R16: messages are merged and matched, but each text is still there, in its order but for results by id."""
    sent = [message["content"] for message in messages if message.get("content")]
    found = [text for message in conversed(messages) for text in texts(message["content"])]
    assert sorted(found) == sorted(sent)
    assert found == sent or any(message.get("tool_call_id") for message in messages)


def texts(content: Any) -> list[str]:
    """Return the texts of a content that are not empty."""
    if isinstance(content, str):
        return [content] if content else []
    return [part["text"] for part in content or () if part["type"] == "text"]
