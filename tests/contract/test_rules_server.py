"""The rules R11 to R19 that clients set (clients.md, section 0): one test for each, on the bytes of real sockets."""

from __future__ import annotations

import asyncio
import json
import re
from typing import Any

from contract.backends import ABLE, LLAMA, PLAIN, VECTORS, ask, facing, sent
from contract.wire import TIME, tool, user
from support.proxy import KEY, Proxy, running_proxy
from support.replies import HI
from support.scripted import Hold, Upstream, Wait

HI_THERE = [user("Hi")]
ODD = {"id": "Org/Model.v1:free"}
PLACEHOLDERS = (
    "Bearer default-key",
    "Bearer",
    "Bearer ",
    "Bearer ollama",
    "Bearer undefined",
    "Bearer local",
    "Bearer api-key-not-set",
    "Basic dXNlcjpwYXNz",
    "AAAAC3Nz:c2lnbmVk",
)
# Who may ask from a page: pages of this machine, of applications and of editors (contract 1.5).
FRIENDLY = (
    "http://localhost",
    "https://localhost:3000",
    "http://127.0.0.1:8080",
    "http://0.0.0.0",
    "app://obsidian.md",
    "file://",
    "tauri://localhost",
    "vscode-webview://abc",
    "vscode-file://vscode-app",
)
STRANGE = ("https://example.com", "http://localhost.example.com", "null", "chrome-extension://abc")


async def entries(proxy: Proxy) -> list[dict[str, Any]]:
    models: list[dict[str, Any]] = (await proxy.ask("GET", "/api/tags")).json["models"]
    return models


async def test_r11_version() -> None:
    """R11: one key, three numbers with nothing glued to them, 0.14.0 or newer: what each known client parses."""
    async with facing() as proxy:
        response = await proxy.ask("GET", "/api/version")
        assert [*response.json] == ["version"]
        assert re.fullmatch(r"\d+\.\d+\.\d+", response.json["version"])
        assert tuple(map(int, response.json["version"].split("."))) >= (0, 14, 0)


async def test_r12_entries_of_the_list() -> None:
    """R12: name, model, a date, a size, a digest of its own that stays, details as texts, abilities and context."""
    async with facing(ABLE, PLAIN, VECTORS, LLAMA, ODD, {"id": "bare"}) as proxy:
        assert [*(await proxy.ask("GET", "/api/tags")).json] == ["models"]
        models = await entries(proxy)
        assert len(models) == 6
        for model in models:
            assert model["name"] == model["model"]
            assert re.fullmatch(r".+:[^:/]+", model["name"])
            assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)", model["modified_at"])
            assert type(model["size"]) is int
            assert model["size"] >= 0
            assert re.fullmatch("[0-9a-f]{64}", model["digest"])
            details = model["details"]
            texts = ("format", "family", "parameter_size", "quantization_level", "parent_model")
            assert all(isinstance(details[key], str) for key in texts)
            assert isinstance(details["families"], list)
            assert all(isinstance(family, str) for family in details["families"])
            assert details["context_length"] > 0
            assert model["capabilities"]
        assert len({model["digest"] for model in models}) == 6
        assert {model["name"]: model["digest"] for model in await entries(proxy)} == {
            model["name"]: model["digest"] for model in models
        }


async def test_r12_digests() -> None:
    """R12, clients.md 5: a digest is the same after a restart, and another when what the model can do is another."""
    found = []
    for model in (ABLE, ABLE, {**ABLE, "supported_parameters": []}, {**ABLE, "context_length": 1024}):
        async with facing(model) as proxy:
            found.append((await entries(proxy))[0]["digest"])
    assert found[0] == found[1]
    assert len({*found}) == 3


async def test_r13_show_of_each_listed_model() -> None:
    """R13: it succeeds, has an object, an array, a text and one context length; by `model` or `name`, "" is absent."""
    async with facing(ABLE, PLAIN, VECTORS, LLAMA, ODD, {"id": "bare"}) as proxy:
        for model in await entries(proxy):
            for asked in ({"model": model["name"]}, {"name": model["name"]}, {"model": "", "name": model["name"]}):
                shown = await proxy.ask("POST", "/api/show", asked)
                assert shown.status == 200
            facts = shown.json
            info = facts["model_info"]
            assert isinstance(facts["capabilities"], list)
            assert isinstance(facts["template"], str)
            assert isinstance(facts["details"], dict)
            lengths = {key: value for key, value in info.items() if key.endswith(".context_length")}
            assert [*lengths] == [f"{info['general.architecture']}.context_length"]
            assert [*lengths.values()] == [model["details"]["context_length"]]
            assert facts["capabilities"] == model["capabilities"]
            assert ("tools" in facts["template"].lower()) == ("tools" in facts["capabilities"])
            assert (".Suffix" in facts["template"]) == ("insert" in facts["capabilities"])
        for nothing in ({}, {"model": ""}, {"name": ""}, {"model": None, "name": ""}):
            refused = await proxy.ask("POST", "/api/show", nothing)
            assert (refused.status, refused.json) == (400, {"error": "model is required"})


