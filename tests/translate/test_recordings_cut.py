"""Replies of real backends and of vendors' documentation, cut everywhere: into reads, and short."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from support.decoding import JSON, SSE, replay

RECORDINGS = Path(__file__).parents[1] / "recordings"
REPLIES = sorted([*RECORDINGS.glob("documented/*.sse"), *RECORDINGS.glob("*.sse")])
BODIES = sorted([*RECORDINGS.glob("documented/*.json"), *RECORDINGS.glob("llamacpp-[cn]*.json")])


def name(path: Path) -> str:
    return path.stem


def finish_end(stream: bytes) -> int:
    """Where the first event with a finish reason is complete: behind the last byte of its JSON."""
    found = re.search(rb'data: .*("finish_reason":"(?!error)|"stop":true).*', stream)
    return found.end() if found else len(stream) + 1


def error_end(stream: bytes) -> int:
    """Where the first event with an error is complete."""
    found = re.search(rb'data: .*"error":\{.*', stream)
    return found.end() if found else len(stream) + 1


def positions(stream: bytes) -> list[int]:
    """Every position; of a long stream, whose middle repeats itself, every fifth there."""
    long = len(stream) > 3300
    return [at for at in range(len(stream) + 1) if not long or at < 800 or at > len(stream) - 1600 or at % 5 == 0]


@pytest.mark.parametrize("streamed", [True, False], ids=["stream", "whole"])
@pytest.mark.parametrize("path", REPLIES, ids=name)
def test_g1_single_bytes_give_the_same_output(path: Path, streamed: bool) -> None:
    """G1: every byte in a read of its own."""
    stream = path.read_bytes()
    single = [stream[at : at + 1] for at in range(len(stream))]
    assert replay(single, streamed=streamed).output == replay([stream], streamed=streamed).output


@pytest.mark.parametrize("path", REPLIES, ids=name)
def test_g1_g2_two_reads_give_the_same_output_wherever_they_are_cut(path: Path) -> None:
    """G1, G2: within a character, a line end, a name, a number."""
    stream = path.read_bytes()
    whole = replay([stream]).output
    for at in positions(stream):
        assert replay([stream[:at], stream[at:]]).output == whole, at


@pytest.mark.parametrize("path", REPLIES, ids=name)
def test_g2_crlf_gives_the_same_output_wherever_it_is_cut(path: Path) -> None:
    """G2: the same stream with the line ends of other servers, cut between CR and LF, too."""
    stream = path.read_bytes()
    whole = replay([stream]).output
    for ending in (b"\r\n", b"\r"):
        other = stream.replace(b"\n", ending)
        ends = [found.start() + step for found in re.finditer(rb"\r", other) for step in (0, 1)]
        assert all(replay([other[:at], other[at:]]).output == whole for at in ends)


@pytest.mark.parametrize("path", REPLIES, ids=name)
def test_f2_f3_g12_a_stream_cut_short_is_done_only_if_its_reason_came_through(path: Path) -> None:
    """F2, F3, G12: at every byte exactly one end, and never `done` before the whole finish reason or with an error."""
    stream = path.read_bytes()
    enough, failed = finish_end(stream), error_end(stream)
    for at in positions(stream):
        replayed = replay([stream[:at]])
        records = replayed.lines
        ends = [record for record in records if record.get("done") or "error" in record]
        assert ends == records[-1:], at
        assert ("error" not in ends[0]) == replayed.done == (at >= enough), at
        assert (replayed.failure is None) == replayed.done, at
        if at < min(enough, failed):
            assert replayed.failure is not None
            assert replayed.failure.outcome in ("up_truncated", "up_empty"), at


@pytest.mark.parametrize("path", REPLIES, ids=name)
def test_f2_a_stream_cut_short_says_nothing_that_the_whole_does_not(path: Path) -> None:
    """F2: the lines before the end are the first lines of the whole."""
    stream = path.read_bytes()
    whole = replay([stream]).lines
    for at in range(0, len(stream), 11):
        said = replay([stream[:at]]).lines[:-1]
        assert said == whole[: len(said)], at


@pytest.mark.parametrize("streamed", [True, False], ids=["stream", "whole"])
@pytest.mark.parametrize("path", BODIES, ids=name)
def test_f4_a_whole_reply_is_whole_or_it_is_none(path: Path, streamed: bool) -> None:
    """F4, G1: in any reads the same answer; cut short it is an error, with nothing of the answer."""
    body = path.read_bytes()
    whole = replay([body], JSON, streamed=streamed).output
    closed = len(body.rstrip())
    for at in range(1, len(body)):
        assert replay([body[:at], body[at:]], JSON, streamed=streamed).output == whole, at
        cut = replay([body[:at]], JSON, streamed=streamed)
        assert cut.done == (at >= closed), at
        if not cut.done:
            assert json.loads(cut.output) == {"error": "the upstream sent invalid JSON"}


def test_there_are_replies_of_each_vendor() -> None:
    """What is not recorded is not replayed."""
    vendors = {path.stem.partition("-")[0] for path in REPLIES}
    assert vendors == {"azure", "llamacpp", "openai", "openrouter", "vllm"}
    assert all(replay([path.read_bytes()], SSE).output for path in REPLIES)
