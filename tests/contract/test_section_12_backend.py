"""What Ollama's own integration tests assert (contract 12.1), where it matters what the backend says and was asked."""

from __future__ import annotations

import asyncio
import base64
from typing import Any

import pytest

from contract.backends import ABLE, LLAMA, VECTORS, ask, facing, sent, vectors
from contract.wire import DOT, tool, user
from support.proxy import Proxy
from support.replies import DONE, HI, body, completion, delta, finish, streamed, text, usage

OVER_LONG = {
    "openai": {
        "error": {
            "message": "This model's maximum context length is 128 tokens. However, your messages resulted in 500 "
            "tokens. Please reduce the length of the messages.",
            "type": "invalid_request_error",
            "param": "messages",
            "code": "context_length_exceeded",
        }
    },
    "vllm": {
        "object": "error",
        "message": "This model's maximum context length is 128 tokens. However, you requested 500 tokens in the "
        "messages, Please reduce the length of the messages.",
        "type": "BadRequestError",
        "code": 400,
    },
    "llama.cpp": {
        "error": {
            "code": 400,
            "message": "the request exceeds the available context size. try increasing the context size",
            "type": "exceed_context_size_error",
            "n_prompt_tokens": 500,
            "n_ctx": 128,
        }
    },
}
WAV = base64.b64encode(b"RIFF\x24\x00\x00\x00WAVEfmt \x10\x00\x00\x00" + b"\x00" * 24).decode()


async def generated(proxy: Proxy, prompt: str, context: list[int] | None = None) -> dict[str, Any]:
    """Return the answer to a generation that is not streamed."""
    more: dict[str, Any] = {} if context is None else {"context": context}
    reply = await ask(proxy, "/api/generate", prompt=prompt, stream=False, **more)
    assert reply.status == 200, reply.body
    found: dict[str, Any] = reply.json
    return found


async def test_api_test_go_details() -> None:
    """What the backend knows of its model fills the entry of tags and ps, the four details and model_info."""
    async with facing(LLAMA) as proxy:
        proxy.upstream.script("llama-3.2", HI)
        await ask(proxy, "/api/generate", model="llama-3.2", prompt="Hi")
        (listed,) = (await proxy.ask("GET", "/api/tags")).json["models"]
        (running,) = (await proxy.ask("GET", "/api/ps")).json["models"]
        shown = (await ask(proxy, "/api/show", model="llama-3.2")).json
        for entry in (listed, running):
            details = entry["details"]
            assert all(details[key] for key in ("format", "family", "parameter_size", "quantization_level"))
            assert entry["size"] == 2019393189
        assert running["size_vram"] == running["size"]  # "100% GPU", or Ollama's tests skip
        assert (details["family"], details["parameter_size"]) == ("llama", "3.2B")
        assert shown["model_info"]["general.parameter_count"] == 3212749888
        assert shown["model_info"]["llama.embedding_length"] == 3072
        lengths = {running["context_length"], listed["details"]["context_length"]}
        assert lengths == {shown["model_info"]["llama.context_length"]} == {16384}


async def test_chat_cases_test_go() -> None:
    """A chat of several turns reaches the model whole and in order."""
    turns = [
        {"role": "system", "content": "Be brief."},
        user("What is water?"),
        {"role": "assistant", "content": "H2O"},
        user("Where is it?"),
    ]
    async with facing() as proxy:
        assert (await sent(proxy, "/api/chat", messages=turns))["messages"] == turns


async def test_context_test_go_generate() -> None:
    """The `context` of an answer carries the conversation into the next one, and on through it."""
    async with facing() as proxy:
        proxy.upstream.script("m", *(body(completion(word)) for word in ("Salt", "Seven", "Yes")))
        first = await generated(proxy, "Name a mineral.")
        second = await generated(proxy, "How many seas?", first["context"])
        await generated(proxy, "Sure?", second["context"])
        asked = [(turn["role"], turn["content"]) for turn in proxy.upstream.posts[2].json["messages"]]
        assert asked == [
            ("user", "Name a mineral."),
            ("assistant", "Salt"),
            ("user", "How many seas?"),
            ("assistant", "Seven"),
            ("user", "Sure?"),
        ]


async def test_context_test_go_parallel() -> None:
    """Histories that grow at the same time do not mix."""
    async with facing() as proxy:
        proxy.upstream.script("m", body(completion("Noted")))

        async def history(word: str) -> None:
            context = None
            for turn in range(3):
                context = (await generated(proxy, f"{word} {turn}", context))["context"]

        await asyncio.gather(*map(history, ("red", "green", "blue")))
        for request in proxy.upstream.posts:
            said = [turn["content"] for turn in request.json["messages"] if turn["role"] == "user"]
            word = said[-1].split()[0]
            assert said == [f"{word} {turn}" for turn in range(len(said))]


