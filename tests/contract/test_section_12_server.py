"""What the unit tests of Ollama's server assert (contract 12.2), one test a row, in front of a backend by script."""

from __future__ import annotations

import math
from typing import Any

import pytest

from contract.backends import ABLE, PLAIN, TEXT, VECTORS, ask, facing, refused, sent, vectors
from contract.wire import DOT, tool, user
from support.replies import DONE, HI, body, completion, delta, finish, streamed, text, usage

HI_THERE = [user("Hi")]
PAINTER: dict[str, Any] = {
    "id": "painter",
    "architecture": {"input_modalities": ["text"], "output_modalities": ["image"]},
    "supported_parameters": [],
}


async def test_routes_test_go_version_and_tags() -> None:
    """The version is one key without a space; no entry of the list has `expires_at`."""
    async with facing(ollama_version="1.2.3") as proxy:
        assert (await proxy.ask("GET", "/api/version")).body == b'{"version":"1.2.3"}'
        tags = await proxy.ask("GET", "/api/tags")
        assert b"expires_at" not in tags.body
        assert [*tags.json] == ["models"]
        assert (await proxy.ask("GET", "/api/ps")).body == b'{"models":[]}'


async def test_routes_test_go_405() -> None:
    """GET of `/api/show` is 405 as plain text, and names POST."""
    async with facing() as proxy:
        response = await proxy.ask("GET", "/api/show")
        assert (response.status, response.body) == (405, b"405 method not allowed")
        assert response.all("allow") == ["POST"]
        assert response.all("content-type") == ["text/plain"]


@pytest.mark.parametrize("name", ["M", "m:LATEST", "M:latest"])
async def test_routes_test_go_case(name: str) -> None:
    """A name in another case finds the model, and is echoed as it came."""
    async with facing() as proxy:
        proxy.upstream.script("m", body(completion()))
        reply = await ask(proxy, "/api/chat", model=name, messages=HI_THERE, stream=False)
        assert reply.json["model"] == name
        assert (await ask(proxy, "/api/show", model=name)).status == 200
        assert proxy.upstream.posts[-1].json["model"] == "m"


async def test_routes_test_go_copilot() -> None:
    """GitHub Copilot is shown the name that it asked for as the basename, others are not."""
    async with facing() as proxy:
        copilot = await ask(proxy, "/api/show", "User-Agent: GitHubCopilotChat/0.31", model="M")
        assert copilot.json["model_info"]["general.basename"] == "M"
        other = await ask(proxy, "/api/show", "User-Agent: curl/8.5", model="M")
        assert other.json["model_info"].get("general.basename") != "M"


async def test_routes_test_go_normalize() -> None:
    """Vectors are cut to length 1, and one of zeros stays as it is."""
    async with facing(VECTORS) as proxy:
        proxy.upstream.script("vectors", body(vectors([1, 2, 2], [0, 0, 0])))
        found = (await ask(proxy, "/api/embed", model="vectors", input=["a", "b"])).json["embeddings"]
        assert found[0] == pytest.approx([1 / 3, 2 / 3, 2 / 3])
        assert math.hypot(*found[0]) == pytest.approx(1)
        assert found[1] == [0, 0, 0]


@pytest.mark.parametrize(
    ("path", "asked", "expected"),
    [
        ("/api/chat", {"model": "plain", "messages": HI_THERE, "think": True}, '"plain" does not support thinking'),
        ("/api/chat", {"model": "plain", "messages": HI_THERE, "think": "high"}, '"plain" does not support thinking'),
        ("/api/generate", {"model": "plain", "prompt": "Hi", "think": True}, '"plain" does not support thinking'),
        ("/api/chat", {"model": "vectors", "messages": HI_THERE}, '"vectors" does not support chat'),
        ("/api/generate", {"model": "vectors", "prompt": "Hi"}, '"vectors" does not support generate'),
        (
            "/api/chat",
            {"model": "plain", "messages": HI_THERE, "tools": [tool("f")]},
            "registry.ollama.ai/library/plain:latest does not support tools",
        ),
        ("/api/generate", {"model": "painter", "prompt": "Hi"}, "image generation models are not currently supported"),
    ],
    ids=["think", "level", "generate", "chat of vectors", "generate of vectors", "tools", "image"],
)
async def test_routes_generate_test_go_refused(path: str, asked: dict[str, Any], expected: str) -> None:
    """What the model is known not to do is 400 in Ollama's words, and the backend is not asked."""
    async with facing(PLAIN, VECTORS, PAINTER) as proxy:
        assert await refused(proxy, path, **asked) == (400, expected)


async def test_routes_generate_test_go_insert() -> None:
    """A backend without a route for a suffix: 400 in Ollama's words."""
    missing = body({"detail": "Not Found"}, 404)
    async with facing() as proxy:
        proxy.upstream.script("m", missing)
        reply = await ask(proxy, "/api/generate", prompt="def f(", suffix="return 1")
        assert reply.status == 400
        assert reply.json == {"error": "registry.ollama.ai/library/m:latest does not support insert"}


