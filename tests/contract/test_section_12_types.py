"""What Ollama's own unit tests of its types, its names and its runner assert (contract 12.2), one test a row."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from typing import Any

import pytest

from contract.backends import ABLE, ask, facing, refused, sent
from contract.wire import user
from support.proxy import Proxy
from support.replies import HI, SSE, body, text
from support.scripted import Chunk, Close

HI_THERE = [user("Hi")]
# What is asked for, and how many seconds the model is kept: None for ever.
KEPT: tuple[tuple[object, float | None], ...] = (
    (None, 300),
    (42, 42),
    (42.5, 42.5),
    ("42m", 2520),
    ("1h30m", 5400),
    ("1.5h", 5400),
    ("500ms", 0.5),
    (-1, None),
    (-3.14, None),
    ("-1m", None),
    ("-1s", None),
)


async def seconds_left(proxy: Proxy) -> list[float]:
    """How long each loaded model is kept from now on. Centuries overflow no date of Python's."""
    models = (await proxy.ask("GET", "/api/ps")).json["models"]
    ends = [datetime.fromisoformat(model["expires_at"][:19] + "+00:00") for model in models]
    return [(end - datetime.now(UTC)).total_seconds() for end in ends]


async def test_types_test_go_keep_alive() -> None:
    """A time is a number of seconds or a duration of Go's; a negative one is for ever."""
    async with facing() as proxy:
        for value, seconds in KEPT:
            assert (await ask(proxy, "/api/generate", keep_alive=value)).status == 200
            found = await seconds_left(proxy)
            if seconds is None:
                assert found[0] > 200 * 365 * 86400
            elif seconds > 1:
                assert found[0] == pytest.approx(seconds, abs=10)


@pytest.mark.parametrize(
    ("value", "error"),
    [
        ("300", 'time: missing unit in duration "300"'),
        ("1d", 'time: unknown unit "d" in duration "1d"'),
        ("abc", 'time: invalid duration "abc"'),
        ("", 'time: invalid duration ""'),
        (True, "Unsupported type: 'bool'"),
    ],
)
async def test_types_test_go_keep_alive_refused(value: object, error: str) -> None:
    """What is no time is 400 with Go's words."""
    async with facing() as proxy:
        assert await refused(proxy, "/api/chat", messages=HI_THERE, keep_alive=value) == (400, error)


async def test_types_test_go_roles() -> None:
    """A role may be written in any case."""
    async with facing() as proxy:
        turns = [{"role": "SYSTEM", "content": "a"}, {"role": "User", "content": "b"}]
        asked = await sent(proxy, "/api/chat", messages=turns)
        assert [turn["role"] for turn in asked["messages"]] == ["system", "user"]


async def test_types_test_go_tools() -> None:
    """The schema of a tool reaches the backend whole: types in a list, nested properties, the order of keys."""
    schema = {
        "type": "object",
        "required": ["b"],
        "properties": {
            "b": {"type": ["string", "null"], "description": "B", "enum": ["x", "y"]},
            "a": {"type": "array", "items": {"type": "object", "properties": {"c": {"type": "integer", "minimum": 0}}}},
            "d": {"anyOf": [{"type": "string"}, {"$ref": "#/$defs/e"}]},
        },
        "$defs": {"e": {"type": "number"}},
        "additionalProperties": False,
    }
    given = {"type": "function", "function": {"name": "f", "description": "F", "parameters": schema}}
    async with facing(ABLE) as proxy:
        asked = await sent(proxy, "/api/chat", model="able", messages=HI_THERE, tools=[given])
        assert json.dumps(asked["tools"]) == json.dumps([given])


@pytest.mark.parametrize("think", [True, False, "low", "medium", "high", "max"])
async def test_types_test_go_think(think: bool | str) -> None:
    """Six values of `think` are taken by a model that thinks."""
    async with facing(ABLE) as proxy:
        await sent(proxy, "/api/chat", model="able", messages=HI_THERE, think=think)


async def test_types_test_go_think_refused() -> None:
    """Another word, and another type, is 400 with the list of what there is."""
    known = '"high", "medium", "low", "max", true, or false'
    async with facing(ABLE) as proxy:
        for value, error in (
            ("maybe", f'invalid think value: "maybe" (must be {known})'),
            (1, f"think must be a boolean or string ({known})"),
        ):
            assert await refused(proxy, "/api/chat", model="able", messages=HI_THERE, think=value) == (400, error)


async def test_types_test_go_arguments() -> None:
    """The arguments of a call keep their order, to the backend and from it."""
    arguments = {"zebra": 1, "apple": {"y": 1, "x": [3, 1]}, "mango": None}
    turns = [
        user("Go"),
        {"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": arguments}}]},
        {"role": "tool", "content": "ok"},
    ]
    async with facing(ABLE) as proxy:
        asked = await sent(proxy, "/api/chat", model="able", messages=turns)
        (call,) = asked["messages"][1]["tool_calls"]
        assert json.dumps(json.loads(call["function"]["arguments"])) == json.dumps(arguments)


