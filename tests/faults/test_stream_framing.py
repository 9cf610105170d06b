"""How a stream is framed (reliability 2.G): whatever its bytes look like, the answer is the same, or an error."""

from __future__ import annotations

import pytest

from support.proxy import proxied
from support.scenario import SSE, Scenario, check, check_streamed, data, said, steps, until_close
from support.scripted import Chunk, Close, Hold
from support.streams import FRAMING, HI, INVALID, TEXT


def of(*rows: str) -> pytest.MarkDecorator:
    """Run a test with each scenario of these rows."""
    found = {name: scenario for name, scenario in FRAMING.items() if name.split()[0] in rows}
    assert {name.split()[0] for name in found} == set(rows)
    return pytest.mark.parametrize("scenario", found.values(), ids=found)


async def check_all_ways(scenario: Scenario) -> None:
    """Check what clients get if the stream comes at once, in pieces of 3 bytes, or ends with its connection."""
    async with proxied() as proxy:
        ways = (steps(scenario.stream), steps(scenario.stream, 3), (*until_close(scenario.stream), Close()))
        await check(proxy, scenario, *ways)


@of("G1")
async def test_g1_every_byte_by_itself(scenario: Scenario) -> None:
    """G1: each byte in a chunk of its own, within characters and names too, makes the same answer."""
    async with proxied() as proxy:
        await check(proxy, scenario, steps(scenario.stream, 1))


@of("G2")
async def test_g2_line_ends(scenario: Scenario) -> None:
    """G2: LF, CRLF, CR and a mixture end lines alike, wherever a read cuts them."""
    await check_all_ways(scenario)


@of("G3")
async def test_g3_byte_order_mark(scenario: Scenario) -> None:
    """G3: a byte order mark at the start is no part of the first event."""
    await check_all_ways(scenario)


@of("G4")
async def test_g4_space_after_the_colon(scenario: Scenario) -> None:
    """G4: `data:` needs no space, and takes other white space."""
    await check_all_ways(scenario)


@of("G5")
async def test_g5_event_of_several_lines(scenario: Scenario) -> None:
    """G5: an event's lines of data are one JSON object."""
    await check_all_ways(scenario)


@of("G6")
async def test_g6_comments(scenario: Scenario) -> None:
    """G6: comments are skipped and counted."""
    await check_all_ways(scenario)


async def test_g6_ten_thousand_comments() -> None:
    """G6: ten thousand comments before the answer and within it change nothing."""
    many = b": ping\n\n" * 10_000
    async with proxied() as proxy:
        await check(proxy, Scenario(many + HI.replace(b"data", many[:800] + b"data"), TEXT, counts=(3, 2)))


@of("G7")
async def test_g7_other_fields(scenario: Scenario) -> None:
    """G7: the fields of the specification and unknown ones are no error; unknown ones are counted."""
    await check_all_ways(scenario)


async def test_g7_event_error() -> None:
    """G7: an event that is named `error` is one."""
    named = b'event: error\ndata: {"message":"Blocked"}\n\n'
    async with proxied() as proxy:
        await check(proxy, Scenario(named, error="Blocked"))
        await check(proxy, Scenario(data(said("Hi")) + named + data(said("no")), "Hi", error="Blocked"))


@of("G8")
async def test_g8_empty_data(scenario: Scenario) -> None:
    """G8: an event with empty data only keeps the connection alive."""
    await check_all_ways(scenario)


@of("G9")
async def test_g9_no_done_marker(scenario: Scenario) -> None:
    """G9: without [DONE] a stream with a finish reason is whole."""
    await check_all_ways(scenario)


@of("G10")
async def test_g10_no_finish_reason(scenario: Scenario) -> None:
    """G10: [DONE], or usage after the content, is an end as well, and its reason is `stop`."""
    await check_all_ways(scenario)


@of("G11")
async def test_g11_done_marker_and_what_follows(scenario: Scenario) -> None:
    """G11: the first [DONE] ends the answer, however it is spelled; what follows makes no second end."""
    await check_all_ways(scenario)


@of("G12")
async def test_g12_last_event_without_blank_line(scenario: Scenario) -> None:
    """G12: the last event counts without its blank line if it is whole; half of one is no end."""
    await check_all_ways(scenario)


@of("G16")
async def test_g16_another_protocol(scenario: Scenario) -> None:
    """G16: lines of JSON, or objects without anything between them, are an error and no text."""
    await check_all_ways(scenario)


async def test_g16_another_protocol_is_not_waited_for() -> None:
    """G16: a stream of JSON lines is refused at its second line, not when it ends."""
    line = b'{"response":"Hi","done":false}\n'
    async with proxied() as proxy:
        proxy.upstream.script("m", (SSE, Chunk(line), Chunk(line), Hold()))
        for stream in (True, False):
            response = await proxy.chat(stream=stream)
            assert (response.status, response.json) == (502, {"error": INVALID})
            await proxy.upstream.peer_left(within=1.0)


@of("G17")
async def test_g17_bytes_that_are_no_text(scenario: Scenario) -> None:
    """G17: what is no UTF-8 becomes U+FFFD and is counted; the rest of the answer is kept."""
    await check_all_ways(scenario)


@of("G18")
async def test_g18_t13_other_line_ends(scenario: Scenario) -> None:
    """G18, T13: U+2028, U+2029, U+0085 and the separators of ASCII end no line, raw or escaped."""
    await check_all_ways(scenario)


async def test_g10_done_marker_is_not_waited_beyond() -> None:
    """G10: after [DONE] nothing is waited for, although the connection stays open."""
    scenario = Scenario(data(said("Hi"), "[DONE]"), "Hi")
    async with proxied() as proxy:
        proxy.upstream.script("m", (SSE, Chunk(scenario.stream), Hold()))
        check_streamed(await proxy.chat(), scenario)
        await proxy.upstream.peer_left(within=2.0)
