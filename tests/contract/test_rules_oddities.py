"""What clients send that a backend must never see (clients.md, section 4): one test a row, on what the backend got."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from contract.backends import ABLE, PLAIN, ask, facing, sent
from contract.wire import DOT, tool, user
from support.replies import HI

HI_THERE = [user("Hi")]
CALL = {"function": {"name": "f", "arguments": {"a": 1}}}
PICTURES = {
    "image/png": base64.b64decode(DOT),
    "image/jpeg": b"\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01" + b"\x00" * 16,
    "image/gif": b"GIF89a\x01\x00\x01\x00\x80\x00\x00" + b"\x00" * 16,
    "image/webp": b"RIFF\x1a\x00\x00\x00WEBPVP8L\x0d\x00\x00\x00" + b"\x00" * 16,
}


@pytest.mark.parametrize("tools", [[], None])
async def test_empty_tools(tools: object) -> None:
    """ollama-python and n8n send `tools: []`: the key is dropped."""
    async with facing() as proxy:
        assert "tools" not in await sent(proxy, "/api/chat", messages=HI_THERE, tools=tools)


async def test_empty_images_without_a_type() -> None:
    """LiteLLM sends `images: []` and no Content-Type: dropped, and parsed all the same."""
    async with facing() as proxy:
        proxy.upstream.script("m", HI)
        for path, fields in (
            ("/api/chat", {"messages": [user("Hi", images=[])]}),
            ("/api/generate", {"prompt": "Hi", "images": []}),
        ):
            reply = await proxy.ask("POST", path, json.dumps({"model": "m", **fields}).encode())
            assert reply.status == 200
            assert proxy.upstream.posts[-1].json["messages"] == HI_THERE


@pytest.mark.parametrize("turn", [{}, {"content": None}, {"content": ""}], ids=["absent", "null", "empty"])
async def test_assistant_without_content(turn: dict[str, Any]) -> None:
    """ollama-python leaves the content of a call out, gptel sends null: the backend gets the key, text or null."""
    turns = [user("Go"), {"role": "assistant", **turn, "tool_calls": [CALL]}, {"role": "tool", "content": "ok"}]
    async with facing(ABLE) as proxy:
        called = (await sent(proxy, "/api/chat", model="able", messages=turns))["messages"][1]
        assert called["content"] in ("", None)
        assert len(called["tool_calls"]) == 1


async def test_results_without_ids() -> None:
    """Home Assistant and LangChain.js send results without any id: they belong to the calls in order."""
    other = {"function": {"name": "g", "arguments": {}}}
    turns = [
        user("Go"),
        {"role": "assistant", "content": "", "tool_calls": [CALL, other]},
        {"role": "tool", "content": "one"},
        {"role": "tool", "content": "two"},
    ]
    async with facing(ABLE) as proxy:
        first = (await sent(proxy, "/api/chat", model="able", messages=turns))["messages"]
        ids = [call["id"] for call in first[1]["tool_calls"]]
        assert [turn["tool_call_id"] for turn in first[2:]] == ids
        assert [turn["content"] for turn in first[2:]] == ["one", "two"]
        assert (await sent(proxy, "/api/chat", model="able", messages=turns))["messages"] == first  # deterministic
        named = [*turns[:2], {**turns[3], "tool_name": "g"}, {**turns[2], "tool_name": "f"}]
        swapped = (await sent(proxy, "/api/chat", model="able", messages=named))["messages"]
        assert {turn["tool_call_id"]: turn["content"] for turn in swapped[2:]} == {ids[0]: "one", ids[1]: "two"}


async def test_calls_of_native_clients() -> None:
    """Native clients send calls without id or type and arguments as an object: all three are made right."""
    turns = [user("Go"), {"role": "assistant", "tool_calls": [CALL]}, {"role": "tool", "content": "ok"}]
    async with facing(ABLE) as proxy:
        (call,) = (await sent(proxy, "/api/chat", model="able", messages=turns))["messages"][1]["tool_calls"]
        assert call["id"]
        assert call["type"] == "function"
        assert call["function"]["name"] == "f"
        assert json.loads(call["function"]["arguments"]) == {"a": 1}


async def test_images_in_turns_of_their_own() -> None:
    """LangChain.js sends a picture as a user turn without text: the backend gets no empty part, and both turns."""
    turns = [user("What is this?"), user("", images=[DOT])]
    async with facing(ABLE) as proxy:
        messages = (await sent(proxy, "/api/chat", model="able", messages=turns))["messages"]
        parts = [
            part
            for turn in messages
            for part in (turn["content"] if isinstance(turn["content"], list) else [{"text": turn["content"]}])
        ]
        assert [part.get("text") for part in parts if "image_url" not in part] == ["What is this?"]
        assert len([part for part in parts if "image_url" in part]) == 1
        assert {turn["role"] for turn in messages} == {"user"}


async def test_results_as_text() -> None:
    """Roo sends the results of tools as text of the user: it is passed through."""
    turns = [user("Go"), {"role": "assistant", "content": "<read/>"}, user("[read] Result:\nok")]
    async with facing() as proxy:
        assert (await sent(proxy, "/api/chat", messages=turns))["messages"] == turns


async def test_options_of_other_surfaces() -> None:
    """Goose's `options` never reach a backend as such, nor does `num_ctx` a backend that has no such parameter."""
    async with facing(upstream_profile="openai") as proxy:
        asked = await sent(proxy, "/api/chat", messages=HI_THERE, options={"num_ctx": 8192, "temperature": 0.5})
        assert not {"options", "num_ctx", "keep_alive"} & {*asked}
        assert asked["temperature"] == 0.5


