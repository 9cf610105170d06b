"""Tool calls and reasoning in chunks (reliability 2.H): every backend's way of sending them, told in Ollama's."""

from __future__ import annotations

from typing import Any

import pytest

from support.chunks import ARGUMENTS, BROKEN, CALLS, REASONING, ok
from support.proxy import proxied
from support.scenario import DONE, STOP, TAIL, Scenario, called, check, choice, data, fragment, said, steps


def of(*rows: str) -> pytest.MarkDecorator:
    """Run a test with each scenario of these rows."""
    found = {name: scenario for name, scenario in {**CALLS, **REASONING}.items() if name.split()[0] in rows}
    assert {name.split()[0] for name in found} == set(rows)
    return pytest.mark.parametrize("scenario", found.values(), ids=found)


async def check_both_ways(scenario: Scenario) -> None:
    """Check what clients get if the stream comes at once, and if it comes in pieces."""
    async with proxied() as proxy:
        await check(proxy, scenario, steps(scenario.stream), steps(scenario.stream, 7))


@of("H13", "H14")
async def test_h13_h14_reason_and_calls_disagree(scenario: Scenario) -> None:
    """H13, H14: calls are told although the reason is `stop`, and text although it is `tool_calls`."""
    await check_both_ways(scenario)


@of("H15")
async def test_h15_names_of_calls(scenario: Scenario) -> None:
    """H15: a name that comes late, again, or in two makes one call with the right name."""
    await check_both_ways(scenario)


@of("H16")
async def test_h16_indexes_of_calls(scenario: Scenario) -> None:
    """H16: the id tells calls apart, then the index, then their order; arguments are never mixed."""
    await check_both_ways(scenario)


@of("H17")
async def test_h17_ids_of_calls(scenario: Scenario) -> None:
    """H17: each call has an id of its own, also if the backend gives none, or the same to all."""
    async with proxied() as proxy:
        heard = await check(proxy, scenario)
        assert len(set(heard.ids)) == 2
        assert all(heard.ids)


@pytest.mark.parametrize(("sent", "told"), ARGUMENTS.values(), ids=ARGUMENTS)
async def test_h18_arguments(sent: object, told: dict[str, Any] | None) -> None:
    """H18: arguments are an object for the client, none is an empty one, and broken ones are an error."""
    whole = fragment(0, "a", "f") | {"function": {"name": "f", "arguments": sent}}
    stream = data(said("Hi"), called(whole)) + TAIL
    error = "" if told is not None else BROKEN
    odd = () if told is not None else ("tool_bad_args",)
    counts = (3, 2)
    scenario = Scenario(
        stream, "Hi", calls=(("f", told),) if told is not None else (), error=error, counts=counts, odd=odd
    )
    async with proxied() as proxy:
        await check(proxy, scenario)


async def test_h18_half_of_the_arguments_before_anything_was_said() -> None:
    """H18: where nothing was sent yet, broken arguments are a status."""
    async with proxied() as proxy:
        await check(proxy, Scenario(data(called(fragment(0, "a", "f", '{"x')), STOP, DONE), error=BROKEN))


async def test_h19_arguments_before_the_name() -> None:
    """H19: arguments that come before the name of their function belong to the call."""
    parts = (fragment(0, "a", None, '{"x"'), fragment(0, None, None, ":1}"), fragment(0, None, "f"))
    scenario = ok(*map(called, parts), text="", calls=(("f", {"x": 1}),), odd=("tool_late_name",))
    await check_both_ways(scenario)


@pytest.mark.parametrize(("piece", "count"), [("abc", 10_000), ("x" * 5000, 1000)], ids=["10,000 pieces", "5 MB"])
async def test_h19_many_and_long_arguments(piece: str, count: int) -> None:
    """H19: arguments of ten thousand pieces, or of 5 MB, arrive whole."""
    parts = [fragment(0, "a", "f", '{"x":"'), *[fragment(0, arguments=piece)] * count, fragment(0, arguments='"}')]
    scenario = ok(*map(called, parts), text="", calls=(("f", {"x": piece * count}),))
    async with proxied() as proxy:
        proxy.upstream.script("m", steps(scenario.stream, 1000))
        (line,) = [line for line in (await proxy.chat()).lines if "tool_calls" in line["message"]]
        assert line["message"]["tool_calls"][0]["function"]["arguments"] == {"x": piece * count}


@of("H21")
async def test_h21_order(scenario: Scenario) -> None:
    """H21: text and thinking keep their order, and the calls come once, right before the end."""
    async with proxied() as proxy:
        await check(proxy, scenario)
        lines = (await proxy.chat()).lines
        kinds = ["tool_calls" if "tool_calls" in line["message"] else line["message"]["content"] for line in lines]
        assert kinds == ["", "H", "", "i", "tool_calls", ""]
        assert [line["message"].get("thinking") for line in lines] == ["h", None, "m", None, None, None]


@of("H22")
async def test_h22_reasoning(scenario: Scenario) -> None:
    """H22: thinking is told once, under whichever names it comes, or between tags, however those are cut."""
    async with proxied() as proxy:
        await check(proxy, scenario, *(steps(scenario.stream, size) for size in (0, 1, 5)))


async def test_h22_one_name_after_the_other() -> None:
    """H22: a backend may change the name within a stream."""
    chunks = (choice({"reasoning": "h"}), choice({"reasoning_content": "m"}), choice({"thinking": "!"}), said("Hi"))
    await check_both_ways(ok(*chunks, thinking="hm!"))