async def test_r14_delete_and_copy() -> None:
    """R14: exactly 200, and a body of no bytes whose length is said."""
    async with facing() as proxy:
        for method, path, fields in (
            ("POST", "/api/copy", {"source": "m", "destination": "twin"}),
            ("POST", "/api/copy", {"source": "twin", "destination": "twin"}),
            ("DELETE", "/api/delete", {"model": "", "name": "twin"}),
        ):
            reply = await proxy.ask(method, path, fields)
            assert (reply.status, reply.body, reply.all("content-length")) == (200, b"", ["0"])


async def test_r15_probes_cost_nothing() -> None:
    """R15: what only loads or unloads is answered here: the backend is not asked."""
    async with facing(ABLE, VECTORS) as proxy:
        for path, fields, reason in (
            ("/api/generate", {}, "load"),
            ("/api/generate", {"prompt": ""}, "load"),
            ("/api/generate", {"prompt": "", "system": "a", "keep_alive": "5m"}, "load"),
            ("/api/generate", {"prompt": "", "keep_alive": 0}, "unload"),
            ("/api/generate", {"keep_alive": "0s"}, "unload"),
            ("/api/chat", {}, "load"),
            ("/api/chat", {"messages": []}, "load"),
            ("/api/chat", {"messages": None, "keep_alive": 0}, "unload"),
        ):
            for more in ({}, {"stream": True}, {"stream": False}):
                reply = await ask(proxy, path, model="able", **fields, **more)
                assert (reply.status, reply.json["done"], reply.json["done_reason"]) == (200, True, reason)
        empty: tuple[object, ...] = ([], "", None)
        for nothing in empty:
            reply = await ask(proxy, "/api/embed", model="vectors", input=nothing)
            assert reply.json == {"model": "vectors", "embeddings": []}
        assert (await ask(proxy, "/api/embeddings", model="vectors", prompt="")).json == {"embedding": []}
        assert proxy.upstream.posts == []


async def test_r16_what_is_sent_on() -> None:
    """R16: no empty tools or images; calls get ids that their results share; content is there."""
    function = {"name": "f", "arguments": {"a": 1}}
    turns = [
        user("Hi", images=[]),
        {"role": "assistant", "tool_calls": [{"function": function}, {"function": function}]},
        {"role": "tool", "content": "one"},
        {"role": "tool", "content": "two"},
    ]
    async with facing(ABLE) as proxy:
        asked = await sent(proxy, "/api/chat", model="able", messages=turns, tools=[])
        assert "tools" not in asked
        first, called, one, two = asked["messages"]
        assert first == {"role": "user", "content": "Hi"}
        assert "content" in called
        ids = [call["id"] for call in called["tool_calls"]]
        assert len({*ids}) == 2
        assert [one["tool_call_id"], two["tool_call_id"]] == ids
        again = await sent(proxy, "/api/chat", model="able", messages=turns, tools=[tool("f")])
        assert [call["id"] for call in again["messages"][1]["tool_calls"]] == ids  # the same each time


async def test_r17_keys() -> None:
    """R17: a key that a client sends by habit is let in, and never sent on: the backend gets the proxy's own."""
    async with facing() as proxy:
        proxy.upstream.script("m", HI)
        for value in PLACEHOLDERS:
            headers = (f"Authorization: {value}", "x-api-key: habit")
            for method, path in (("GET", "/api/tags"), ("GET", "/api/version"), ("HEAD", "/")):
                assert (await proxy.ask(method, path, None, *headers)).status == 200
            assert (await ask(proxy, "/api/chat", *headers, messages=HI_THERE)).status == 200
        assert len(proxy.upstream.posts) == len(PLACEHOLDERS)
        for request in proxy.upstream.requests:
            assert request.headers["authorization"] == f"Bearer {KEY}"
            assert "x-api-key" not in request.headers