@pytest.mark.parametrize("backend", OVER_LONG)
@pytest.mark.parametrize("path", ["/api/generate", "/api/chat"])
async def test_context_test_go_refused(backend: str, path: str) -> None:
    """A prompt that the backend finds too long is 400, and the words say `context` and that it is too much."""
    async with facing() as proxy:
        proxy.upstream.script("m", body(OVER_LONG[backend], 400))
        for stream in (True, False):
            more: dict[str, Any] = {
                "prompt": "sky",
                "messages": [user("sky")],
                "options": {"num_ctx": 128},
                "stream": stream,
            }
            reply = await ask(proxy, path, **more)
            assert reply.status == 400
            error = reply.json["error"]
            assert "context" in error
            assert any(word in error for word in ("exceed", "too large", "longer", "too long")), error


async def test_max_queue_test_go() -> None:
    """A backend that is too busy is told as 503 before anything is sent, and the words say `busy`."""
    busy = {"error": {"message": "server busy, please try again", "type": "server_error"}}
    async with facing() as proxy:
        proxy.upstream.script("m", body(busy, 503))
        for stream in (True, False):
            reply = await ask(proxy, "/api/chat", messages=[user("Hi")], stream=stream)
            assert (reply.status, "busy" in reply.json["error"]) == (503, True)


@pytest.mark.parametrize("backend", OVER_LONG)
@pytest.mark.parametrize("texts", ["sky", ["short", "sky", "short"]], ids=["one", "one of a batch"])
async def test_embed_test_go_over_long(backend: str, texts: str | list[str]) -> None:
    """An input that is too long, with `truncate` false, fails the call with 400 and Ollama's words."""
    async with facing(VECTORS) as proxy:
        proxy.upstream.script("vectors", body(OVER_LONG[backend], 400))
        reply = await ask(proxy, "/api/embed", model="vectors", input=texts, truncate=False)
        assert reply.status == 400
        assert "input length exceeds the context length" in reply.json["error"]


async def test_embed_test_go_batch() -> None:
    """A batch is one call of the backend, in order, and its tokens are those that the backend counted."""
    async with facing(VECTORS) as proxy:
        proxy.upstream.script("vectors", body(vectors([3, 4], [0, 2], tokens=16)))
        reply = await ask(proxy, "/api/embed", model="vectors", input=["a", "b"])
        assert reply.json["embeddings"] == [pytest.approx([0.6, 0.8]), [0, 1]]
        assert reply.json["prompt_eval_count"] == 16
        assert [request.json["input"] for request in proxy.upstream.posts] == [["a", "b"]]


async def test_vision_test_go_bytes() -> None:
    """Images reach the backend byte by byte, with the type that their bytes tell, in the turn that has them."""
    turns = [user("Look.", images=[DOT]), {"role": "assistant", "content": "A dot."}, user("Colour?")]
    async with facing(ABLE) as proxy:
        asked = await sent(proxy, "/api/chat", model="able", messages=turns)
        first, _, last = asked["messages"]
        assert first["content"][0] == {"type": "text", "text": "Look."}
        assert first["content"][1]["image_url"]["url"] == f"data:image/png;base64,{DOT}"
        assert last["content"] == "Colour?"


async def test_audio_test_go() -> None:
    """A recording in `images` reaches the backend as audio, by what its bytes tell."""
    async with facing() as proxy:
        asked = await sent(proxy, "/api/chat", messages=[user("What is said?", images=[WAV])])
        _, part = asked["messages"][0]["content"]
        assert part == {"type": "input_audio", "input_audio": {"data": WAV, "format": "wav"}}


async def test_thinking_test_go_tags() -> None:
    """Thoughts that a backend leaves in the text between tags are thoughts, and no tag is left in either."""
    reply = streamed(text("<think>Hm"), text("m</think>\n\nFo"), text("ur"), finish(), usage(), DONE)
    async with facing(ABLE) as proxy:
        proxy.upstream.script("able", reply)
        parts = (await ask(proxy, "/api/chat", model="able", messages=[user("2+2?")], think=True)).lines
        assert "".join(part["message"].get("thinking", "") for part in parts).strip() == "Hmm"
        assert "".join(part["message"]["content"] for part in parts).strip() == "Four"
        assert parts[-1]["done_reason"] == "stop"


async def test_tools_routes_test_go() -> None:
    """A round trip with its history: a result that names its tool and its call is that of that call."""
    call = {"index": 0, "id": "call_1", "type": "function", "function": {"name": "get_weather", "arguments": "{}"}}
    async with facing(ABLE) as proxy:
        proxy.upstream.script("able", streamed(delta(tool_calls=[call]), finish("tool_calls"), usage(), DONE), HI)
        first = {"messages": [user("Weather?")], "tools": [tool("get_weather")]}
        parts = (await ask(proxy, "/api/chat", model="able", **first)).lines
        (called,) = (part["message"] for part in parts if part["message"].get("tool_calls"))
        (made,) = called["tool_calls"]
        result = {"role": "tool", "content": "rain", "tool_name": "get_weather", "tool_call_id": made["id"]}
        history = [*first["messages"], called, result]
        await ask(proxy, "/api/chat", model="able", messages=history, tools=first["tools"])
        _, turn, answer = proxy.upstream.posts[1].json["messages"]
        assert turn["tool_calls"][0]["function"] == call["function"]
        assert (answer["role"], answer["content"], answer["tool_call_id"]) == (
            "tool",
            "rain",
            turn["tool_calls"][0]["id"],
        )
