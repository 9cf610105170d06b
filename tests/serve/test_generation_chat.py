"""A chat, end to end: what an alias puts before it, what the backend is asked, and who refuses what (contract 5.8)."""

from __future__ import annotations

from typing import Any

import pytest

from support.proxy import HELLO, proxied
from support.replies import DONE, HI, body, delta, finish, streamed

TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}
UNTYPED = {"function": {"name": "f"}}
PARAMETERS = "ToolFunctionParameters.tools.function.parameters"
CALL = {"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": {"a": 1}}}]}


async def sent(profile: str, **asked: Any) -> dict[str, Any]:
    """Return what a backend of a profile is sent for a chat."""
    async with proxied(upstream_profile=profile) as proxy:
        proxy.upstream.script("m", HI)
        response = await proxy.chat(**asked)
        assert (response.status, response.lines[-1]["done"]) == (200, True)
        (post,) = proxy.upstream.posts
        found: dict[str, Any] = post.json
        return found


@pytest.mark.parametrize(
    ("profile", "think", "member", "value"),
    [
        ("deepseek", True, "thinking", {"type": "enabled"}),
        ("dashscope", False, "enable_thinking", False),
        ("openrouter", "low", "reasoning", {"effort": "low"}),
        ("sglang", False, "chat_template_kwargs", {"enable_thinking": False}),
        ("ollama", "max", "reasoning_effort", "max"),
    ],
)
async def test_think_is_said_in_the_backends_words(profile: str, think: object, member: str, value: object) -> None:
    """Contract 3.2, 11.1: UPSTREAM_PROFILE names the dialect."""
    assert (await sent(profile, think=think))[member] == value


async def test_a_history_is_whole() -> None:
    """Contract 11.1, 11.3: past thinking, calls and results arrive as this backend documents them."""
    history = [*HELLO, {**CALL, "thinking": "hm"}, {"role": "tool", "content": "1", "tool_name": "f"}]
    found = await sent("deepseek", messages=history, tools=[None, UNTYPED])
    (_, turn, result) = found["messages"]
    assert turn["reasoning_content"] == "hm"
    assert result == {"role": "tool", "tool_call_id": turn["tool_calls"][0]["id"], "content": "1", "name": "f"}
    assert found["tools"] == [TOOL]


async def test_a_null_among_calls_does_not_end_the_chat() -> None:
    """Contract 1.7: null is a call of which nothing is known; what else was said goes on."""
    found = await sent("generic", messages=[{"role": "assistant", "content": "Hi", "tool_calls": [None]}, *HELLO])
    assert found["messages"] == [{"role": "assistant", "content": "Hi"}, *HELLO]


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (
            {"tools": [{"function": {"name": "f", "parameters": {"type": ["object"]}}}]},
            f"json: cannot unmarshal array into Go struct field {PARAMETERS}.type of type string",
        ),
        (
            {"messages": [{"role": "assistant", "tool_calls": [{"function": {"arguments": "{}"}}]}]},
            "Value looks like object, but can't find closing '}' symbol",
        ),
    ],
)
async def test_what_can_not_be_parsed_is_refused_before_the_model_is_looked_for(
    asked: dict[str, Any], message: str
) -> None:
    """Contract 5.8: parsing comes first, whatever the model; nothing reaches the backend."""
    async with proxied() as proxy:
        response = await proxy.chat("nobody's", **asked)
        assert (response.status, response.json) == (400, {"error": message})
        assert proxy.upstream.posts == []


async def test_the_backends_refusal_to_think_is_told() -> None:
    """Contract 1.9: what a model that nobody knows more of refuses, it refuses in its own words."""
    words = "Unrecognized request argument supplied: reasoning_effort"
    async with proxied() as proxy:
        proxy.upstream.script("m", body({"error": {"message": words}}, 400))
        response = await proxy.chat(think=True)
        assert (response.status, response.json) == (400, {"error": words})


async def test_thinking_is_hidden_where_it_was_not_wanted() -> None:
    """ADR 6: false is never an error, and what a model thinks all the same is not shown."""
    async with proxied() as proxy:
        proxy.upstream.script("m", streamed(delta(reasoning_content="hm"), delta(content="Hi"), finish(), DONE))
        response = await proxy.chat(think=False)
        assert [line["message"] for line in response.lines[:1]] == [{"role": "assistant", "content": "Hi"}]
        assert "reasoning_effort" not in proxy.upstream.posts[0].json


async def test_logprobs_without_alternatives() -> None:
    """Contract 3.8, 11.1: llama.cpp is asked for one alternative, which nobody wanted and nobody sees."""
    entry = {"token": "Hi", "logprob": -0.1, "bytes": [72, 105]}
    chunk = {
        "object": "chat.completion.chunk",
        "choices": [
            {
                "index": 0,
                "delta": {"content": "Hi"},
                "logprobs": {"content": [{**entry, "top_logprobs": [entry]}]},
                "finish_reason": "stop",
            }
        ],
    }
    async with proxied(upstream_profile="llamacpp") as proxy:
        proxy.upstream.script("m", body(chunk))
        response = await proxy.chat(logprobs=True, stream=False)
        assert proxy.upstream.posts[0].json["top_logprobs"] == 1
        assert response.json["logprobs"] == [entry]


async def test_an_alias_speaks_first() -> None:
    """Contract 5.8: its system prompt and its messages stand before the request's, its options below them."""
    made = {
        "model": "mine",
        "from": "m",
        "system": "Be brief.",
        "parameters": {"temperature": 0.25, "seed": 7},
        "messages": [{"role": "user", "content": "2+2?"}, {"role": "assistant", "content": "4"}],
        "stream": False,
    }
    async with proxied() as proxy:
        assert (await proxy.ask("POST", "/api/create", made)).status == 200
        proxy.upstream.script("m", HI)
        assert (await proxy.chat("mine", options={"seed": 8})).status == 200
        found = proxy.upstream.posts[0].json
        assert [message["content"] for message in found["messages"][:3]] == ["Be brief.", "2+2?", "4"]
        assert (found["model"], found["temperature"], found["seed"]) == ("m", 0.25, 8)


@pytest.mark.parametrize("asked", [{"messages": []}, {"messages": [], "keep_alive": 0}, {"messages": None}])
async def test_an_alias_is_loaded_without_a_word(asked: dict[str, Any]) -> None:
    """Contract 5.8: a request without messages loads or unloads: what the alias has to say is not a prompt."""
    async with proxied() as proxy:
        made = {"model": "mine", "from": "m", "system": "Be brief.", "stream": False}
        assert (await proxy.ask("POST", "/api/create", made)).status == 200
        response = await proxy.chat("mine", **asked)
        assert response.json["done_reason"] == ("unload" if "keep_alive" in asked else "load")
        assert proxy.upstream.posts == []