async def test_routes_generate_test_go_suffix() -> None:
    """A suffix goes to the backend's completions with its prompt, and the answer is text."""
    async with facing() as proxy:
        proxy.upstream.script("m", body(TEXT))
        reply = await ask(proxy, "/api/generate", prompt="def f(", suffix="return 1", stream=False)
        assert reply.json["response"] == "completion"
        (request,) = proxy.upstream.posts
        asked = (request.path, request.json["prompt"], request.json["suffix"])
        assert asked == ("/v1/completions", "def f(", "return 1")


async def test_routes_generate_test_go_raw() -> None:
    """A raw prompt is sent as it is, to the route that has no template, and its answer has no context."""
    async with facing() as proxy:
        proxy.upstream.script("m", body(TEXT))
        reply = await ask(proxy, "/api/generate", prompt="<|user|>Hi", raw=True, stream=False)
        assert reply.json["response"] == "completion"
        assert "context" not in reply.json
        (request,) = proxy.upstream.posts
        assert (request.path, request.json["prompt"]) == ("/v1/completions", "<|user|>Hi")
        for more in ({"system": "a"}, {"template": "a"}, {"context": [1]}):
            expected = (400, "raw mode does not support template, system, or context")
            assert await refused(proxy, "/api/generate", prompt="Hi", raw=True, **more) == expected


async def test_routes_generate_test_go_load() -> None:
    """Without a prompt the answer is `load` or `unload`, without measures; an unload does not load."""
    async with facing() as proxy:
        for path in ("/api/generate", "/api/chat"):
            unload = await ask(proxy, path, keep_alive=0)
            assert (unload.json["done"], unload.json["done_reason"]) == (True, "unload")
            assert (await proxy.ask("GET", "/api/ps")).json["models"] == []
        for path in ("/api/generate", "/api/chat"):
            load = await ask(proxy, path)
            assert load.json["done_reason"] == "load"
            assert not {"total_duration", "eval_count", "context"} & {*load.json}
            assert load.all("content-type") == ["application/json; charset=utf-8"]
        assert len((await proxy.ask("GET", "/api/ps")).json["models"]) == 1
        assert proxy.upstream.posts == []


async def test_routes_generate_test_go_system() -> None:
    """A generation puts its system text first; a later system message of a chat stays where it is."""
    async with facing() as proxy:
        asked = await sent(proxy, "/api/generate", prompt="Hi", system="Be brief.")
        assert [turn["role"] for turn in asked["messages"]] == ["system", "user"]
        turns = [user("Hi"), {"role": "system", "content": "Be loud."}, user("Ho")]
        assert (await sent(proxy, "/api/chat", messages=turns))["messages"] == turns


@pytest.mark.parametrize("stream", [True, False])
async def test_routes_generate_test_go_tools(stream: bool) -> None:
    """Calls have an id that begins with `call_` when the backend gave none, an index, and an object of arguments."""
    function = {"name": "f", "arguments": '{"b": 1, "a": [2]}'}
    message = {"role": "assistant", "content": None, "tool_calls": [{"type": "function", "function": function}]}
    whole = {
        "choices": [{"index": 0, "message": message, "finish_reason": "tool_calls"}],
        "usage": {"prompt_tokens": 1, "completion_tokens": 1},
    }
    parts = streamed(delta(tool_calls=[{"index": 0, "function": function}]), finish("tool_calls"), usage(), DONE)
    async with facing(ABLE) as proxy:
        proxy.upstream.script("able", parts if stream else body(whole))
        reply = await ask(proxy, "/api/chat", model="able", messages=HI_THERE, tools=[tool("f")], stream=stream)
        answers = reply.lines if stream else [reply.json]
        (call,) = (call for part in answers for call in part["message"].get("tool_calls", ()))
        assert call["id"].startswith("call_")
        assert call["function"] == {"index": 0, "name": "f", "arguments": {"b": 1, "a": [2]}}
        assert [*call["function"]["arguments"]] == ["b", "a"]
        assert answers[-1]["done_reason"] == "stop"


@pytest.mark.parametrize("status", [429, 503])
async def test_routes_generate_test_go_status(status: int) -> None:
    """A refusal of the backend before the stream keeps its status and its words."""
    async with facing() as proxy:
        proxy.upstream.script("m", body({"error": {"message": "come again"}}, status))
        for path in ("/api/chat", "/api/generate"):
            reply = await ask(proxy, path, prompt="Hi", messages=HI_THERE)
            assert (reply.status, reply.json) == (status, {"error": "come again"})


async def test_routes_generate_test_go_images() -> None:
    """The images of a generation reach the backend with its prompt."""
    async with facing(ABLE) as proxy:
        asked = await sent(proxy, "/api/generate", model="able", prompt="What?", images=[DOT])
        kinds = [part["type"] for part in asked["messages"][-1]["content"]]
        assert kinds == ["text", "image_url"]


