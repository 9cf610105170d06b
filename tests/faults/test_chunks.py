"""What the chunks of a stream say (reliability 2.H): all of it reaches the client once, or an error is told."""

from __future__ import annotations

import json

import pytest

from support.chunks import FAILURES, NOTHING, REASONS, SAID
from support.proxy import proxied
from support.scenario import DONE, STOP, TAIL, Scenario, check, choice, data, said, steps


def of(*rows: str) -> pytest.MarkDecorator:
    """Run a test with each scenario of these rows."""
    found = {name: scenario for name, scenario in SAID.items() if name.split()[0] in rows}
    assert {name.split()[0] for name in found} == set(rows)
    return pytest.mark.parametrize("scenario", found.values(), ids=found)


async def check_both_ways(scenario: Scenario) -> None:
    """Check what clients get if the stream comes at once, and if it comes in pieces."""
    async with proxied() as proxy:
        await check(proxy, scenario, steps(scenario.stream), steps(scenario.stream, 7))


@of("H1")
async def test_h1_invalid_json(scenario: Scenario) -> None:
    """H1: an event that can't be read ends the answer with an error: its tokens must not be lost silently."""
    await check_both_ways(scenario)


@of("H2")
async def test_h2_chunk_that_is_no_object(scenario: Scenario) -> None:
    """H2: JSON that is no object is as bad as none."""
    await check_both_ways(scenario)


@pytest.mark.parametrize(("chunk", "odd"), NOTHING.values(), ids=NOTHING)
async def test_h2_h3_h4_h5_h6_h7_h24_h25_chunk_that_says_nothing(chunk: object, odd: str) -> None:
    """H2 to H7, H24, H25: wherever a chunk comes that says nothing, it is no line, no error and no end."""
    said_before = [chunk, said("H"), chunk, said("i"), chunk]
    stream = data(*said_before, choice({}, "length"), chunk, *json_of(TAIL)[1:])
    scenario = Scenario(stream, "Hi", reason="length", counts=(3, 2), odd=(odd,) if odd else ())
    async with proxied() as proxy:
        await check(proxy, scenario)
        proxy.upstream.script("m", steps(stream))
        lines = (await proxy.chat()).lines
        assert [line["message"]["content"] for line in lines] == ["H", "i", ""]


def json_of(stream: bytes) -> list[str]:
    """The data of the events."""
    return [event.removeprefix("data: ") for event in stream.decode().split("\n\n")[:-1]]


@of("H5", "H6")
async def test_h5_h6_content_in_parts_and_roles(scenario: Scenario) -> None:
    """H5, H6: parts of content are joined, and a role that is repeated is nothing new."""
    await check_both_ways(scenario)


@of("H7")
async def test_h7_only_the_first_choice(scenario: Scenario) -> None:
    """H7: nothing of other choices is told, and their end is not ours."""
    await check_both_ways(scenario)


@of("H8")
async def test_h8_reason_with_the_last_token(scenario: Scenario) -> None:
    """H8: the token that comes with the reason is told before the end."""
    await check_both_ways(scenario)


@of("H9")
async def test_h9_order_of_reason_and_usage(scenario: Scenario) -> None:
    """H9: however often reason and usage come, in whatever order and form, there is one end with valid counts."""
    await check_both_ways(scenario)


@of("H10")
async def test_h10_no_usage(scenario: Scenario) -> None:
    """H10: counts that nobody told are left out; the durations are there."""
    await check_both_ways(scenario)


@of("H11")
async def test_h11_content_after_the_reason(scenario: Scenario) -> None:
    """H11: what comes after the reason is told, before the end."""
    await check_both_ways(scenario)


async def test_h12_finish_reasons() -> None:
    """H12, contract 3.10: of the reasons only `length` is one of Ollama's; the others are `stop`."""
    async with proxied() as proxy:
        for reason, told in REASONS.items():
            await check(proxy, Scenario(data(said("Hi"), choice({}, reason), DONE), "Hi", reason=told))


async def test_h12_reasons_of_failures() -> None:
    """H12: `error` and `abort` are no end but a failure, after text and before it."""
    async with proxied() as proxy:
        for reason, message in FAILURES.items():
            failing = data(choice({}, reason), DONE)
            await check(proxy, Scenario(data(said("Hi")) + failing, "Hi", error=message))
            await check(proxy, Scenario(failing, error=message))


async def test_h12_no_reason_at_all() -> None:
    """H12: an empty reason, or null for ever, is none: [DONE] ends the answer, and without it the stream was cut."""
    cut = "the upstream closed the stream before finishing"
    async with proxied() as proxy:
        none_at_all: tuple[object, ...] = ("", None, 0, {})
        for nothing in none_at_all:
            chunk = choice({"content": "Hi"}, nothing)
            await check(proxy, Scenario(data(chunk, DONE), "Hi", odd=("finish_missing",)))
            await check(proxy, Scenario(data(chunk), "Hi", error=cut))


@of("H20")
async def test_h20_legacy_function_call(scenario: Scenario) -> None:
    """H20: the old way of calling a function is a tool call."""
    await check_both_ways(scenario)


@of("H23")
async def test_h23_only_reasoning(scenario: Scenario) -> None:
    """H23: an answer that is only thinking is whole."""
    await check_both_ways(scenario)


async def test_h24_logprobs_of_a_chunk_without_content() -> None:
    """H24: log probabilities beside content that is null are kept for the line that follows."""
    entry = {"token": "Hi", "logprob": -0.5, "bytes": [72, 105], "top_logprobs": []}
    alone = choice({"content": None}, logprobs={"content": [entry]})
    async with proxied() as proxy:
        proxy.upstream.script("m", steps(data(alone, said("Hi"), STOP, DONE)))
        for stream in (True, False):
            response = await proxy.chat(stream=stream, logprobs=True)
            records = response.lines if stream else [response.json]
            told = [token for record in records for token in record.get("logprobs", ())]
            assert told == [{"token": "Hi", "logprob": -0.5, "bytes": [72, 105]}]


@of("H25")
async def test_h25_refusal(scenario: Scenario) -> None:
    """H25: a refusal is the answer."""
    await check_both_ways(scenario)


async def test_h26_names_of_the_upstream_are_not_told() -> None:
    """H26, contract 1.8: the client sees the model as it spelled it and times of its own, whatever the chunks say."""
    names = [("x1", "gpt-4o-2024", 1.5), ("x2", "other", 1_700_000_000_000), (7, None, "now")]
    chunks = [said("Hi") | {"id": one, "model": model, "created": when} for one, model, when in names]
    async with proxied() as proxy:
        proxy.upstream.script("m", steps(data(*chunks, STOP, DONE)))
        for stream in (True, False):
            response = await proxy.chat("M:latest", stream=stream)
            records = response.lines if stream else [response.json]
            assert {record["model"] for record in records} == {"M:latest"}
            assert all(
                record["created_at"].startswith("20") and record["created_at"].endswith("Z") for record in records
            )
            assert not any(name in json.dumps(records) for name in ("gpt-4o", "other", "x1", "x2"))
            times = [record["created_at"] for record in records]
            assert times == sorted(times)
