"""What Ollama's own tests of its runner assert (contract 12.2, llm/llama_server_test.go): the backend's part here."""

from __future__ import annotations

import json

import pytest

from contract.backends import ABLE, ask, facing, sent
from contract.wire import DOT, tool, user
from support.replies import DONE, SSE, delta, event, finish, streamed, text, usage
from support.scripted import Chunk, Close

HI_THERE = [user("Hi")]


async def test_llama_server_test_go_limit() -> None:
    """A positive `num_predict` bounds the answer; `length` is told when the bound was reached."""
    async with facing() as proxy:
        proxy.upstream.script("m", streamed(text("Hi"), finish("length"), usage(), DONE))
        lines = (await ask(proxy, "/api/chat", messages=HI_THERE, options={"num_predict": 1})).lines
        assert lines[-1]["done_reason"] == "length"
        (request,) = proxy.upstream.posts
        assert 1 in (request.json.get("max_tokens"), request.json.get("max_completion_tokens"))
        for unlimited in (-1, -2):
            asked = await sent(proxy, "/api/chat", messages=HI_THERE, options={"num_predict": unlimited})
            assert not {"max_tokens", "max_completion_tokens"} & {*asked}


async def test_llama_server_test_go_long_line() -> None:
    """A line of the backend beyond 512 KiB is read, and its text comes through whole."""
    long = "word " * 200_000
    async with facing() as proxy:
        proxy.upstream.script("m", streamed(text(long), finish(), usage(), DONE))
        lines = (await ask(proxy, "/api/chat", messages=HI_THERE)).lines
        assert "".join(line["message"]["content"] for line in lines) == long


@pytest.mark.parametrize("arguments", ['{"a": ', "[1]", "nonsense"])
async def test_llama_server_test_go_arguments(arguments: str) -> None:
    """Arguments that are no JSON object never reach the client as a text: an error, or wrapped as an object."""
    call = {"index": 0, "id": "c", "type": "function", "function": {"name": "f", "arguments": arguments}}
    async with facing(ABLE) as proxy:
        proxy.upstream.script("able", streamed(delta(tool_calls=[call]), finish("tool_calls"), usage(), DONE))
        reply = await ask(proxy, "/api/chat", model="able", messages=HI_THERE, tools=[tool("f")])
        answers = reply.lines if reply.status == 200 else [reply.json]
        found = [call for part in answers for call in part.get("message", {}).get("tool_calls", ())]
        assert all(isinstance(call["function"]["arguments"], dict) for call in found)
        assert found or isinstance(answers[-1]["error"], str)


@pytest.mark.parametrize("think", [True, False, "high"])
async def test_llama_server_test_go_think(think: bool | str) -> None:
    """A llama.cpp server is told whether to think by `chat_template_kwargs`, as Ollama tells it."""
    async with facing(ABLE, upstream_profile="llamacpp") as proxy:
        asked = await sent(proxy, "/api/chat", model="able", messages=HI_THERE, think=think)
        assert asked["chat_template_kwargs"]["enable_thinking"] is (think is not False)


async def test_llama_server_test_go_media() -> None:
    """Calls of earlier turns are sent as text with their ids, results by those ids, images as parts after the text."""
    function = {"name": "f", "arguments": {"a": 1}}
    turns = [
        user("Look", images=[DOT]),
        {"role": "assistant", "content": "", "tool_calls": [{"id": "call_x", "function": {"index": 0, **function}}]},
        {"role": "tool", "content": "ok", "tool_name": "f", "tool_call_id": "call_x"},
    ]
    async with facing(ABLE) as proxy:
        looked, called, result = (await sent(proxy, "/api/chat", model="able", messages=turns))["messages"]
        assert [part["type"] for part in looked["content"]] == ["text", "image_url"]
        (call,) = called["tool_calls"]
        assert (call["id"], call["type"]) == ("call_x", "function")
        assert (call["function"]["name"], json.loads(call["function"]["arguments"])) == ("f", {"a": 1})
        assert (result["role"], result["tool_call_id"], result["content"]) == ("tool", "call_x", "ok")


async def test_llama_server_test_go_closed() -> None:
    """A backend that closes after its last event, without `[DONE]`, has answered; one that closes before has not."""
    async with facing() as proxy:
        proxy.upstream.script("m", (SSE, Chunk(text("Hi")), Chunk(finish()), Chunk(usage()), Close()))
        lines = (await ask(proxy, "/api/chat", messages=HI_THERE)).lines
        assert (lines[-1]["done"], lines[-1]["eval_count"]) == (True, 2)


async def test_llama_server_test_go_cached() -> None:
    """Tokens of the prompt that were cached are counted with the others."""
    counts = {"prompt_tokens": 30, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 28}}
    events = (text("Hi"), finish(), event({"choices": [], "usage": counts}), DONE)
    async with facing() as proxy:
        proxy.upstream.script("m", streamed(*events))
        assert (await ask(proxy, "/api/chat", messages=HI_THERE)).lines[-1]["prompt_eval_count"] == 30


@pytest.mark.parametrize("top", [0, 2])
async def test_llama_server_test_go_logprobs(top: int) -> None:
    """Entries come with the text that they are of, also beside thoughts; alternatives only if they are asked for."""
    other = [{"token": "Ho", "logprob": -2.0, "bytes": [72, 111]}, {"token": "Ha", "logprob": -3.0, "bytes": None}]
    entry = {"token": "Hi", "logprob": -0.5, "bytes": [72, 105], "top_logprobs": other}
    choice = {"index": 0, "delta": {"content": "Hi"}, "logprobs": {"content": [entry]}, "finish_reason": None}
    events = (delta(reasoning_content="Hm"), event({"choices": [choice]}), finish(), usage(), DONE)
    async with facing(ABLE) as proxy:
        proxy.upstream.script("able", streamed(*events))
        lines = (await ask(proxy, "/api/chat", model="able", messages=HI_THERE, logprobs=True, top_logprobs=top)).lines
        (holding,) = (line for line in lines if "logprobs" in line)
        assert holding["message"]["content"] == "Hi"
        (found,) = holding["logprobs"]
        assert (found["token"], found["logprob"], found["bytes"]) == ("Hi", -0.5, [72, 105])
        assert [entry["token"] for entry in found.get("top_logprobs", [])] == ["Ho", "Ha"][:top]
        assert proxy.upstream.posts[0].json["logprobs"] is True


async def test_stream_error_event() -> None:
    """An error that the backend sends in a stream is the last line, as text (llm/llama_server_test.go)."""
    async with facing() as proxy:
        proxy.upstream.script("m", streamed(text("Hi"), event({"error": {"message": "out of memory", "code": 500}})))
        lines = (await ask(proxy, "/api/chat", messages=HI_THERE)).lines
        assert lines[-1] == {"error": "out of memory"}
        assert not any(line.get("done") for line in lines)
