"""Calls of past turns: their arguments, and who answers them (contract 3.6, 11.3)."""

from __future__ import annotations

import pytest

from ollama_openai_proxy.errors import InvalidRequest
from ollama_openai_proxy.translate.ollama.calls import OpenCalls, arguments_of, check_arguments
from ollama_openai_proxy.translate.ollama.wire import ChatRequest, Message, ToolCall, decode


def messages(function: str) -> list[Message]:
    """Return an assistant's turn with one call."""
    body = f'{{"messages":[{{"role":"user"}},{{"role":"assistant","tool_calls":[{{"function":{function}}}]}}]}}'
    return decode(body.encode(), ChatRequest).messages or []


@pytest.mark.parametrize("arguments", ['"{}"', '"x"', "[]", "[{}]", "1", "true"])
def test_arguments_that_are_no_object(arguments: str) -> None:
    """Contract 1.7: the words are those that agents know from arguments in a string."""
    with pytest.raises(InvalidRequest) as caught:
        check_arguments(messages(f'{{"name":"f","arguments":{arguments}}}'))
    expected = "Value looks like object, but can't find closing '}' symbol"
    assert (caught.value.message, caught.value.status) == (expected, 400)


@pytest.mark.parametrize("arguments", ["{}", '{"a":{"b":[1]}}', "null"])
def test_arguments_that_are_one(arguments: str) -> None:
    """Contract 3.6: an object, or null for an empty one."""
    check_arguments(messages(f'{{"name":"f","arguments":{arguments}}}'))
    check_arguments(None)
    check_arguments([Message(role="user")])


def test_arguments_of_no_function() -> None:
    """Contract 3.6: none are an empty object."""
    assert arguments_of(ToolCall()) == "{}"


def test_each_call_is_taken_once() -> None:
    """Contract 11.3: by the id that the client knows, by name, by order, until none is left."""
    calls = OpenCalls()
    calls.add("a", "f")
    calls.add("new", "f", sent_as="a")
    calls.add("c", "g")
    assert [calls.take("a", None), calls.take("a", "g"), calls.take(None, "g")] == ["a", "new", "c"]
    assert calls.take("a", "f") is None
    assert calls.left() == []
