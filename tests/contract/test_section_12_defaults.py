"""What a model that was made puts before a request (contract 5.7, 5.8, 12.2), on what the backend got."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from contract.backends import ABLE, ask, facing
from contract.wire import user
from support.proxy import Proxy
from support.replies import body, completion

SYSTEM = {"role": "system", "content": "Be brief."}
HISTORY = [user("Sky?"), {"role": "assistant", "content": "Blue."}]


@pytest.fixture
async def proxy() -> AsyncIterator[Proxy]:
    """A backend with `able`, of which `made` was made with a system text, two turns and an option."""
    async with facing(ABLE) as running:
        running.upstream.script("able", body(completion()))
        made = {
            "from": "able",
            "system": "Be brief.",
            "messages": HISTORY,
            "parameters": {"top_p": 0.5},
            "stream": False,
        }
        assert (await ask(running, "/api/create", model="made", **made)).status == 200
        yield running


async def asked(proxy: Proxy, path: str, **fields: Any) -> Any:
    """Return the turns that the backend got."""
    reply = await ask(proxy, path, model="made", stream=False, **fields)
    assert (reply.status, reply.json["model"]) == (200, "made")
    request = proxy.upstream.posts[-1].json
    assert (request["model"], request["top_p"]) == ("able", 0.5)
    return request["messages"]


async def test_routes_generate_test_go_model_system(proxy: Proxy) -> None:
    """The model's system text is first unless the first message of a chat, or a generation, has one of its own."""
    other = {"role": "system", "content": "Be loud."}
    assert (await asked(proxy, "/api/chat", messages=[user("Hi")]))[0] == SYSTEM
    late = await asked(proxy, "/api/chat", messages=[user("Hi"), other, user("Ho")])
    assert [turn for turn in late if turn["role"] == "system"] == [SYSTEM, other]
    first = await asked(proxy, "/api/chat", messages=[other, user("Hi")])
    assert [turn for turn in first if turn["role"] == "system"] == [other]
    assert (await asked(proxy, "/api/generate", prompt="Hi"))[0] == SYSTEM
    generated = await asked(proxy, "/api/generate", prompt="Hi", system="Be loud.")
    assert [turn for turn in generated if turn["role"] == "system"] == [other]


async def test_routes_generate_test_go_model_messages(proxy: Proxy) -> None:
    """The model's turns are before those of the request; a generation that has a context has them not twice."""
    chatted = await asked(proxy, "/api/chat", messages=[user("Hi")])
    assert chatted == [SYSTEM, *HISTORY, user("Hi")]
    assert await asked(proxy, "/api/generate", prompt="Hi") == [SYSTEM, *HISTORY, user("Hi")]
    reply = await ask(proxy, "/api/generate", model="made", prompt="Hi", stream=False)
    again = await asked(proxy, "/api/generate", prompt="Ho", context=reply.json["context"])
    assert [turn["content"] for turn in again if turn["role"] == "user"].count("Sky?") <= 1
    assert [turn["content"] for turn in again][-3:] == ["Hi", "Hi", "Ho"]  # what was asked, its answer, what is asked


async def test_made_model_can_do_what_its_base_can(proxy: Proxy) -> None:
    """5.13: the abilities, the context and the details of a made model are those of what it was made of."""
    made, base = [(await ask(proxy, "/api/show", model=name)).json for name in ("made", "able")]
    for key in ("capabilities", "model_info", "details"):
        known = {**made[key]} if isinstance(made[key], dict) else made[key]
        if key == "details":
            known["parent_model"] = base[key]["parent_model"]
        assert known == base[key]


async def test_made_model_is_loaded_under_its_name(proxy: Proxy) -> None:
    """5.5: ps names what was asked for, and unloading it takes it away."""
    await asked(proxy, "/api/chat", messages=[user("Hi")])
    assert [model["name"] for model in (await proxy.ask("GET", "/api/ps")).json["models"]] == ["made:latest"]
    assert (await ask(proxy, "/api/generate", model="made", keep_alive=0)).json["done_reason"] == "unload"
    assert (await proxy.ask("GET", "/api/ps")).json["models"] == []


async def test_made_from_made(proxy: Proxy) -> None:
    """5.13: a model made of a made one works when the one between is deleted, and one of its own name replaces it."""
    again = {"from": "made", "system": "Second.", "stream": False}
    assert (await ask(proxy, "/api/create", model="heir", **again)).status == 200
    assert (await proxy.ask("DELETE", "/api/delete", {"model": "made"})).status == 200
    proxy.upstream.script("able", body(completion()))
    reply = await ask(proxy, "/api/chat", model="heir", messages=[user("Hi")], stream=False)
    assert reply.status == 200
    turns = proxy.upstream.posts[-1].json["messages"]
    assert turns == [{"role": "system", "content": "Second."}, *HISTORY, user("Hi")]
    assert (
        await ask(proxy, "/api/create", model="heir", **{**again, "from": "heir", "system": "Third."})
    ).status == 200
    assert (await ask(proxy, "/api/show", model="heir")).json["system"] == "Third."


async def test_made_over_a_backend_model(proxy: Proxy) -> None:
    """5.13, 5.15: under a name of the backend: refused, or made and deleted again with the backend's still there."""
    made = await ask(proxy, "/api/create", model="able", **{"from": "able", "system": "Mine.", "stream": False})
    if made.status == 200:
        assert (await ask(proxy, "/api/show", model="able")).json["system"] == "Mine."
        assert len((await proxy.ask("GET", "/api/tags")).json["models"]) == 2
        assert (await proxy.ask("DELETE", "/api/delete", {"model": "able"})).status == 200
    else:
        assert 400 <= made.status < 500
    assert "system" not in (await ask(proxy, "/api/show", model="able")).json
    copied = await proxy.ask("POST", "/api/copy", {"source": "made", "destination": "able"})
    assert copied.status in (200, 400, 409)


async def test_management_off() -> None:
    """Management can be switched off: what changes models is refused with words, what lists them is not."""
    async with facing(ABLE, management_enabled=False) as proxy:
        for method, path, fields in (
            ("POST", "/api/create", {"model": "made", "from": "able"}),
            ("POST", "/api/copy", {"source": "able", "destination": "made"}),
            ("DELETE", "/api/delete", {"model": "able"}),
        ):
            reply = await proxy.ask(method, path, fields)
            assert 400 <= reply.status < 500
            assert reply.json["error"]
        assert len((await proxy.ask("GET", "/api/tags")).json["models"]) == 1
