"""Events that are large, many or endless (reliability 2.G, T14 to T16): in time, in order, in short lines."""

from __future__ import annotations

import asyncio
import time

import pytest

from ollama_openai_proxy.upstream.reply import MAX_READ
from support.chunks import ok
from support.proxy import Proxy, chat, proxied
from support.scenario import (
    SSE,
    STOP,
    Scenario,
    called,
    check,
    check_lines,
    check_streamed,
    check_whole,
    choice,
    data,
    fragment,
    said,
    steps,
)
from support.scripted import Chunk, End, Flood, Hold
from support.waiting import eventually

TOO_LARGE = "the upstream sent an event that is too large"
STALL = 0.05  # seconds, the most that G14 allows
GENEROUS = 6  # times that, on a machine that does other things, too


@pytest.mark.parametrize("size", [1_200_000, 10_000_000])
async def test_g13_t15_t16_big_event(size: int) -> None:
    """G13, T15, T16: an event of many megabytes arrives whole, in lines of at most 1 MiB, cut between characters."""
    text = ("😀é\u2028\x01" * size)[: size // 4]
    async with proxied() as proxy:
        scenario = ok(choice({"reasoning": text}), said(text), text=text, thinking=text)
        proxy.upstream.script("m", steps(scenario.stream, 60_000))
        check_streamed(await proxy.chat(), scenario)
        check_whole(await proxy.chat(stream=False), scenario)


async def test_g13_big_event_with_log_probabilities() -> None:
    """G13, contract 3.8: log probabilities without number are told in as many lines as they need."""
    entry = {"token": "ab", "logprob": -0.5, "bytes": [97, 98], "top_logprobs": []}
    chunk = choice({"content": "ab" * 60_000}, logprobs={"content": [entry] * 60_000})
    async with proxied() as proxy:
        proxy.upstream.script("m", steps(data(chunk, STOP), 60_000))
        records = check_lines(await proxy.chat(logprobs=True))
        assert sum(len(record.get("logprobs", ())) for record in records) == 60_000
        assert "".join(record["message"]["content"] for record in records) == "ab" * 60_000
        assert [record["done"] for record in records].index(True) == len(records) - 1


async def test_g13_tool_call_is_not_cut() -> None:
    """G13: the arguments of a call are one object, however large."""
    argument = "x" * 1_500_000
    async with proxied() as proxy:
        proxy.upstream.script("m", steps(data(called(fragment(0, "a", "f", f'{{"x":"{argument}"}}')), STOP), 60_000))
        (call,) = [line for line in (await proxy.chat()).lines if "tool_calls" in line["message"]]
        assert call["message"]["tool_calls"][0]["function"]["arguments"] == {"x": argument}


async def test_g13_max_event_size() -> None:
    """G13: MAX_EVENT_SIZE is the most that an event may have; one byte more is an error."""
    inner = len(data(said(""))) - len(b"data: \n\n")
    fits, beyond = "x" * (2048 - inner), "x" * (2049 - inner)
    async with proxied(max_event_size=2048) as proxy:
        await check(proxy, ok(said(fits), text=fits))
        await check(proxy, Scenario(data(said("Hi"), said(beyond), STOP), "Hi", error=TOO_LARGE))
        await check(proxy, Scenario(data(said(beyond), STOP), error=TOO_LARGE))


@pytest.mark.parametrize("endless", [b"x" * 500, b"data: x\n" * 60, b"data:\n" * 80], ids=["line", "lines", "nothing"])
async def test_g13_event_without_end_is_let_go(endless: bytes) -> None:
    """G13: an event that never ends is an error as soon as it is too large, and the upstream is let go."""
    async with proxied(max_event_size=4096) as proxy:
        proxy.upstream.script("m", (SSE, Chunk(data(said("Hi"))), Chunk(b"data: "), Flood(endless, 2000), Hold()))
        check_streamed(await proxy.chat(), Scenario(b"", "Hi", error=TOO_LARGE))
        await proxy.upstream.peer_left(within=1.0)


async def longest_stall(proxy: Proxy, scenario: Scenario) -> float:
    """Return for how many seconds the loop was held while a client was answered."""
    longest, answered = 0.0, asyncio.Event()

    async def probe() -> None:
        nonlocal longest
        while not answered.is_set():
            before = time.perf_counter()
            await asyncio.sleep(0)
            longest = max(longest, time.perf_counter() - before)

    async with proxy.client() as client:
        await client.ask("POST", "/api/chat", chat())
        head = await client.head()
        assert head.status == 200
        task = asyncio.create_task(probe())
        body = await client.read_until(b'"done":true')
        answered.set()
        await task
    assert body.count(b'"done":false') == len(scenario.text)
    return longest


@pytest.mark.parametrize("between", [b"", b":\n" * 50, b"data: {}\n\n" * 20], ids=["tokens", "comments", "pings"])
async def test_g14_tiny_events_do_not_hold_the_loop(between: bytes) -> None:
    """G14: fifty thousand tiny events that came at once arrive in order, and others have their turn meanwhile.

    The scripted backend and the client share the loop, so its limit is a multiple of what G14 allows.
    """
    count = 50_000 // max(len(between) // 2, 1)
    stream = b"".join(data(said(str(number % 10))) + between for number in range(count))
    scenario = Scenario(stream + data(STOP), "".join(str(number % 10) for number in range(count)))
    async with proxied() as proxy:
        proxy.upstream.script("m", steps(scenario.stream))
        response = await proxy.chat()
        check_streamed(response, scenario)
        # What is written at once was translated at once.
        assert max(chunk.count(b"\n") for chunk in response.chunks) <= MAX_READ // len(data(said("0"))) + 1
        assert await longest_stall(proxy, scenario) < GENEROUS * STALL


async def test_g15_large_event_in_small_pieces() -> None:
    """G15: 12 MB in pieces of 1 KB take work that grows with their size, not with its square."""
    text = "x" * 12_000_000
    stream = data(said(text), STOP)
    async with proxied() as proxy:
        proxy.upstream.script("m", steps(stream, 1000))
        began = time.process_time()
        response = await proxy.chat()
        # Backend, proxy and client, of which the proxy's splitting is a small part; quadratic would be minutes.
        assert time.process_time() - began < 20
        check_streamed(response, Scenario(stream, text))


async def test_t16_long_lines_of_comments() -> None:
    """T16: no reader of lines with a limit of its own is in the way: a comment of 1 MB is skipped."""
    async with proxied() as proxy:
        await check(
            proxy, Scenario(b": " + b"x" * 1_000_000 + b"\n\n" + data(said("Hi"), STOP), "Hi", odd=("comment",))
        )


async def test_h19_g15_a_name_with_each_of_many_fragments() -> None:
    """H19, G15: to tell whether each of many fragments begins another call is work that grows with their number."""
    parts = [fragment(0, None, "f", "{" if number else '{"a":') for number in range(20_000)]
    async with proxied() as proxy:
        scenario = Scenario(data(*map(called, parts), STOP), error="model returned invalid tool arguments")
        proxy.upstream.script("m", steps(scenario.stream))
        check_streamed(await proxy.chat(), scenario)


async def test_h19_calls_without_number() -> None:
    """H19: more calls than anybody makes are an error, not memory that is filled."""
    many = [called(fragment(number, f"c{number}", "f", "{}")) for number in range(600)]
    async with proxied() as proxy:
        await check(proxy, Scenario(data(*many, STOP), error="the upstream called too many tools"))


async def test_t15_no_line_while_there_is_nothing_to_say() -> None:
    """T15, H6: however long a backend only keeps its connection alive, no blank line and no empty one is sent."""
    quiet = b": ping\n\n" + data({}, choice({"role": "assistant"}), said(""))
    async with proxied() as proxy:
        proxy.upstream.script("m", (SSE, *[Chunk(quiet)] * 20, Chunk(data(said("Hi"), STOP)), End()))
        assert [line["message"]["content"] for line in (await proxy.chat()).lines] == ["Hi", ""]
        await eventually(lambda: not proxy.upstream.busy)
