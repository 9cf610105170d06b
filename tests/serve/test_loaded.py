"""Which models count as loaded (contract 3.1, 5.5)."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

import pytest

from ollama_openai_proxy.serve.loaded import LoadedModels
from ollama_openai_proxy.translate.models import Model
from support.proxy import Proxy, chat, proxied
from support.replies import DONE, HI, SSE, body, finish, text
from support.scripted import Chunk, End, Hold, Wait


class Clock:
    """Seconds that pass when they are told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def same(model: Model) -> Model:
    """All that is known of any model is what was known when it was used."""
    return model


A, B = Model(id="a"), Model(id="b")


def test_default_keep_alive() -> None:
    """A request that names no keep_alive keeps the model as long as the setting says, to the second."""
    clock = Clock()
    loaded = LoadedModels(300, clock)
    loaded.use(A, None)
    assert loaded.current(same) == [(A, 300)]
    clock.now += 299
    assert loaded.current(same) == [(A, 1)]
    clock.now += 1
    assert loaded.current(same) == []


def test_given_keep_alive() -> None:
    """The keep_alive of a request counts instead, and the last use is what counts."""
    clock = Clock()
    loaded = LoadedModels(300, clock)
    loaded.use(A, 10)
    loaded.use(B, None)
    clock.now += 9
    loaded.use(A, 10)
    clock.now += 9
    assert loaded.current(same) == [(B, 282), (A, 1)]


def test_shorter_keep_alive_replaces_a_longer_one() -> None:
    """A later request with a shorter keep_alive shortens it."""
    clock = Clock()
    loaded = LoadedModels(300, clock)
    loaded.use(A, None)
    loaded.use(A, 5)
    clock.now += 6
    assert loaded.current(same) == []


def test_zero_unloads() -> None:
    """keep_alive 0 removes the model at once, and only this one."""
    loaded = LoadedModels(300, Clock())
    loaded.use(A, None)
    loaded.use(B, None)
    loaded.use(A, 0)
    assert [model for model, _ in loaded.current(same)] == [B]


def test_zero_by_default() -> None:
    """With a default of 0 models are never loaded, unless a request asks for it."""
    loaded = LoadedModels(0, Clock())
    loaded.use(A, None)
    loaded.use(B, 5)
    assert [model for model, _ in loaded.current(same)] == [B]


def test_for_ever() -> None:
    """Infinity is for ever."""
    clock = Clock()
    loaded = LoadedModels(300, clock)
    loaded.use(A, float("inf"))
    clock.now += 1e9
    assert loaded.current(same) == [(A, float("inf"))]


def test_is_bounded() -> None:
    """Of very many names the oldest are forgotten: unknown names must not fill the memory."""
    loaded = LoadedModels(300, Clock())
    for number in range(1500):
        loaded.use(Model(id=str(number)), None)
    names = [model.id for model, _ in loaded.current(same)]
    assert len(names) == 1000
    assert names[-1] == "1499"
    assert "0" not in names


def test_running_request() -> None:
    """5.5: while a request runs its model is loaded, however short its keep_alive; that counts from the end."""
    clock = Clock()
    loaded = LoadedModels(300, clock)
    release = loaded.hold(A, 5)
    clock.now += 60
    assert loaded.current(same) == [(A, 5)]
    release()
    clock.now += 4
    assert loaded.current(same) == [(A, 1)]
    clock.now += 1
    assert loaded.current(same) == []


def test_running_request_with_zero() -> None:
    """3.1: keep_alive 0 unloads the model when the request has ended, and not before."""
    loaded = LoadedModels(300, Clock())
    loaded.use(A, None)
    release = loaded.hold(A, 0)
    assert loaded.current(same) == [(A, 0)]
    release()
    assert loaded.current(same) == []


def test_several_requests() -> None:
    """5.5: of several requests the last to end counts, and the keep_alive of the last to begin."""
    clock = Clock()
    loaded = LoadedModels(300, clock)
    first, second = loaded.hold(A, 60), loaded.hold(A, 5)
    second()
    clock.now += 100
    assert loaded.current(same) == [(A, 5)]
    first()
    assert loaded.current(same) == [(A, 5)]
    clock.now += 5
    assert loaded.current(same) == []


def test_unloading_what_runs() -> None:
    """3.1: an unload waits for the requests that run."""
    loaded = LoadedModels(300, Clock())
    release = loaded.hold(A, None)
    loaded.use(A, 0)
    assert loaded.current(same) == [(A, 0)]
    release()
    assert loaded.current(same) == []


def test_latest_facts() -> None:
    """What is shown of a loaded model is what is known now; a model that is no more is not loaded, either."""
    loaded = LoadedModels(300, Clock())
    loaded.use(A, None)
    loaded.use(B, None)
    known = {"a": Model(id="a", context_length=5)}
    assert loaded.current(lambda model: known.get(model.id)) == [(known["a"], 300)]
    assert loaded.current(same) == [(known["a"], 300)]


def test_end_of_a_forgotten_request() -> None:
    """A request that ends after its model was pushed out of the table loads nothing."""
    loaded = LoadedModels(300, Clock())
    release = loaded.hold(A, None)
    for number in range(1000):
        loaded.use(Model(id=str(number)), None)
    release()
    assert A not in [model for model, _ in loaded.current(same)]


async def running(proxy: Proxy) -> dict[str, float]:
    """Return the models of `/api/ps`, each with the seconds it has left."""
    entries = (await proxy.ask("GET", "/api/ps")).json["models"]
    now = datetime.now().astimezone()
    return {entry["name"]: (datetime.fromisoformat(entry["expires_at"]) - now).total_seconds() for entry in entries}


async def becomes(proxy: Proxy, names: set[str]) -> None:
    """Wait until these models are running."""
    async with asyncio.timeout(5):
        while set(await running(proxy)) != names:
            pass


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


@pytest.mark.parametrize("stream", [True, False])
async def test_while_it_answers(stream: bool) -> None:
    """5.5: a model is loaded from the moment that the backend took the call, with keep_alive 0, too, to the end."""
    barrier = asyncio.Event()
    async with proxied() as proxy, proxy.client() as client:
        proxy.upstream.script("m", (SSE, Chunk(text("a")), Wait(barrier), Chunk(text("b") + finish() + DONE), End()))
        await client.ask("POST", "/api/chat", chat(stream=stream, keep_alive=0))
        await becomes(proxy, {"m:latest"})
        barrier.set()
        await client.response()
        assert await running(proxy) == {}


async def test_end_of_an_answer() -> None:
    """3.1: whoever has the whole answer finds the model unloaded, though the backend still has its connection open."""
    barrier = asyncio.Event()
    async with proxied() as proxy:
        proxy.upstream.script("m", (SSE, Chunk(text("a") + finish() + DONE), Wait(barrier), End()))
        await proxy.chat(keep_alive=0)
        assert await running(proxy) == {}
        barrier.set()


async def test_client_that_leaves() -> None:
    """5.5: keep_alive counts from the end of a request that the client has left, too."""
    async with proxied() as proxy:
        proxy.upstream.script("m", (SSE, Chunk(text("a")), Hold()))
        async with proxy.client() as client:
            await client.ask("POST", "/api/chat", chat(keep_alive=0))
            await client.head()
            await client.chunk()
            assert set(await running(proxy)) == {"m:latest"}
        await becomes(proxy, set())


async def test_refused_call() -> None:
    """5.5: a call that the backend refuses loads nothing."""
    async with proxied() as proxy:
        proxy.upstream.script("m", body({"error": {"message": "no"}}, 400))
        assert (await proxy.chat()).status == 400
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
