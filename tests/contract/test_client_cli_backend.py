"""The `ollama` CLI, replayed, where it matters what the backend answers (clients.md 2.1, contract 10.2)."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path

import pytest

from contract.backends import ABLE, LLAMA, VECTORS, facing, vectors
from contract.cli import LONGEST_LINE, Cli, StatusError, generate
from contract.wire import DOT
from support.replies import DONE, HI, SSE, body, delta, finish, streamed, text, usage
from support.scripted import Chunk, Close


async def test_run_of_a_model_that_came_later() -> None:
    """A model that the backend has had since a moment ago is pulled, then shown, and answers."""
    async with facing() as proxy:
        proxy.upstream.models.append({"id": "new"})
        proxy.upstream.script("new", HI)
        cli = Cli(proxy.url)
        answers: list[str] = []
        async with asyncio.timeout(5):
            while not answers:  # the list is asked for at most once a second
                with suppress(StatusError):
                    answers = await asyncio.to_thread(cli.run, "new", "Hello")
        assert answers == ["Hi"]
        assert [path for _, path in cli.asked[-3:]] == ["/api/show", "/api/generate", "/api/chat"]


async def test_history() -> None:
    """Each turn brings the whole history, with the thoughts that came, and the backend gets its text."""
    reply = streamed(delta(reasoning_content="Hm"), text("Fine"), finish(), usage(), DONE)
    async with facing(ABLE) as proxy:
        proxy.upstream.script("able", reply)
        assert await asyncio.to_thread(Cli(proxy.url).run, "able", "Hi", "Ho") == ["Fine", "Fine"]
        turns = [(turn["role"], turn["content"]) for turn in proxy.upstream.posts[1].json["messages"]]
        assert turns == [("user", "Hi"), ("assistant", "Fine"), ("user", "Ho")]
        assert len(proxy.upstream.posts) == 2  # the load before them cost nothing


async def test_long_line() -> None:
    """However long a piece of the backend's is, no line is longer than Go's scanner takes."""
    long = "x" * (LONGEST_LINE + 10)
    async with facing() as proxy:
        proxy.upstream.script("m", streamed(text(long), finish(), usage(), DONE))
        assert await asyncio.to_thread(Cli(proxy.url).run_once, "m", "Hi") == long
        assert await asyncio.to_thread(Cli(proxy.url).run, "m", "Hi") == [long]


@pytest.mark.parametrize("status", [401, 403])
async def test_key_of_the_proxy(status: int) -> None:
    """A backend that refuses the proxy's key is never 401 for the CLI, which would send people to sign in."""
    async with facing() as proxy:
        proxy.upstream.script("m", body({"error": {"message": "bad key"}}, status))
        with pytest.raises(StatusError) as raised:
            await asyncio.to_thread(Cli(proxy.url).run_once, "m", "Hi")
        assert raised.value.status in (500, 502)
        assert str(raised.value)


@pytest.mark.parametrize("status", [400, 429, 500, 503])
async def test_refusal(status: int) -> None:
    """The words of a refusal are on the first line, and are printed."""
    async with facing() as proxy:
        proxy.upstream.script("m", body({"error": {"message": "no\nreally"}}, status))
        with pytest.raises(StatusError, match="no") as raised:
            await asyncio.to_thread(Cli(proxy.url).run_once, "m", "Hi")
        assert raised.value.status == status


async def test_broken_answer() -> None:
    """An answer that breaks off is printed as far as it came, then an error; never the end of an answer."""
    async with facing() as proxy:
        proxy.upstream.script("m", (SSE, Chunk(text("Hi")), Close()))
        with pytest.raises(StatusError) as raised:
            await asyncio.to_thread(Cli(proxy.url).run_once, "m", "Hi")
        assert raised.value.status == 200


async def test_made_models_outlive_the_proxy(tmp_path: Path) -> None:
    """What `ollama create` and `ollama cp` made is listed after a restart, and what `ollama rm` took away is not."""
    rows: list[list[str]] = []
    for _ in range(2):
        async with facing(ABLE, data_dir=tmp_path) as proxy:
            cli = Cli(proxy.url)
            if not rows:
                await asyncio.to_thread(cli.create, "kept", **{"from": "able", "system": "Be brief."})
                await asyncio.to_thread(cli.cp, "kept", "copied")
                await asyncio.to_thread(cli.cp, "kept", "removed")
                await asyncio.to_thread(cli.rm, "removed")
            rows.append(sorted(row[0] + row[1] for row in await asyncio.to_thread(cli.listed)))
            assert (await asyncio.to_thread(cli.show, "copied"))["system"] == "Be brief."
    assert len(rows[0]) == 3
    assert rows[0] == rows[1]  # with their digests


async def test_images_for_a_model_that_sees() -> None:
    """With the ability `vision` the CLI sends the pictures that a prompt names, as base64 in `images`."""
    async with facing(ABLE) as proxy:
        proxy.upstream.script("able", HI)
        cli = Cli(proxy.url)
        assert "vision" in (await asyncio.to_thread(cli.show, "able"))["capabilities"]
        request = {**generate("able", "What is this?"), "images": [DOT]}
        lines = await asyncio.to_thread(lambda: list(cli.stream("/api/generate", request)))
        assert lines[-1]["done"]
        parts = proxy.upstream.posts[0].json["messages"][-1]["content"]
        assert [part["type"] for part in parts] == ["text", "image_url"]


async def test_columns() -> None:
    """What a llama.cpp server tells of its model is in the columns of list and ps."""
    async with facing(LLAMA) as proxy:
        cli = Cli(proxy.url)
        proxy.upstream.script("llama-3.2", HI)
        await asyncio.to_thread(cli.run_once, "llama-3.2", "Hi")
        ((name, digest, size),) = await asyncio.to_thread(cli.listed)
        assert (name, size) == ("llama-3.2:latest", "2.0 GB")
        assert await asyncio.to_thread(cli.ps) == [(name, digest, size, "100% GPU", 16384)]


async def test_embedder() -> None:
    """A model that the backend calls an embedder is asked for vectors."""
    async with facing(VECTORS) as proxy:
        proxy.upstream.script("vectors", body(vectors([1, 2, 3])))
        assert await asyncio.to_thread(Cli(proxy.url).run, "vectors", "Hi") == ["3"]


async def test_backend_that_is_gone() -> None:
    """Without its backend the proxy answers the look at its root, and tells what is wrong in words."""
    async with facing() as proxy:
        await proxy.upstream.stop()
        cli = Cli(proxy.url)
        assert [row[0] for row in await asyncio.to_thread(cli.listed)] == ["m:latest"]
        with pytest.raises(StatusError) as raised:
            await asyncio.to_thread(cli.run_once, "m", "Hi")
        assert raised.value.status in (502, 503)
        assert str(raised.value)