async def test_parameters_at_the_top() -> None:
    """Vercel sends parameters beside the options and `think: false`: ignored, and no error on a model without it."""
    extras: dict[str, Any] = {"temperature": 0.1, "top_p": 0.2, "max_output_tokens": 7, "think": False}
    async with facing(PLAIN) as proxy:
        asked = await sent(proxy, "/api/chat", model="plain", messages=HI_THERE, **extras)
        assert not {"temperature", "top_p", "max_output_tokens", "think"} & {*asked}


async def test_think_of_the_cli() -> None:
    """The CLI sends `think: true` where `thinking` is listed: the backend is told, in its words."""
    async with facing(ABLE, upstream_profile="openrouter") as proxy:
        asked = await sent(proxy, "/api/chat", model="able", messages=HI_THERE, think=True)
        assert "reasoning" in asked
        assert "think" not in asked


@pytest.mark.parametrize("num_ctx", [131072, 2**31 - 1, 1, 0, 8192.0])
async def test_large_context(num_ctx: float) -> None:
    """Obsidian Copilot asks for 131072: a hint, never refused for its size."""
    async with facing() as proxy:
        for path in ("/api/chat", "/api/generate"):
            await sent(proxy, path, messages=HI_THERE, prompt="Hi", options={"num_ctx": num_ctx})


@pytest.mark.parametrize("value", ["-1s", -1, 1800, "5m", 0, 0.0, "1h30m", "0"], ids=repr)
async def test_keep_alive_forms(value: object) -> None:
    """Times come as texts and numbers: each is taken, and none reaches the backend."""
    async with facing() as proxy:
        assert "keep_alive" not in await sent(proxy, "/api/chat", messages=HI_THERE, keep_alive=value)
        listed = (await proxy.ask("GET", "/api/ps")).json["models"]
        assert bool(listed) == (value not in (0, "0"))


@pytest.mark.parametrize("media", PICTURES)
async def test_images_by_their_bytes(media: str) -> None:
    """Images come as base64 without a type: the bytes tell it, and the backend gets a data URL with the same bytes."""
    data = base64.b64encode(PICTURES[media]).decode()
    async with facing(ABLE) as proxy:
        for path, fields in (
            ("/api/chat", {"messages": [user("Look", images=[data])]}),
            ("/api/generate", {"prompt": "Look", "images": [data]}),
        ):
            parts = (await sent(proxy, path, model="able", **fields))["messages"][-1]["content"]
            urls = [part["image_url"]["url"] for part in parts if part["type"] == "image_url"]
            assert urls == [f"data:{media};base64,{data}"]


async def test_image_as_a_data_url() -> None:
    """A data URL in `images` is what Ollama refuses (contract 1.7): 400 with Go's words, and nothing is sent."""
    async with facing(ABLE) as proxy:
        turns = [user("Look", images=[f"data:image/png;base64,{DOT}"])]
        reply = await ask(proxy, "/api/chat", model="able", messages=turns)
        assert (reply.status, reply.json) == (400, {"error": "illegal base64 data at input byte 4"})
        assert proxy.upstream.posts == []


@pytest.mark.parametrize(
    "fields", [{"name": "m"}, {"model": "m"}, {"model": "", "name": "m"}, {"model": "m", "name": ""}]
)
async def test_model_or_name(fields: dict[str, str]) -> None:
    """The CLI, ollama-js, LiteLLM and Continue send `name`, or one of both empty: the first that is not empty wins."""
    async with facing() as proxy:
        assert (await proxy.ask("POST", "/api/show", fields)).status == 200
        assert (await proxy.ask("POST", "/api/pull", {**fields, "stream": False})).json == {"status": "success"}
        swapped = {key: value.replace("m", "twin") for key, value in fields.items()}
        created = await proxy.ask("POST", "/api/create", {**swapped, "from": "m", "stream": False})
        assert created.json == {"status": "success"}
        assert (await proxy.ask("DELETE", "/api/delete", swapped)).status == 200


async def test_two_names() -> None:
    """With both filled, `model` wins."""
    async with facing({"id": "m"}, {"id": "n"}) as proxy:
        shown = await proxy.ask("POST", "/api/show", {"model": "nope", "name": "m"})
        assert (shown.status, shown.json) == (404, {"error": "model 'nope:latest' not found"})


async def test_tools_and_text_together() -> None:
    """A tool's description and schema are sent on as they came, whatever keywords they have."""
    schema = {
        "type": "object",
        "properties": {"a": {"type": "string", "format": "date"}},
        "additionalProperties": False,
    }
    given = tool("f")
    given["function"]["parameters"] = schema
    async with facing(ABLE) as proxy:
        asked = await sent(proxy, "/api/chat", model="able", messages=HI_THERE, tools=[given])
        assert asked["tools"][0]["function"]["parameters"] == schema
