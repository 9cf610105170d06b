"""The official Python SDK for asyncio: it reads streams by other code than the plain one."""

import asyncio

import ollama
import pytest

from contract.running import Proxy
from contract.wire import tool, user
from support.waiting import eventually

HELLO = [user("Hello")]
Client = ollama.AsyncClient


async def test_models(async_client: Client) -> None:
    """Models are listed, shown and, when used, told to be loaded."""
    assert "demo:latest" in [model.model for model in (await async_client.list()).models]
    assert (await async_client.show("demo")).modelinfo
    await async_client.generate("demo")
    assert "demo:latest" in [model.model for model in (await async_client.ps()).models]


async def test_chat(async_client: Client) -> None:
    """A stream says the same as the whole reply, U+2028, U+2029 and U+0085 included (R4)."""
    messages = [user("a\u2028b\u2029c\u0085d")]
    whole = await async_client.chat("demo", messages)
    parts = [part async for part in await async_client.chat("demo", messages, stream=True)]
    assert (whole.message.content or "").startswith("You said: a\u2028b\u2029c\u0085d\n")
    assert "".join(part.message.content or "" for part in parts) == whole.message.content
    assert [part.done for part in parts] == [False] * (len(parts) - 1) + [True]


async def test_generate(async_client: Client) -> None:
    """A streamed generation says the same as the whole one."""
    whole = await async_client.generate("demo", "Hello")
    parts = [part async for part in await async_client.generate("demo", "Hello", stream=True)]
    assert (whole.response or "").startswith("You said: Hello\n")
    assert "".join(part.response or "" for part in parts) == whole.response


async def test_tools(async_client: Client) -> None:
    """Calls come with arguments that are objects, all of a turn at once."""
    messages = [user("Call get_weather for Paris and get_weather for Oslo.")]
    tools = [tool("get_weather", "city")]
    parts = [part async for part in await async_client.chat("demo", messages, tools=tools, stream=True)]
    (holding,) = (part.message.tool_calls for part in parts if part.message.tool_calls)
    assert [dict(call.function.arguments) for call in holding] == [{"city": "Paris"}, {"city": "Oslo"}]


async def test_embed(async_client: Client) -> None:
    """Vectors come in the order of the texts."""
    both = await async_client.embed("demo-embed", ["tea", "boat"])
    boat = await async_client.embed("demo-embed", "boat")
    assert both.embeddings[1:] == boat.embeddings
    assert list((await async_client.embeddings("demo-embed", "boat")).embedding) == pytest.approx(boat.embeddings[0])


async def test_many_at_once(async_client: Client) -> None:
    """Answers that come at the same time do not mix."""

    async def said(word: str) -> str:
        parts = [part async for part in await async_client.chat("demo", [user(word)], stream=True)]
        return "".join(part.message.content or "" for part in parts)

    words = [f"word{number}" for number in range(20)]
    answers = await asyncio.gather(*map(said, words))
    assert [answer.partition("\n")[0] for answer in answers] == [f"You said: {word}" for word in words]


async def test_errors(async_client: Client) -> None:
    """An error before an answer has its status; one in the middle comes after the text (contract 1.10)."""
    with pytest.raises(ollama.ResponseError, match="model 'nope' not found") as raised:
        await async_client.chat("nope", HELLO)
    assert raised.value.status_code == 404
    stream = await async_client.chat("demo-fail-cut", HELLO, stream=True)
    assert [(await anext(stream)).message.content for _ in range(3)] == ["You", " said:", " Hello"]
    with pytest.raises(ollama.ResponseError, match="the upstream closed the stream before finishing"):
        await anext(stream)


async def test_cancelled(async_client: Client, proxy: Proxy) -> None:
    """When a task that waits for the rest of a stream is cancelled, the exchange ends at once."""
    before = len(proxy.exchanges("demo-fail-stall"))
    arrived = asyncio.Event()

    async def read() -> None:
        async for _ in await async_client.chat("demo-fail-stall", HELLO, stream=True):
            arrived.set()

    reading = asyncio.create_task(read())
    await arrived.wait()
    assert len(proxy.exchanges("demo-fail-stall")) == before
    reading.cancel()
    await eventually(lambda: len(proxy.exchanges("demo-fail-stall")) > before)
    assert proxy.exchanges("demo-fail-stall")[-1]["outcome"] == "client_abort"
