"""What a completion notes of a backend's oddities (rows G, H: counters)."""

from __future__ import annotations

from typing import Any

import pytest

from ollama_openai_proxy.translate.openai.reply import StreamDecoder, WholeDecoder
from support.decoding import DONE, STOP, delta, sse, tools

CALL = {"index": 0, "id": "a", "function": {"name": "f", "arguments": "{}"}}
USAGE = {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2}}
HI = delta("Hi")
THOUGHT = delta(None, reasoning_content="hm", reasoning="hm", reasoning_details=[{"text": "hm"}])
USUAL = delta(None, reasoning="hm", reasoning_details=[{"text": "hm"}])


def usage(**counts: object) -> dict[str, Any]:
    return {"choices": [], "usage": counts}


def odd_of(*chunks: object) -> dict[str, int]:
    """Return what is noted of a stream."""
    decoder = StreamDecoder()
    decoder.feed(sse(*chunks), [])
    decoder.close([])
    return decoder.odd


@pytest.mark.parametrize(
    ("chunks", "odd"),
    [
        pytest.param([HI, STOP, USAGE, DONE], {}, id="OpenAI"),
        pytest.param([HI, STOP, DONE], {}, id="no usage"),
        pytest.param([HI, STOP], {}, id="G9 no marker"),
        pytest.param([HI, delta(finish="length"), DONE], {}, id="length"),
        pytest.param([tools(CALL), delta(finish="tool_calls"), DONE], {}, id="a call"),
        pytest.param([tools(CALL), delta(finish="length"), DONE], {}, id="a call that was cut short"),
        pytest.param(
            [{"choices": [{"text": "Hi"}]}, {"choices": [{"text": "", "finish_reason": "stop"}]}], {}, id="plain"
        ),
        pytest.param([USUAL, HI, STOP, DONE], {}, id="H22 OpenRouter"),
        pytest.param([{}, HI, STOP, DONE], {"no_choices": 1}, id="H2"),
        pytest.param([{"choices": [{"index": 0, "delta": None}]}, HI, STOP], {"no_delta": 1}, id="H4"),
        pytest.param([HI, DONE], {"finish_missing": 1}, id="G10"),
        pytest.param([HI, STOP, STOP, STOP, DONE], {"dup_finish": 2}, id="H9 reason"),
        pytest.param([HI, STOP, HI, HI, DONE], {"late_content": 2}, id="H11"),
        pytest.param([HI, STOP, delta(""), DONE], {}, id="H11 nothing"),
        pytest.param([HI, USAGE, USAGE, STOP, DONE], {"dup_usage": 1}, id="H9 usage"),
        pytest.param([{**HI, "usage": USAGE["usage"]}, USAGE, STOP, DONE], {}, id="H9 continuous usage"),
        pytest.param([HI, STOP, usage(prompt_tokens="3", completion_tokens=2), DONE], {"bad_usage": 1}, id="H9 text"),
        pytest.param(
            [HI, STOP, usage(prompt_tokens=3, completion_tokens=-2), DONE], {"bad_usage": 1}, id="H9 negative"
        ),
        pytest.param([HI, STOP, usage(total_tokens=3), DONE], {"bad_usage": 1}, id="H9 only a total"),
        pytest.param([HI, STOP, {"choices": [], "usage": "x"}, DONE], {"bad_usage": 1}, id="H9 no object"),
        pytest.param([tools(CALL), STOP, DONE], {"finish_mismatch": 1}, id="H13"),
        pytest.param([HI, delta(finish="tool_calls"), DONE], {"finish_mismatch": 1}, id="H14"),
        pytest.param([THOUGHT, HI, STOP], {"reasoning_alias": 1}, id="H22 two names"),
        pytest.param(
            [delta(None, reasoning="hm", thinking="hm"), HI, STOP], {"reasoning_alias": 1}, id="H22 other two"
        ),
        pytest.param([HI, STOP, DONE, DONE], {"after_done": 1}, id="G11 twice"),
        pytest.param([HI, STOP, USAGE, HI, DONE, DONE], {"after_done": 2}, id="G11 after usage"),
        pytest.param([HI, " \t", STOP], {"empty": 1}, id="G8 white space"),
        pytest.param([HI, STOP, "{"], {}, id="G12 half an event is none"),
    ],
)
def test_g8_to_g12_and_h2_to_h22_what_is_odd_is_noted(chunks: list[object], odd: dict[str, int]) -> None:
    """G8 to G12, H2 to H22: each oddity is noted by its kind, and nothing is of a stream as it should be."""
    if chunks[-1] == "{":  # without its blank line
        decoder = StreamDecoder()
        decoder.feed(sse(*chunks)[:-2], [])
        decoder.close([])
        assert decoder.odd == odd
    else:
        assert odd_of(*chunks) == odd


def test_g_events_are_counted() -> None:
    """G: all events of a stream are counted, in however many reads; a whole reply has none."""
    decoder, stream = StreamDecoder(), sse(HI, STOP, DONE)
    for at in range(0, len(stream), 10):
        decoder.feed(stream[at : at + 10], [])
    assert decoder.seen == 3
    whole = WholeDecoder()
    whole.feed(b'{"choices":[{"message":{"content":"Hi"}}]}', [])
    whole.close([])
    assert (whole.seen, whole.odd) == (0, {"finish_missing": 1})
