"""Which models count as loaded (contract 3.1, 5.5)."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from ollama_openai_proxy.serve.loaded import LoadedModels
from ollama_openai_proxy.translate.models import Model
from support.proxy import Proxy, proxied
from support.replies import HI, body


class Clock:
    """Seconds that pass when they are told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


A, B = Model(id="a"), Model(id="b")


def test_default_keep_alive() -> None:
    """A request that names no keep_alive keeps the model as long as the setting says, to the second."""
    clock = Clock()
    loaded = LoadedModels(300, clock)
    loaded.use(A, None)
    assert loaded.current() == [(A, 300)]
    clock.now += 299
    assert loaded.current() == [(A, 1)]
    clock.now += 1
    assert loaded.current() == []


def test_given_keep_alive() -> None:
    """The keep_alive of a request counts instead, and the last use is what counts."""
    clock = Clock()
    loaded = LoadedModels(300, clock)
    loaded.use(A, 10)
    loaded.use(B, None)
    clock.now += 9
    loaded.use(A, 10)
    clock.now += 9
    assert loaded.current() == [(B, 282), (A, 1)]


def test_shorter_keep_alive_replaces_a_longer_one() -> None:
    """A later request with a shorter keep_alive shortens it."""
    clock = Clock()
    loaded = LoadedModels(300, clock)
    loaded.use(A, None)
    loaded.use(A, 5)
    clock.now += 6
    assert loaded.current() == []


def test_zero_unloads() -> None:
    """keep_alive 0 removes the model at once, and only this one."""
    loaded = LoadedModels(300, Clock())
    loaded.use(A, None)
    loaded.use(B, None)
    loaded.use(A, 0)
    assert [model for model, _ in loaded.current()] == [B]


def test_zero_by_default() -> None:
    """With a default of 0 models are never loaded, unless a request asks for it."""
    loaded = LoadedModels(0, Clock())
    loaded.use(A, None)
    loaded.use(B, 5)
    assert [model for model, _ in loaded.current()] == [B]


def test_for_ever() -> None:
    """Infinity is for ever."""
    clock = Clock()
    loaded = LoadedModels(300, clock)
    loaded.use(A, float("inf"))
    clock.now += 1e9
    assert loaded.current() == [(A, float("inf"))]


def test_is_bounded() -> None:
    """Of very many names the oldest are forgotten: unknown names must not fill the memory."""
    loaded = LoadedModels(300, Clock())
    for number in range(1500):
        loaded.use(Model(id=str(number)), None)
    names = [model.id for model, _ in loaded.current()]
    assert len(names) == 1000
    assert names[-1] == "1499"
    assert "0" not in names


async def running(proxy: Proxy) -> dict[str, float]:
    """Return the models of `/api/ps`, each with the seconds it has left."""
    entries = (await proxy.ask("GET", "/api/ps")).json["models"]
    now = datetime.now().astimezone()
    return {entry["name"]: (datetime.fromisoformat(entry["expires_at"]) - now).total_seconds() for entry in entries}


async def test_used_models_are_running() -> None:
    """5.5: a model that was used is in `/api/ps` until its keep_alive is over, five minutes by default."""
    async with proxied() as proxy:
        assert (await proxy.ask("GET", "/api/ps")).json == {"models": []}
        proxy.upstream.script("m", HI)
        await proxy.chat()
        left = await running(proxy)
        assert set(left) == {"m:latest"}
        assert 295 < left["m:latest"] <= 300


async def test_embedding_models_are_running() -> None:
    """5.5: embedding uses a model, too."""
    async with proxied() as proxy:
        proxy.upstream.script("m", body({"data": [{"index": 0, "embedding": [1.0]}]}))
        await proxy.ask("POST", "/api/embed", {"model": "m", "input": "a", "keep_alive": "10m"})
        assert 595 < (await running(proxy))["m:latest"] <= 600


@pytest.mark.parametrize("forever", [-1, "-1m", -0.5])
async def test_negative_is_for_ever(forever: object) -> None:
    """3.1: a negative keep_alive is for ever: it expires about 292 years from now."""
    async with proxied() as proxy:
        proxy.upstream.script("m", HI)
        await proxy.chat(keep_alive=forever)
        years = (await running(proxy))["m:latest"] / timedelta(days=365.25).total_seconds()
        assert 291 < years < 293


async def test_zero_after_an_answer() -> None:
    """3.1: keep_alive 0 with a prompt answers, and unloads."""
    async with proxied() as proxy:
        proxy.upstream.script("m", HI)
        await proxy.chat()
        assert (await proxy.chat(keep_alive=0)).lines[-1]["done_reason"] == "stop"
        assert await running(proxy) == {}


async def test_load_and_unload() -> None:
    """5.8, R15: a chat without messages loads, with keep_alive 0 unloads; no call is made for either."""
    async with proxied() as proxy:
        loaded = await proxy.ask("POST", "/api/chat", {"model": "m"})
        assert loaded.json["done_reason"] == "load"
        assert set(await running(proxy)) == {"m:latest"}
        unloaded = await proxy.ask("POST", "/api/chat", {"model": "m", "messages": [], "keep_alive": 0})
        assert unloaded.json["done_reason"] == "unload"
        assert await running(proxy) == {}
        assert proxy.upstream.posts == []


async def test_setting() -> None:
    """OLLAMA_KEEP_ALIVE is the default."""
    async with proxied(ollama_keep_alive="30s") as proxy:
        await proxy.ask("POST", "/api/generate", {"model": "m"})
        assert 25 < (await running(proxy))["m:latest"] <= 30


async def test_longest_first() -> None:
    """5.5: the model that is kept longest comes first."""
    async with proxied(forward_unknown_models=True) as proxy:
        for name, seconds in (("a", 60), ("b", 600), ("c", 5)):
            await proxy.ask("POST", "/api/chat", {"model": name, "keep_alive": seconds})
        assert list(await running(proxy)) == ["b:latest", "a:latest", "c:latest"]
