"""Every stream that this suite knows, cut after each of its bytes, in memory: one end, and a true one (F2, F3, G12).

The completion rule (2.0): a stream is whole once a finish reason of the first choice, [DONE] or usage after content
was there. Here the rule is read from the bytes by a reader of its own.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.chunks import ARGUMENTS, CALLS, FAILURES, NOTHING, REASONING, REASONS, SAID
from support.decoding import Replayed, replay
from support.scenario import TAIL, Heard, called, choice, data, fragment, said
from support.streams import FRAMING

RECORDINGS = Path(__file__).parents[1] / "recordings"
STREAMS = {
    **{name: scenario.stream for name, scenario in {**FRAMING, **SAID, **CALLS, **REASONING}.items()},
    **{name: data(said("H"), chunk, said("i")) + TAIL for name, (chunk, _) in NOTHING.items()},
    **{f"H12 {reason}": data(said("Hi"), choice({}, reason)) for reason in (*REASONS, *FAILURES)},
    **{
        f"H18 {name}": data(said("Hi"), called(fragment(0, "a", "f", sent))) + TAIL
        for name, (sent, _) in ARGUMENTS.items()
    },
    **{path.stem: path.read_bytes() for path in sorted(RECORDINGS.rglob("*.sse"))},
}
# The long ones are recordings, which test_recordings_cut.py cuts at each byte.
_LONG = 1200
_STEP = 13


def chunks(prefix: bytes) -> Iterator[Any]:
    """Yield what the data of each event says: JSON, or text that is none."""
    text = prefix.decode("utf-8-sig", "replace").replace("\r\n", "\n").replace("\r", "\n")
    for block in text.split("\n\n"):
        lines = [line[5:].removeprefix(" ") for line in block.split("\n") if line.startswith("data:")]
        payload = "\n".join(lines)
        try:
            yield json.loads(payload)
        except ValueError:
            yield payload


def held(prefix: bytes) -> bool:
    """Whether the completion rule holds within these bytes."""
    content = False
    for chunk in chunks(prefix):
        if isinstance(chunk, str) and chunk.strip().upper() == "[DONE]":
            return True
        if not isinstance(chunk, dict):
            continue
        if chunk.get("stop") is True:  # llama.cpp's own shape
            return True
        choices = chunk.get("choices") or []
        first = [one for one in choices if one.get("index") in (0, None)]
        if any(one.get("finish_reason") for one in first):
            return True
        content = content or any(one.get("delta") or one.get("text") for one in first)
        if not choices and chunk.get("usage") and content:
            return True
    return False


def heard(records: list[dict[str, Any]]) -> Heard:
    return Heard.of([record["message"] for record in records if "message" in record])


def check_end(replayed: Replayed) -> None:
    """Check that there is one end, and nothing after it."""
    records = replayed.lines
    ends = [record for record in records if record.get("done") or "error" in record]
    assert ends == records[-1:]
    assert len(ends) == 1
    assert ("error" in ends[0]) != replayed.done


def check_whole(replayed: Replayed, told: Heard, *, done: bool) -> None:
    record = json.loads(replayed.output)
    assert replayed.done == done
    if done:
        whole = Heard.of([record["message"]])
        assert record["done"] is True
        assert (whole.text, whole.thinking, whole.calls) == (told.text, told.thinking, told.calls)
    else:
        assert set(record) == {"error"}


@pytest.mark.parametrize("name", STREAMS)
def test_f2_f3_g9_g10_g12_any_stream_cut_at_any_byte(name: str) -> None:
    """F2, F3, G9, G10, G12: one end each, `done` only if the rule held; what is said begins as the whole does.

    Where the whole is no error, it is `done` as soon as the rule holds. Who waits for a whole answer is told the same,
    or the error and nothing of the text.
    """
    stream = STREAMS[name]
    uncut = replay([stream])
    expected = heard(uncut.lines)
    for at in range(0, len(stream) + 1, _STEP if len(stream) > _LONG else 1):
        replayed, enough = replay([stream[:at]]), held(stream[:at])
        check_end(replayed)
        assert replayed.done == enough or (enough and not uncut.done), at
        told = heard(replayed.lines)
        assert expected.text.startswith(told.text), at
        assert expected.thinking.startswith(told.thinking), at
        assert told.calls in ((), expected.calls), at
        check_whole(replay([stream[:at]], streamed=False), told, done=replayed.done)