async def test_r18_cors() -> None:
    """R18: origins of this machine and of applications may ask, on each route; others get 403 with nothing in it."""
    async with facing() as proxy:
        paths = ("/", "/api/chat", "/api/tags", "/api/pull", "/api/delete", "/api/blobs/sha256:0", "/nope")
        for origin in FRIENDLY:
            for path in paths:
                preflight = await proxy.ask(
                    "OPTIONS", path, None, f"Origin: {origin}", "Access-Control-Request-Method: POST"
                )
                assert preflight.status == 204
                assert preflight.all("access-control-allow-origin") == [origin]
                allowed = (preflight.header("access-control-allow-methods") or "").split(",")
                assert {"GET", "POST", "DELETE", "HEAD"} <= {*allowed}
            plain = await proxy.ask("GET", "/api/tags", None, f"Origin: {origin}")
            assert (plain.status, plain.all("access-control-allow-origin")) == (200, [origin])
        for origin in STRANGE:
            for method, path in (("OPTIONS", "/api/chat"), ("GET", "/api/tags"), ("DELETE", "/api/delete")):
                refused = await proxy.ask(method, path, None, f"Origin: {origin}")
                assert (refused.status, refused.body) == (403, b"")
                assert refused.all("access-control-allow-origin") == []


async def test_r18_cors_on_every_answer() -> None:
    """R18: streams, refusals and what is not there carry the origin too, or a page could not read why."""
    async with facing() as proxy:
        proxy.upstream.script("m", HI)
        origin = "Origin: http://localhost:3000"
        for method, path, fields, status in (
            ("POST", "/api/chat", {"model": "m", "messages": HI_THERE}, 200),
            ("POST", "/api/chat", {"model": "nope"}, 404),
            ("POST", "/api/chat", {"model": 5}, 400),
            ("GET", "/nope", None, 404),
            ("GET", "/api/chat", None, 405),
        ):
            reply = await proxy.ask(method, path, fields, origin)
            assert reply.status == status
            assert reply.all("access-control-allow-origin") == ["http://localhost:3000"]
            assert reply.all("vary") == ["Origin"]
            assert reply.all("access-control-allow-credentials") == []


async def test_r18_origins_of_the_operator() -> None:
    """R18: the operator adds origins; a bare `*` lets everyone in, without `Vary` (contract 1.5)."""
    for origins, origin, told in (
        ("chrome-extension://*", "chrome-extension://abc", "chrome-extension://abc"),
        ("https://*.example.com", "https://chat.example.com", "https://chat.example.com"),
        ("*", "https://example.org", "*"),
    ):
        async with facing(ollama_origins=origins) as proxy:
            reply = await proxy.ask("GET", "/api/tags", None, f"Origin: {origin}")
            assert (reply.status, reply.all("access-control-allow-origin")) == (200, [told])
            assert reply.all("vary") == ([] if told == "*" else ["Origin"])


async def test_r19_slow_first_token() -> None:
    """R19: an answer that takes its time arrives when it comes; meanwhile the list and the rest are answered."""
    ready = asyncio.Event()
    async with facing() as proxy:
        proxy.upstream.script("m", (Wait(ready), *HI))
        waiting = asyncio.create_task(ask(proxy, "/api/chat", messages=HI_THERE))
        await proxy.upstream.request_received()
        for method, path in (("GET", "/api/tags"), ("GET", "/api/ps"), ("GET", "/api/version"), ("HEAD", "/")):
            assert (await proxy.ask(method, path)).status == 200
        assert not waiting.done()
        ready.set()
        assert (await waiting).lines[-1]["done"] is True


async def test_r19_list_does_not_wait_for_the_backend() -> None:
    """R19: with a backend that never tells its models, the list is answered within the five seconds of one client."""
    async with Upstream() as upstream:
        upstream.script("/v1/models", (Hold(),))
        async with running_proxy(upstream.url) as url, asyncio.timeout(5):
            reply = await Proxy(url, upstream).ask("GET", "/api/tags")
            assert reply.status == 200 or isinstance(reply.json["error"], str)


async def test_times_of_what_runs() -> None:
    """R12 and clients.md 1.2: an entry of ps has eight members, and the context that tags and show tell."""
    async with facing(LLAMA) as proxy:
        await ask(proxy, "/api/generate", model="llama-3.2")
        (running,) = (await proxy.ask("GET", "/api/ps")).json["models"]
        (listed,) = await entries(proxy)
        assert [*running] == ["name", "model", "size", "digest", "details", "expires_at", "size_vram", "context_length"]
        assert TIME.fullmatch(running["expires_at"])
        assert running["digest"] == listed["digest"]
        assert running["context_length"] == listed["details"]["context_length"]
        assert json.dumps(running).count("null") == 0