async def test_routes_generate_test_go_format() -> None:
    """With `think` false a schema is asked for as it is with it."""
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
    async with facing(ABLE) as proxy:
        for think in (False, None):
            asked = await sent(proxy, "/api/chat", model="able", messages=HI_THERE, format=schema, think=think)
            assert asked["response_format"]["type"] == "json_schema"
            assert asked["response_format"]["json_schema"]["schema"] == schema


async def test_routes_parse_error_test_go() -> None:
    """What can't be read in the middle of a stream ends it with an error and no last line."""
    broken = streamed(text("Hi"), b"data: {broken\n\n", finish(), DONE)
    async with facing() as proxy:
        proxy.upstream.script("m", broken)
        first, *_, last = (await ask(proxy, "/api/chat", messages=HI_THERE)).lines
        assert first["message"]["content"] == "Hi"
        assert [*last] == ["error"]


@pytest.mark.parametrize("path", ["/api/generate", "/api/chat"])
async def test_routes_debug_test_go(path: str) -> None:
    """With `_debug_render_only` nothing is generated: the answer holds what the model would be asked."""
    async with facing() as proxy:
        proxy.upstream.script("m", HI)
        asked: dict[str, Any] = {"prompt": "Say blue", "messages": [user("Say blue")], "_debug_render_only": True}
        reply = await ask(proxy, path, **asked)
        assert (reply.status, reply.json["model"], reply.json["done"]) == (200, "m", False)
        assert "Say blue" in reply.json["_debug_info"]["rendered_template"]
        assert proxy.upstream.posts == []


async def test_routes_harmony_streaming_test_go() -> None:
    """Thoughts, text and calls come on lines of their own while they stream."""
    call = {"index": 0, "id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    parts = (delta(reasoning_content="Hm"), text("Hi"), delta(tool_calls=[call]), finish("tool_calls"), usage(), DONE)
    async with facing(ABLE) as proxy:
        proxy.upstream.script("able", streamed(*parts))
        reply = await ask(proxy, "/api/chat", model="able", messages=HI_THERE, tools=[tool("f")])
        kinds = [
            [key for key in ("thinking", "content", "tool_calls") if part["message"].get(key)] for part in reply.lines
        ]
        assert kinds == [["thinking"], ["content"], ["tool_calls"], []]


async def test_routes_cloud_test_go() -> None:
    """There is no cloud: the status says so, and what would need it is 403 in Ollama's words."""
    async with facing() as proxy:
        status = await proxy.ask("GET", "/api/status")
        assert status.json == {"cloud": {"disabled": True, "source": "env"}}
        for name, words in (("web_search", "web search"), ("web_fetch", "web fetch")):
            reply = await proxy.ask("POST", f"/api/experimental/{name}", {"query": "a", "url": "https://example.com"})
            assert (reply.status, reply.json) == (403, {"error": f"ollama cloud is disabled: {words} is unavailable"})


async def test_routes_web_experimental_test_go() -> None:
    """Without a body the web routes say that it is missing."""
    async with facing() as proxy:
        for name in ("web_search", "web_fetch"):
            reply = await proxy.ask("POST", f"/api/experimental/{name}")
            assert (reply.status, reply.json) == (400, {"error": "missing request body"})


async def test_model_recommendations_test_go() -> None:
    """The recommendations are a list, and what is recommended can be used."""
    async with facing() as proxy:
        found = (await proxy.ask("GET", "/api/experimental/model-recommendations")).json
        assert [*found] == ["recommendations"]
        for entry in found["recommendations"]:
            assert (await ask(proxy, "/api/show", model=entry["model"])).status == 200


async def test_auth_test_go() -> None:
    """Nobody is signed in: `/api/me` is 401 with an address to sign in at, signing out is 401."""
    async with facing() as proxy:
        me = await proxy.ask("POST", "/api/me")
        assert (me.status, me.json["error"]) == (401, "unauthorized")
        assert me.json["signin_url"].startswith("https://")
        out = await proxy.ask("POST", "/api/signout")
        assert (out.status, out.json) == (401, {"error": "you are not currently signed in"})


async def test_images_test_go() -> None:
    """What a model can do is told by its backend: the entry of the list and what is shown say the same."""
    async with facing(ABLE, PLAIN, VECTORS) as proxy:
        listed = (await proxy.ask("GET", "/api/tags")).json["models"]
        found = {entry["name"].removesuffix(":latest"): {*entry["capabilities"]} for entry in listed}
        assert found["able"] >= {"completion", "tools", "vision", "thinking"}
        assert found["vectors"] == {"embedding"}
        assert "completion" in found["plain"]
        assert not {"tools", "vision", "thinking"} & found["plain"]
        for name, expected in found.items():
            assert {*(await ask(proxy, "/api/show", model=name)).json["capabilities"]} == expected