@pytest.mark.parametrize(
    ("option", "value", "error"),
    [
        ("use_mmap", "true", 'option "use_mmap" must be of type boolean'),
        ("main_gpu", "0", 'option "main_gpu" must be of type integer'),
        ("num_ctx", True, 'option "num_ctx" must be of type integer'),
        ("top_p", "1", 'option "top_p" must be of type float32'),
        ("stop", [1], 'option "stop" must be of an array of strings'),
    ],
)
async def test_types_test_go_options(option: str, value: object, error: str) -> None:
    """An option of the wrong type is 500 with its name; null and what is unknown are passed over."""
    async with facing() as proxy:
        for path in ("/api/chat", "/api/generate"):
            more: dict[str, Any] = {"messages": HI_THERE, "prompt": "Hi", "options": {option: value}}
            assert await refused(proxy, path, **more) == (500, error)
        await sent(proxy, "/api/chat", messages=HI_THERE, options={option: None, "mirostat": value})


async def test_client_test_go() -> None:
    """Errors: a status with a text before the stream, a line with a text within it, on a line of their own."""
    async with facing() as proxy:
        proxy.upstream.script("m", body({"error": {"message": "too\nmany"}}, 429), (SSE, Chunk(text("Hi")), Close()))
        before = await ask(proxy, "/api/chat", messages=HI_THERE)
        assert (before.status, [*before.json]) == (429, ["error"])
        assert b"\n" not in before.body.rstrip(b"\n")  # Go's client reads the first line
        within = await ask(proxy, "/api/chat", messages=HI_THERE)
        assert within.status == 200
        assert [*within.lines[-1]] == ["error"]
        assert isinstance(within.lines[-1]["error"], str)


NAMES = {
    "org/model:free": 200,
    "ORG/Model:FREE": 200,
    "gpt-4o-2024-08-06": 200,
    "@cf/meta/llama": 200,
    "a.b/glm": 200,
    "accounts/x/models/y": 200,
    **dict.fromkeys(("m", "m:latest", "m:local", " m ", "library/m", "registry.ollama.ai/library/m:latest"), 200),
    **dict.fromkeys(("org/model", "m:1b", "library/none", "x" * 80), 404),
    **dict.fromkeys(("a b", "m:", "/m", "m@sha", "m:1:2", "a//b", "x" * 81, "-m", "m:" + "t" * 81), 400),
}


async def test_name_test_go() -> None:
    """A name is looked up as the backend spells it, then by Ollama's grammar: case, tag, namespace, `:local`."""
    ids = ("m", "org/model:free", "gpt-4o-2024-08-06", "@cf/meta/llama", "a.b/glm", "accounts/x/models/y")
    async with facing(*({"id": model} for model in ids)) as proxy:
        found = {name: (await ask(proxy, "/api/show", model=name)).status for name in NAMES}
        assert found == NAMES


async def test_name_test_go_display() -> None:
    """A name is displayed without the default host and namespace, with its tag (contract 2.2, 2.6)."""
    shown = {
        "nope": "nope:latest",
        "library/nope": "nope:latest",
        "registry.ollama.ai/library/nope:1b": "nope:1b",
        "me/nope": "me/nope:latest",
        "registry.ollama.ai/me/nope": "me/nope:latest",
        "hf.co/me/nope:Q4_K_M": "hf.co/me/nope:Q4_K_M",
    }
    async with facing() as proxy:
        for name, short in shown.items():
            assert (await ask(proxy, "/api/show", model=name)).json == {"error": f"model '{short}' not found"}


async def test_modelref_test_go() -> None:
    """A name that says both `:local` and `:cloud` is 400 in Ollama's words."""
    async with facing() as proxy:
        reply = await ask(proxy, "/api/chat", model="m:cloud:local", messages=HI_THERE)
        assert reply.status == 400
        assert reply.json == {"error": 'use either :local or :cloud, not both: "m:cloud:local"'}


async def test_sched_test_go() -> None:
    """A model is gone when its time is over, and each use begins the time anew."""
    async with facing() as proxy:
        await ask(proxy, "/api/generate", keep_alive="200ms")
        await ask(proxy, "/api/generate", keep_alive="10m")
        assert (await seconds_left(proxy))[0] == pytest.approx(600, abs=10)
        await ask(proxy, "/api/generate", keep_alive="50ms")
        async with asyncio.timeout(5):
            while await seconds_left(proxy):
                pass


async def test_routes_options_test_go() -> None:
    """Options of the request go before those of the model that was made, and those before the backend's own."""
    async with facing() as proxy:
        made = {"model": "warm", "from": "m", "parameters": {"temperature": 0.1, "seed": 7}, "stream": False}
        assert (await proxy.ask("POST", "/api/create", made)).status == 200
        proxy.upstream.script("m", HI)
        for options in ({"temperature": 0.9}, {}):
            await ask(proxy, "/api/chat", model="warm", messages=HI_THERE, options=options)
        first, second = (request.json for request in proxy.upstream.posts)
        assert (first["temperature"], first["seed"]) == (0.9, 7)
        assert (second["temperature"], second["seed"]) == (0.1, 7)
        assert "top_p" not in first


async def test_prompt_test_go() -> None:
    """`truncate` and `shift` are taken in every form that Ollama takes, and never reach a backend as such."""
    async with facing() as proxy:
        for value in (True, False, None):
            for path in ("/api/chat", "/api/generate"):
                more: dict[str, Any] = {"messages": HI_THERE, "prompt": "Hi", "truncate": value, "shift": value}
                assert not {"truncate", "shift"} & {*await sent(proxy, path, **more)}
